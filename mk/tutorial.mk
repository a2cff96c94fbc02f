# The service of docs/tutorial-service.md: its code is taken out of the page into $(O)/tutorial/source, compiled as a service and a
# program of our own would be, and packed with the page's changes of rootfs/ into an archive of its own.

TUTORIAL := docs/tutorial-service.md
TUTORIAL_SOURCE := $(O)/tutorial/source
TUTORIAL_CODE := $(sort $(shell sed -n 's/^```c //p' $(TUTORIAL)))
TUTORIAL_FOLDERS := $(patsubst %/,%,$(sort $(dir $(TUTORIAL_CODE))))
TUTORIAL_PROGRAMS := $(addprefix $(O)/tutorial/,$(TUTORIAL_FOLDERS))

$(addprefix $(TUTORIAL_SOURCE)/,$(TUTORIAL_CODE)) &: $(TUTORIAL) tools/tutorial.py rootfs/etc/services rootfs/etc/ttys
	$(call quiet,PAGE,$(TUTORIAL))rm -rf $(TUTORIAL_SOURCE) && tools/tutorial.py $(TUTORIAL) $(TUTORIAL_SOURCE)

tutorial_sources = $(addprefix $(TUTORIAL_SOURCE)/,$(filter $(1)/%,$(TUTORIAL_CODE)))
$(foreach folder,$(TUTORIAL_FOLDERS),$(eval $(call program,$(O)/tutorial/$(folder),$(call tutorial_sources,$(folder)),$(folder))))

$(O)/tutorial-initfs.tar.gz: $(PROGRAMS) $(TUTORIAL_PROGRAMS) $(PERSONALITY) $(ROOTFS_FILES) $(DATA_FILES) $(ZONEINFO)/UTC tools/initfs.py
	$(call quiet,TAR,$@)$(INITFS) --programs '$(PROGRAMS) $(TUTORIAL_PROGRAMS)' --personality '$(PERSONALITY)' \
	    --overlay $(TUTORIAL_SOURCE) $(O)/tutorial $@

guest: $(O)/tutorial-initfs.tar.gz
