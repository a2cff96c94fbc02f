/* What lies at the very start of the personality image (at PERSONALITY_TEXT, and at the start of the text
 * segment in linux.elf): a spawner reads the entries from it and needs no symbol table. */
#pragma once

#include "abi/abi.h"

#define PERSONALITY_MAGIC UINT64_C(0x3178756e696c7270) /* "prlinux1" */

struct personality_header {
    uint64_t magic;
    struct abi_personality personality;
    uint64_t start; /* personality_start: the first thread's entry */
};

/* Filled in by tools/boot_image.py: the program that START_BOOT runs. */
struct boot_program {
    uint64_t entry, phdr, phnum, phent;
};

/* ioctl of any descriptor: the native handle behind it. ENOTTY: there is none. */
#define PERSONALITY_HANDLE_OF 0x70500001u
