# The programs of docs/tutorial-<name>.md, each page by itself: its code is taken out of the page into $(O)/tutorial/<name>/source,
# compiled as a service and a program of our own would be, and packed with the page's changes of rootfs/ into an archive of its
# own, $(O)/tutorial-<name>.tar.gz.

TUTORIALS := $(patsubst docs/tutorial-%.md,%,$(sort $(wildcard docs/tutorial-*.md)))
TUTORIAL_ARCHIVES := $(TUTORIALS:%=$(O)/tutorial-%.tar.gz)
TUTORIAL_CHANGES := $(shell find rootfs/etc -maxdepth 1 -type f)

tutorial_code = $(sort $(shell sed -n 's/^```c //p' docs/tutorial-$(1).md))
tutorial_folders = $(patsubst %/,%,$(sort $(dir $(call tutorial_code,$(1)))))
# tutorial_sources(name, folder)
tutorial_sources = $(addprefix $(O)/tutorial/$(1)/source/,$(filter $(2)/%,$(call tutorial_code,$(1))))

define tutorial
$(addprefix $(O)/tutorial/$(1)/source/,$(call tutorial_code,$(1))) &: docs/tutorial-$(1).md tools/tutorial.py $(TUTORIAL_CHANGES)
	$$(call quiet,PAGE,docs/tutorial-$(1).md)rm -rf $(O)/tutorial/$(1)/source && tools/tutorial.py docs/tutorial-$(1).md $(O)/tutorial/$(1)/source

TUTORIAL_PROGRAMS_$(1) := $(addprefix $(O)/tutorial/$(1)/,$(call tutorial_folders,$(1)))
$(O)/tutorial-$(1).tar.gz: $(PROGRAMS) $$(TUTORIAL_PROGRAMS_$(1)) $(PERSONALITY) $(ROOTFS_FILES) $(DATA_FILES) $(ZONEINFO)/UTC tools/initfs.py
	$$(call quiet,TAR,$$@)$(INITFS) --programs '$(PROGRAMS) $$(TUTORIAL_PROGRAMS_$(1))' --personality '$(PERSONALITY)' \
	    --overlay $(O)/tutorial/$(1)/source $(O)/tutorial/$(1) $$@
endef

$(foreach name,$(TUTORIALS),$(eval $(call tutorial,$(name))) \
    $(foreach folder,$(call tutorial_folders,$(name)), \
        $(eval $(call program,$(O)/tutorial/$(name)/$(folder),$(call tutorial_sources,$(name),$(folder)),$(folder)))))

guest: $(TUTORIAL_ARCHIVES)
