# What is booted: the first process's image, the archive, the ISO.

# Until both parts exist the kernel is built with an empty image (it then says so at boot).
ifneq ($(and $(BOOTSTRAP_SOURCES),$(wildcard $(PERSONALITY_SCRIPT))),)
$(O)/bootstrap.image: $(O)/bootstrap $(O)/linux.elf tools/boot_image.py
	$(call quiet,IMAGE,$@)tools/boot_image.py $(O)/bootstrap $(O)/linux.elf $@
PERSONALITY := $(O)/linux.elf
else
$(O)/bootstrap.image:
	@mkdir -p $(@D) && : > $@
endif

# The first process is a service like the others once it serves: initd starts it anew from here.
$(O)/sbin/initfsd: $(O)/bootstrap
	@mkdir -p $(@D) && cp $< $@
PROGRAMS += $(O)/sbin/initfsd

# Key maps: one of each of the distribution's layouts that are listed here.
KEYMAPS := us gb de ch fr be es it pt se no dk fi pl
KEYMAP_FILES := $(addprefix $(O)/etc/keymaps/,$(KEYMAPS))
$(KEYMAP_FILES): $(O)/etc/keymaps/%: tools/keymap.py
	$(call quiet,KEYMAP,$*)mkdir -p $(@D) && tools/keymap.py $* > $@

# The consoles' font.
$(O)/usr/share/consolefonts/console.psf: $(CONSOLE_FONT)
	@mkdir -p $(@D) && gzip -dc $< > $@

# What it has not got: GNU Unifont.
UNIFONT := /usr/share/unifont/unifont.hex
$(O)/usr/share/consolefonts/unifont.gz: tools/unifont.py $(UNIFONT)
	$(call quiet,FONT,$@)mkdir -p $(@D) && tools/unifont.py $(UNIFONT) > $@

# Time zones: all of the distribution's.
ZONEINFO := $(O)/usr/share/zoneinfo
$(ZONEINFO)/UTC: tools/zoneinfo.py /usr/share/zoneinfo/tzdata.zi
	$(call quiet,ZONES,$(ZONEINFO))mkdir -p $(@D) && tools/zoneinfo.py $(ZONEINFO) && touch -h $@

# Names of PCI and USB devices.
IDS := pci.ids usb.ids
$(IDS:%=$(O)/usr/share/misc/%.packed): $(O)/usr/share/misc/%.packed: tools/pci_ids.py /usr/share/misc/%
	$(call quiet,IDS,$@)mkdir -p $(@D) && tools/pci_ids.py /usr/share/misc/$* $@

DATA_FILES := $(KEYMAP_FILES) $(addprefix $(O)/usr/share/consolefonts/,console.psf unifont.gz) $(IDS:%=$(O)/usr/share/misc/%.packed)

BUSYBOX := /bin/busybox
ROOTFS_FILES = $(shell find rootfs -not -type l) $(wildcard sbin/*/service.conf)
INITFS = tools/initfs.py --out $(O) --busybox $(BUSYBOX) --files '$(DATA_FILES)' --folders '$(ZONEINFO)'

$(O)/initfs.tar.gz: $(PROGRAMS) $(PERSONALITY) $(ROOTFS_FILES) $(DATA_FILES) $(ZONEINFO)/UTC tools/initfs.py
	$(call quiet,TAR,$@)$(INITFS) --programs '$(PROGRAMS)' --personality '$(PERSONALITY)' $@

$(O)/test-initfs.tar.gz: $(PROGRAMS) $(PERSONALITY) $(ROOTFS_FILES) $(DATA_FILES) $(ZONEINFO)/UTC $(GUEST_TESTS) $(BENCHES) tools/initfs.py
	$(call quiet,TAR,$@)$(INITFS) --level 0 --programs '$(PROGRAMS) $(GUEST_TESTS) $(BENCHES)' --personality '$(PERSONALITY)' $@

.PHONY: iso-file
iso-file: $(O)/protos.iso ; @:
$(O)/protos.iso: $(O)/protos.elf $(O)/initfs.tar.gz tools/iso.py
	$(call quiet,ISO,$@)tools/iso.py $(O)/protos.elf $(O)/initfs.tar.gz $@

# The root disk of make run: what is written there stays, so it is made once.
$(ROOT_DISK):
	$(call quiet,DISK,$@)mkdir -p $(@D) && tools/root_disk.py $@
