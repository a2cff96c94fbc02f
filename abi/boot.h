/* What the kernel gives the first process: the handles it starts with and how its image is laid out.
 *
 * The image (out/bootstrap.image, made by tools/boot_image.py, linked into the kernel) is a page-aligned
 * file: struct boot_image, its segments, then their bytes at page-aligned offsets. The kernel maps each
 * segment privately at its address: no ELF is parsed in the kernel. The first process is entered at `entry`
 * with the stack at `stack`, rdi = BOOT_ARGUMENTS address, on which a struct boot_arguments lies.
 */
#pragma once

#include "abi/abi.h"

#define BOOT_IMAGE_MAGIC UINT64_C(0x31676d69746f7270) /* "protimg1" */

struct boot_segment {
    uint64_t address;     /* page-aligned */
    uint64_t length;      /* in memory, page-aligned */
    uint64_t offset;      /* in the image, page-aligned */
    uint64_t file_length; /* bytes in the image; the rest is zero */
    uint64_t protection;  /* PROT_* */
};

struct boot_image {
    uint64_t magic;
    uint64_t entry;
    uint64_t stack; /* top; a region for it is among the segments */
    uint64_t block; /* of the first thread */
    struct abi_personality personality;
    uint64_t segment_count;
    struct boot_segment segments[];
};

#define BOOT_COMMAND_LINE_MAX 2048u

/* ACPI's tables as user space gets them: copies of those whose length and checksum are right, the DSDT among them, one
 * behind the other at multiples of this; behind the last one zeros, or the memory's end. */
#define ACPI_TABLE_ALIGNMENT 16u

/* At BOOT_ARGUMENTS, in a read-only page of the first process. */
#define BOOT_ARGUMENTS UINT64_C(0x7ffef0000000)

struct boot_arguments {
    handle_t resource; /* RESOURCE_ROOT, all rights */
    handle_t archive;  /* memory: initfs.tar.gz as the loader brought it; HANDLE_NONE if none */
    uint64_t archive_length; /* bytes */
    handle_t process;        /* the first process itself, all rights */
    handle_t framebuffer;    /* memory: HANDLE_NONE if none */
    uint64_t framebuffer_width, framebuffer_height, framebuffer_pitch;
    uint8_t framebuffer_bits, red_shift, red_bits, green_shift, green_bits, blue_shift, blue_bits,
        reserved;
    handle_t acpi; /* memory: ACPI's tables, to be read; HANDLE_NONE if none */
    uint32_t padding;
    uint64_t command_line_length;
    char command_line[BOOT_COMMAND_LINE_MAX];
};
