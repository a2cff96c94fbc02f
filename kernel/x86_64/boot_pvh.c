/* PVH start information, version 1 (xen/include/public/arch-x86/hvm/start_info.h). All of it is read here: nothing has to be
 * kept of it. */
#include "kernel/x86_64/boot_loader.h"
#include "lib/base/string.h"

struct pvh_start {
    uint32_t magic, version, flags;
    uint32_t module_count;
    uint64_t modules; /* struct pvh_module */
    uint64_t command_line;
    uint64_t rsdp;
    /* since version 1 */
    uint64_t memory_map; /* struct pvh_range */
    uint32_t memory_map_count, reserved;
};

struct pvh_module {
    uint64_t base, length, command_line, reserved;
};

struct pvh_range {
    uint64_t base, length;
    uint32_t type; /* as E820 has them */
    uint32_t reserved;
};

static void read_command_line(struct boot_info *boot, uint64_t address)
{
    uint64_t length = BOOT_COMMAND_LINE;
    const char *text;

    /* Its length is not told: take what can be reached. */
    while (length && !(text = boot_physical(address, length)))
        length /= 2;
    if (length)
        boot_set_command_line(boot, text, length);
}

static bool read_memory_map(struct boot_info *boot, const struct pvh_start *start)
{
    uint64_t length = start->memory_map_count * (uint64_t)sizeof(struct pvh_range);
    const uint8_t *bytes = boot_physical(start->memory_map, length);
    struct pvh_range range;

    if (!bytes || !length)
        return false;
    for (uint64_t at = 0; at < length; at += sizeof(range)) {
        memcpy(&range, bytes + at, sizeof(range)); /* nothing promises alignment */
        boot_add_range(boot, range.base, range.length, range.type);
    }
    return true;
}

static void read_module(struct boot_info *boot, const struct pvh_start *start)
{
    const void *first = boot_physical(start->modules, sizeof(struct pvh_module));
    struct pvh_module module;

    if (!start->module_count || !first)
        return;
    memcpy(&module, first, sizeof(module));
    if (module.length && module.base + module.length > module.base) {
        boot->module = PADDR(module.base);
        boot->module_length = module.length;
    }
}

bool boot_read_pvh(struct boot_info *boot, uint64_t info, const char **reason)
{
    const void *bytes = boot_physical(info, sizeof(struct pvh_start));
    struct pvh_start start;

    boot->loader = "PVH";
    *reason = "the PVH start information lies out of reach";
    if (!bytes)
        return false;
    memcpy(&start, bytes, sizeof(start));
    *reason = "PVH start information of version 0: there is no memory map in it";
    if (start.version < 1)
        return false;
    *reason = "the PVH memory map is empty or lies out of reach";
    if (!read_memory_map(boot, &start))
        return false;
    read_module(boot, &start);
    if (start.command_line)
        read_command_line(boot, start.command_line);
    boot->rsdp = PADDR(start.rsdp);
    return true;
}
