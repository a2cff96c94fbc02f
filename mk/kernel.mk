# $(O)/protos.elf: kernel/ + lib/base/ + the boot image + the symbol table of the panic backtrace.
#
# The table holds addresses that its own size may move, so the kernel is linked three times: with an empty
# table, with one of the right size, and with the right one. tools/symbols.py --verify checks the last.

KERNEL_SOURCES := $(sort $(shell find kernel lib/base -name '*.[cS]'))
KERNEL_OBJECTS := $(call objects,kernel,$(KERNEL_SOURCES)) $(O)/obj/kernel/boot_image.o $(O)/obj/kernel/font.o $(O)/obj/kernel/splash.o
KERNEL_SCRIPT := kernel/x86_64/link.ld
BOOT_IMAGE ?= $(O)/bootstrap.image

link_kernel = ld -n -z noexecstack --no-warn-rwx-segments --build-id=none -T $(KERNEL_SCRIPT) -o $(1) $(KERNEL_OBJECTS) $(2)

# What syscall.S calls with every register saved need save none itself (gcc's options; clang saves them), nor have a frame for the
# user's rbp. So nobody else may call it.
SHORT := $(O)/obj/kernel/kernel/ipc/short.c.o
SHORT_CALLER := $(O)/obj/kernel/kernel/x86_64/syscall.S.o
ifeq ($(findstring clang,$(CC)),)
$(SHORT): private KERNEL_FLAGS += $(foreach r,rbx r12 r13 r14 r15,-fcall-used-$(r)) -fomit-frame-pointer -ffixed-rbp
endif

$(O)/obj/kernel/short.callers: $(KERNEL_OBJECTS) tools/callers mk/kernel.mk
	@tools/callers $(SHORT) --by $(SHORT_CALLER) $(KERNEL_OBJECTS) && touch $@

# Rewritten only when BOOT_IMAGE names another file.
$(O)/obj/kernel/boot_image.S: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '.section .bootimage, "a", @progbits' '.balign 4096' \
	    '.globl bootstrap_image_start, bootstrap_image_end' 'bootstrap_image_start:' \
	    '.incbin "$(BOOT_IMAGE)"' '.balign 4096' 'bootstrap_image_end:' \
	    '.section .note.GNU-stack, "", @progbits' > $@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

# The font of the log's screen, from a Debian package.
CONSOLE_FONT := /usr/share/consolefonts/Uni2-Terminus16.psf.gz
$(O)/gen/font.c: tools/font.py $(CONSOLE_FONT)
	@mkdir -p $(@D)
	@tools/font.py $(CONSOLE_FONT) > $@

$(O)/obj/kernel/font.o: $(O)/gen/font.c $(O)/flags kernel/x86_64/screen.h
	@mkdir -p $(@D)
	@$(CC) $(KERNEL_FLAGS) -c -o $@ $<

# The boot's picture, for the kernel and for outputd.
$(O)/gen/splash.c: tools/splash.py
	@mkdir -p $(@D)
	@tools/splash.py > $@

$(O)/obj/kernel/splash.o: $(O)/gen/splash.c $(O)/flags lib/base/splash.h
	@mkdir -p $(@D)
	@$(CC) $(KERNEL_FLAGS) -c -o $@ $<

$(O)/obj/kernel/boot_image.o: $(O)/obj/kernel/boot_image.S $(BOOT_IMAGE)
	@$(CC) -ffile-prefix-map=$(O)=out -c -o $@ $<

$(O)/obj/kernel/symbols.%.o: $(O)/obj/kernel/symbols.%.S
	@$(CC) -ffile-prefix-map=$(O)=out -c -o $@ $<

$(O)/obj/kernel/symbols.0.S: tools/symbols.py
	@mkdir -p $(@D)
	@tools/symbols.py > $@

$(O)/obj/kernel/symbols.1.S: $(O)/obj/kernel/protos.0 tools/symbols.py
	@tools/symbols.py $< > $@

$(O)/obj/kernel/symbols.2.S: $(O)/obj/kernel/protos.1 tools/symbols.py
	@tools/symbols.py $< > $@

$(O)/obj/kernel/protos.%: $(O)/obj/kernel/symbols.%.o $(KERNEL_OBJECTS) $(KERNEL_SCRIPT)
	@$(call link_kernel,$@,$<)

$(O)/protos.elf: $(O)/obj/kernel/symbols.2.o $(KERNEL_OBJECTS) $(KERNEL_SCRIPT) $(O)/obj/kernel/short.callers
	$(call quiet,LD,$@)$(call link_kernel,$@,$<) && tools/symbols.py --verify $@ $(O)/obj/kernel/symbols.2.S
