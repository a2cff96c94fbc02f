# protos: everything starts here.
#
#   make          build all of it into $(O)/ (default: out)
#   make run      boot it in this terminal           make test     every test; T=name for one (a part will do)
#   make iso      $(O)/protos.iso                    make debug    boot stopped, with gdb attached
#   make check    format, analyzers, includes, docs  make fuzz     every fuzz target for FUZZ_SECONDS
#   make bench    protos beside Linux; T=figure      make soak     the test suite SOAK_ROUNDS times
#   make profile T=figure: its instructions          make format   clang-format and docs/syscalls.md as check wants them
#   make repro    the ISO built twice and compared   make clean
#
# Each installs what is missing on the machine first (tools/install-deps). Sources are found by wildcard: add a
# file and it is built; what links with what is said in mk/*.mk, one file per kind of result.
# Variables: DISK=file (the root disk of make run, kept between runs; empty: none), ROOT=LABEL=name (root= for it), SOAK_CALLS=n (random system calls in each round of soak), SOAK_KILLS, SOAK_CUTS, SOAK_MACHINES (docs/testing.md), USB_ROUNDS and PLUG_ROUNDS (docs/usb.md), O=dir, CC=clang, DEBUG=1 (assertions), RUN="tools/run arguments", BOOT_IMAGE=file (another first process).

O ?= out
DEBUG ?= 0
FUZZ_SECONDS ?= 60
SOAK_ROUNDS ?= 10
T ?=
RUN ?=
ROOT_DISK := $(O)/root.img
DISK ?= $(if $(findstring microvm,$(RUN)),,$(ROOT_DISK))
ROOT ?= $(if $(filter $(ROOT_DISK),$(DISK)),LABEL=PROTOS,disk:///vd0)
ifeq ($(origin CC),default)
CC := gcc
endif
export O CC

.SUFFIXES:
.SECONDARY:
.DELETE_ON_ERROR:
.PHONY: all build run iso test debug check bench profile soak repro format fuzz clean deps host guest bench-programs kernel FORCE

# A goal for people makes sure of the tools, then builds with all CPUs; `build` and files are for make itself.
BUILD = +@tools/install-deps && $(MAKE) --no-print-directory $(if $(filter -j% --jobserver%,$(MAKEFLAGS)),,-j$(shell nproc))
# Firmware boots the ISO, so RUN="--firmware ovmf" wants it built.
BOOTED = build $(if $(findstring --firmware,$(RUN)),iso-file)

all:
	$(BUILD) build

run:
	$(BUILD) $(BOOTED) $(filter $(ROOT_DISK),$(DISK))
	@tools/run --out $(O) $(if $(DISK),--write --disk '$(DISK)' --append 'root=$(ROOT)') $(RUN)

debug:
	$(BUILD) $(BOOTED)
	@tools/run --out $(O) --gdb $(RUN)

iso:
	$(BUILD) $(O)/protos.iso

test:
	$(BUILD) build iso-file host guest
	@tests/system/run.py --out $(O) $(if $(T),--only '$(T)')

soak:
	$(BUILD) build iso-file host guest
	@tests/system/run.py --out $(O) --rounds $(SOAK_ROUNDS) $(if $(T),--only '$(T)')

fuzz:
	$(BUILD) host
	@tests/system/run.py --out $(O) --fuzz-seconds $(FUZZ_SECONDS) --only fuzz/$(T)

bench:
	$(BUILD) build bench-programs
	@bench/run.py --out $(O) $(if $(T),--only '$(T)') $(if $(KEEP),--keep) $(if $(filter 0,$(LINUX)),--no-linux)

profile:
	$(BUILD) build bench-programs
	@bench/profile/profile.py --out $(O) $(T) $(PROFILE)

check:
	$(BUILD) build $(TUTORIAL_ARCHIVES)
	@tools/check

format:
	@tools/install-deps && tools/check --fix

repro:
	$(BUILD) build
	@tools/repro --out $(O)

clean:
	rm -rf $(O)

deps:
	@tools/install-deps

build: $(O)/protos.elf $(O)/initfs.tar.gz
kernel: $(O)/protos.elf

FORCE:

include mk/flags.mk
include mk/kernel.mk
include mk/user.mk
include mk/acpica.mk
include mk/test.mk
include mk/image.mk
include mk/tutorial.mk

-include $(shell find $(O) -name '*.d' 2>/dev/null)
