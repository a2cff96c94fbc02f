# Test programs. Host tests and fuzz targets are one file each and name what they test in their head:
#     // sources: kernel/vmm/frame.c tests/host/fake_arch.c
# Those files are compiled under sanitizers, once for all tests that name them (tools/compile_test). Tests with threads, *_threads_test.c, are built twice:
# $(O)/host/<name>.tsan is the same under TSan, which cannot live with the others. gcc's knows no fences. tests/host/tools/*.c are made
# likewise, for scenarios that look at what a machine left.

HOST_TESTS := $(patsubst tests/host/%.c,$(O)/host/%,$(sort $(wildcard tests/host/*_test.c))) \
    $(patsubst tests/host/%.c,$(O)/host/%.tsan,$(sort $(wildcard tests/host/*_threads_test.c)))
HOST_TOOLS := $(patsubst tests/host/%.c,$(O)/host/%,$(sort $(wildcard tests/host/tools/*.c)))
FUZZ_TESTS := $(patsubst tests/fuzz/%.c,$(O)/fuzz/%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
HOST_FLAGS := -std=gnu11 -O1 -g -I. -DDEBUG=1 -DPROTOS_HOST -DARCH_INLINE='"tests/host/fake_arch.h"' -DARCH_HAND_OVER='"tests/host/fake_hand_over.h"' -D_GNU_SOURCE -Wall -Wextra -Werror -Wshadow -Wundef -Wvla \
    -Wpointer-arith -fno-omit-frame-pointer -fno-sanitize-recover=all

$(O)/host/%: tests/host/%.c $(O)/flags mk/test.mk
	$(call quiet,HOST,$<)mkdir -p $(@D) && tools/compile_test --deps $@.d --objects $(O)/objects -o $@ $< gcc $(HOST_FLAGS) -fsanitize=address,undefined

$(O)/host/%.tsan: tests/host/%.c $(O)/flags mk/test.mk
	$(call quiet,HOST,$< under TSan)mkdir -p $(@D) && tools/compile_test --deps $@.d --objects $(O)/objects -o $@ $< gcc $(HOST_FLAGS) -fsanitize=thread -Wno-tsan

$(O)/fuzz/%: tests/fuzz/%.c $(O)/flags mk/test.mk
	$(call quiet,FUZZ,$<)mkdir -p $(@D) && tools/compile_test --deps $@.d --objects $(O)/objects -o $@ $< clang $(HOST_FLAGS) -fsanitize=fuzzer,address,undefined

host: $(HOST_TESTS) $(HOST_TOOLS) $(FUZZ_TESTS) ; @:

# Guest tests: static musl programs, packed as /tests/<name> into their own archive; tests/guest/common/ is
# linked into each. tests/guest/tools/*.c are the scenarios' helpers, /tests/tools/<name>.
GUEST_COMMON := $(sort $(wildcard tests/guest/common/*.[cS]))
GUEST_SOURCES := $(sort $(wildcard tests/guest/*.c))
GUEST_TOOLS := $(sort $(wildcard tests/guest/tools/*.c))
GUEST_TESTS := $(patsubst tests/guest/%.c,$(O)/tests/%,$(GUEST_SOURCES) $(GUEST_TOOLS))
$(foreach test,$(GUEST_SOURCES),$(eval $(call program,$(patsubst tests/guest/%.c,$(O)/tests/%,$(test)),$(test) $(GUEST_COMMON),tests/guest)))
$(foreach tool,$(GUEST_TOOLS),$(eval $(call program,$(patsubst tests/guest/%.c,$(O)/tests/%,$(tool)),$(tool),tests/guest)))

# Benchmarks: bench/*.c is /bench/<name> in the test archive, bench/tools/*.c what they execute, /bench/data what they
# read; bench/common/ is linked into each program. docs/performance.md.
BENCH_COMMON := $(sort $(wildcard bench/common/*.c))
BENCH_SOURCES := $(sort $(wildcard bench/*.c))
BENCH_TOOLS := $(sort $(wildcard bench/tools/*.c))
BENCHES := $(patsubst %.c,$(O)/%,$(BENCH_SOURCES) $(BENCH_TOOLS)) $(O)/bench/data
$(foreach bench,$(BENCH_SOURCES),$(eval $(call program,$(patsubst %.c,$(O)/%,$(bench)),$(bench) $(BENCH_COMMON),bench)))
$(foreach tool,$(BENCH_TOOLS),$(eval $(call program,$(patsubst %.c,$(O)/%,$(tool)),$(tool),bench)))

$(O)/bench/data:
	@mkdir -p $(@D) && head -c 1048576 /dev/zero > $@

# The plugin of QEMU that profiles (bench/profile/).
$(O)/bench/libprofile.so: bench/profile/plugin.c mk/test.mk
	$(call quiet,PLUGIN,$<)mkdir -p $(@D) && gcc -std=gnu11 -O2 -g $(WARNINGS) -shared -fPIC -fvisibility=hidden -o $@ $<

bench-programs: guest $(O)/bench/libprofile.so ; @:

guest: $(O)/test-initfs.tar.gz ; @:
