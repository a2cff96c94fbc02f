/* What a loader told us, the same whatever the road (Multiboot2 or PVH).
 *
 * kernel/x86_64/boot_*.c fill it in before anything else runs; addresses are physical. Everything a loader
 * says is checked: ranges are clipped, sorted and made disjoint by frame_init, not here.
 */
#pragma once

#include "lib/base/address.h"

enum boot_range_type {
    BOOT_RAM,      /* free to use */
    BOOT_RECLAIM,  /* ACPI tables: kept */
    BOOT_RESERVED, /* anything else */
};

struct boot_range {
    paddr_t base;
    uint64_t length;
    enum boot_range_type type;
};

struct boot_framebuffer {
    paddr_t base; /* 0: none */
    uint32_t width, height, pitch;
    uint8_t bits, red_shift, red_bits, green_shift, green_bits, blue_shift, blue_bits;
};

#define BOOT_RANGES       256u /* a loader with more is cut off there, and that is logged */
#define BOOT_COMMAND_LINE 2048u

struct boot_info {
    const char *loader; /* its name, for the log */
    struct boot_range ranges[BOOT_RANGES];
    uint32_t range_count;
    bool ranges_cut;
    paddr_t kernel_start, kernel_end;
    paddr_t module;               /* initfs.tar.gz */
    uint64_t module_length;       /* 0: none */
    paddr_t rsdp;                 /* 0: none given */
    paddr_t info_start, info_end; /* the loader's own structures, until they are read */
    struct boot_framebuffer framebuffer;
    char command_line[BOOT_COMMAND_LINE]; /* terminated */
};

extern struct boot_info boot_info;

/* The value of "name=value" on the command line, or NULL; *length is its length. "name" alone gives "". */
const char *boot_option(const char *name, size_t *length);

/* For the readers of loaders' structures. Types are E820's; an empty range or one that wraps is left out. */
void boot_add_range(struct boot_info *boot, uint64_t base, uint64_t length, uint32_t e820_type);
/* At most length bytes of text, or up to its end. */
void boot_set_command_line(struct boot_info *boot, const char *text, uint64_t length);
