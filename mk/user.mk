# Programs: bootstrap, the personality, services sbin/<name>/, programs bin/<name>/. A folder is a program;
# its file `libs` names third-party static libraries it links with (deflate, sodium, z, vterm, ...).

# Our libraries: everything under lib/ but the personality, the shim for third-party objects, and what musl has.
LIBSYS_SOURCES := $(sort $(filter-out lib/linux/% lib/fortify/% lib/base/string.c,$(shell find lib -name '*.[cS]')))
FORTIFY_SOURCES := $(sort $(wildcard lib/fortify/*.c))

$(O)/obj/user/splash.o: $(O)/gen/splash.c $(O)/flags lib/base/splash.h
	@mkdir -p $(@D)
	@$(MUSL_CC) $(USER_FLAGS) -c -o $@ $<
$(O)/libsys.a: $(call objects,user,$(LIBSYS_SOURCES)) $(O)/obj/user/splash.o
	$(call quiet,AR,$@)rm -f $@ && ar rcsD $@ $^
$(O)/libfortify.a: $(call objects,user,$(FORTIFY_SOURCES))
	$(call quiet,AR,$@)rm -f $@ && ar rcsD $@ $^

# Headers of Debian's libraries, and those of Linux, apart from glibc's: symbolic links, $(O)/include. They are made again
# when others are there than before: `make build` may have come before `make deps`.
THIRD_PARTY_HEADERS := $(wildcard $(addprefix /usr/include/,libdeflate.h zlib.h zconf.h x86_64-linux-gnu/zconf.h sodium.h \
    sodium vterm.h vterm_keycodes.h libtsm.h stb lz4.h zstd.h))
$(O)/include/.done: FORCE
	@mkdir -p $(@D)
	@echo '$(THIRD_PARTY_HEADERS)' | cmp -s - $@ || { \
	    for header in $(THIRD_PARTY_HEADERS); do ln -sfn $$header $(@D)/; done; \
	    echo '$(THIRD_PARTY_HEADERS)' > $@; }
LIBRARY_PATH := /usr/lib/x86_64-linux-gnu

# third_party(folder): the archives its file `libs` names; acpica is built here (mk/acpica.mk).
third_party = $(patsubst %,$(LIBRARY_PATH)/lib%.a,$(filter-out acpica,$(call libs_of,$(1)))) $(patsubst %,$(O)/lib%.a,$(filter acpica,$(call libs_of,$(1))))
libs_of = $(if $(wildcard $(1)/libs),$(shell cat $(1)/libs))
sources_of = $(sort $(shell find $(1) -name '*.[cS]'))

# program(result, sources, folder of `libs`)
define program
$(1): $(call objects,user,$(2)) $(O)/libsys.a $(O)/libfortify.a $(wildcard $(3)/libs) $(filter $(O)/%,$(call third_party,$(3)))
	$$(call quiet,LD,$$@)mkdir -p $$(@D) && $$(MUSL_LINK) -o $$@ $(call objects,user,$(2)) \
	    -Wl,--start-group $(O)/libsys.a $(if $(wildcard $(3)/libs),$(O)/libfortify.a $(call third_party,$(3)) -lgcc) -Wl,--end-group
$(call objects,user,$(2)): | $(O)/include/.done
endef
$(call objects,user,$(LIBSYS_SOURCES) $(FORTIFY_SOURCES)): | $(O)/include/.done

PROGRAM_FOLDERS := $(foreach folder,$(patsubst %/,%,$(wildcard sbin/*/ bin/*/)),$(if $(call sources_of,$(folder)),$(folder)))
PROGRAMS := $(addprefix $(O)/,$(PROGRAM_FOLDERS))
$(foreach folder,$(PROGRAM_FOLDERS),$(eval $(call program,$(O)/$(folder),$(call sources_of,$(folder)),$(folder))))

BOOTSTRAP_SOURCES := $(call sources_of,bootstrap)
ifneq ($(BOOTSTRAP_SOURCES),)
$(eval $(call program,$(O)/bootstrap,$(BOOTSTRAP_SOURCES),bootstrap))
endif

# The personality: freestanding, with lib/base.
PERSONALITY_OBJECTS := $(call objects,linux,$(call sources_of,lib/linux) $(call sources_of,lib/base))
PERSONALITY_SCRIPT := lib/linux/link.ld
$(O)/linux.elf: $(PERSONALITY_OBJECTS) $(PERSONALITY_SCRIPT)
	$(call quiet,LD,$@)ld -static -z noexecstack --no-warn-rwx-segments --build-id=none -T $(PERSONALITY_SCRIPT) -o $@ $(PERSONALITY_OBJECTS)
