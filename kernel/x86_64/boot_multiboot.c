/* Multiboot2 information (specification 2.0, 3.6): a header {total size, 0} and tags {type, size, ...}, each
 * 8-aligned, up to a tag of type 0. */
#include "kernel/x86_64/boot_loader.h"
#include "lib/base/string.h"

enum tag_type {
    TAG_END = 0,
    TAG_COMMAND_LINE = 1,
    TAG_MODULE = 3,
    TAG_MEMORY_MAP = 6,
    TAG_FRAMEBUFFER = 8,
    TAG_RSDP_OLD = 14,
    TAG_RSDP = 15,
};

struct tag {
    uint32_t type, size; /* size includes this head, not the padding behind */
};

struct tag_module {
    struct tag tag;
    uint32_t start, end;
};

struct tag_memory_map {
    struct tag tag;
    uint32_t entry_size, version;
};

struct memory_map_entry {
    uint64_t base, length;
    uint32_t type, reserved;
};

struct tag_framebuffer {
    struct tag tag;
    uint64_t base;
    uint32_t pitch, width, height;
    uint8_t bits, type;
    uint16_t reserved;
    uint8_t red_shift, red_bits, green_shift, green_bits, blue_shift, blue_bits; /* type 1 */
};

#define FRAMEBUFFER_RGB 1u
#define TAG_FRAMEBUFFER_SIZE \
    (offsetof(struct tag_framebuffer, blue_bits) + 1) /* without the structure's padding */

#define INFO_MAX (16u << 20) /* no loader writes more: a larger total is nonsense */

static void read_module(struct boot_info *boot, const struct tag_module *module)
{
    if (boot->module_length || module->end <= module->start)
        return; /* the first module is the archive */
    boot->module = PADDR(module->start);
    boot->module_length = module->end - module->start;
}

static void read_memory_map(struct boot_info *boot, const struct tag_memory_map *map)
{
    const uint8_t *bytes = (const uint8_t *)map;
    struct memory_map_entry entry;

    if (map->entry_size < sizeof(entry))
        return;
    for (uint64_t at = sizeof(*map); at + map->entry_size <= map->tag.size; at += map->entry_size) {
        memcpy(&entry, bytes + at, sizeof(entry));
        boot_add_range(boot, entry.base, entry.length, entry.type);
    }
}

static void read_framebuffer(struct boot_info *boot, const struct tag_framebuffer *tag)
{
    if (tag->type != FRAMEBUFFER_RGB || !tag->base || !tag->width || !tag->height ||
        (uint64_t)tag->width * tag->bits / 8 > tag->pitch)
        return;
    boot->framebuffer = (struct boot_framebuffer){
        .base = PADDR(tag->base),
        .width = tag->width,
        .height = tag->height,
        .pitch = tag->pitch,
        .bits = tag->bits,
        .red_shift = tag->red_shift,
        .red_bits = tag->red_bits,
        .green_shift = tag->green_shift,
        .green_bits = tag->green_bits,
        .blue_shift = tag->blue_shift,
        .blue_bits = tag->blue_bits,
    };
}

static void read_tag(struct boot_info *boot, const struct tag *tag, uint64_t address)
{
    switch (tag->type) {
    case TAG_COMMAND_LINE:
        boot_set_command_line(boot, (const char *)(tag + 1), tag->size - sizeof(*tag));
        break;
    case TAG_MODULE:
        if (tag->size >= sizeof(struct tag_module))
            read_module(boot, (const struct tag_module *)tag);
        break;
    case TAG_MEMORY_MAP:
        if (tag->size >= sizeof(struct tag_memory_map))
            read_memory_map(boot, (const struct tag_memory_map *)tag);
        break;
    case TAG_FRAMEBUFFER:
        if (tag->size >= TAG_FRAMEBUFFER_SIZE)
            read_framebuffer(boot, (const struct tag_framebuffer *)tag);
        break;
    case TAG_RSDP_OLD:
        if (!boot->rsdp.value)
            boot->rsdp = PADDR(address + sizeof(*tag)); /* a copy, in the tag */
        break;
    case TAG_RSDP:
        boot->rsdp = PADDR(address + sizeof(*tag));
        break;
    }
}

bool boot_read_multiboot(struct boot_info *boot, uint64_t info, const char **reason)
{
    const uint32_t *total = boot_physical(info, 2 * sizeof(uint32_t));

    boot->loader = "Multiboot2";
    *reason = "the Multiboot2 information lies out of reach";
    if (!total || !IS_ALIGNED(info, 8) || *total > INFO_MAX)
        return false;
    uint64_t length = *total;
    const uint8_t *bytes = boot_physical(info, length);
    if (!bytes)
        return false;
    boot->info_start = PADDR(info);
    boot->info_end = PADDR(info + length);

    uint64_t at = 2 * sizeof(uint32_t);
    while (at <= length && length - at >= sizeof(struct tag)) {
        const struct tag *tag = (const struct tag *)(bytes + at);

        if (tag->type == TAG_END || tag->size < sizeof(*tag) || tag->size > length - at)
            break;
        read_tag(boot, tag, info + at);
        at += ALIGN_UP((uint64_t)tag->size, 8);
    }
    *reason = "the loader gave no memory map";
    return boot->range_count != 0;
}
