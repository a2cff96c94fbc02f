# Compiler flags, one set per world the code runs in, and the rules that compile a source into each world:
# $(O)/obj/<world>/<source>.o. The worlds: kernel, linux (the personality), user (static musl), and lib/base
# is compiled into each of them.

WARNINGS := -Wall -Wextra -Werror -Wmissing-prototypes -Wstrict-prototypes -Wshadow -Wundef -Wvla \
    -Wpointer-arith
COMMON := -std=gnu11 -O2 -g -I. -fcf-protection=none -fno-strict-aliasing -DDEBUG=$(DEBUG) \
    -ffile-prefix-map=$(O)=out $(WARNINGS)
FREESTANDING := -ffreestanding -mno-red-zone -mgeneral-regs-only -fno-stack-protector
ifeq ($(findstring clang,$(CC)),)
FREESTANDING += -fno-tree-loop-distribute-patterns # else memmove's loop becomes a call of memmove
else
COMMON += -Wno-pass-failed # "unroll" is advice
endif

KERNEL_FLAGS := $(COMMON) $(FREESTANDING) -fno-pic -fno-pie -mcmodel=kernel -fno-omit-frame-pointer
# The personality lies at a fixed address beyond the reach of 32-bit absolute addresses, so its code is
# RIP-relative; linked at that address no relocation is left.
LINUX_FLAGS := $(COMMON) $(FREESTANDING) -fPIE -fvisibility=hidden -fno-asynchronous-unwind-tables
# No vector registers where the compiler would clear or copy a structure with them: the first use after a switch traps
# (the kernel loads them lazily), which costs more than the few moves saved. None of our programs computes with floats;
# tests do, to see that their registers survive.
NO_VECTORS := -mgeneral-regs-only
# private: else what is built on their account, the file of flags above all, is built with it.
$(O)/obj/user/tests/%: private NO_VECTORS :=
USER_FLAGS = $(COMMON) $(NO_VECTORS) -I$(O)/include -fno-pie -fno-stack-protector

ifneq ($(findstring clang,$(CC)),)
# musl-gcc is a wrapper of gcc; clang is pointed at musl's headers by hand.
MUSL_CC = $(CC) --target=x86_64-linux-musl -nostdinc -isystem /usr/include/x86_64-linux-musl \
    -isystem $(shell $(CC) -print-resource-dir)/include
else
MUSL_CC = musl-gcc
endif
MUSL_LINK = musl-gcc -static -no-pie -Wl,-z,noseparate-code -Wl,--build-id=none

ALL_FLAGS = $(CC) $(KERNEL_FLAGS) $(LINUX_FLAGS) $(USER_FLAGS)
# Objects depend on the flags they were built with.
$(O)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(ALL_FLAGS)' | cmp -s - $@ || echo '$(ALL_FLAGS)' > $@

quiet = @echo '  $(1)' '$(2)';

define compile_rules
$(O)/obj/$(1)/%.c.o: %.c $(O)/flags
	$$(call quiet,CC,$$< ($(1)))mkdir -p $$(@D) && $(2) $(3) -MMD -MP -c -o $$@ $$<
$(O)/obj/$(1)/%.S.o: %.S $(O)/flags
	$$(call quiet,AS,$$< ($(1)))mkdir -p $$(@D) && $(2) $(3) -MMD -MP -c -o $$@ $$<
endef

$(eval $(call compile_rules,kernel,$$(CC),$$(KERNEL_FLAGS)))
$(eval $(call compile_rules,linux,$$(CC),$$(LINUX_FLAGS)))
$(eval $(call compile_rules,user,$$(MUSL_CC),$$(USER_FLAGS)))

# objects(world, sources)
objects = $(patsubst %,$(O)/obj/$(1)/%.o,$(2))
