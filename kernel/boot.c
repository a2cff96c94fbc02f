/* What the boot information is made of that does not depend on the loader: ranges, command line, options. */
#include "kernel/boot.h"

#include "lib/base/string.h"

struct boot_info boot_info;

/* E820's types, which both loaders use. */
#define E820_RAM  1u
#define E820_ACPI 3u

void boot_add_range(struct boot_info *boot, uint64_t base, uint64_t length, uint32_t e820_type)
{
    enum boot_range_type type = BOOT_RESERVED;

    if (e820_type == E820_RAM)
        type = BOOT_RAM;
    else if (e820_type == E820_ACPI)
        type = BOOT_RECLAIM;
    if (!length || base + length < base)
        return;
    if (boot->range_count == BOOT_RANGES) {
        boot->ranges_cut = true;
        return;
    }
    boot->ranges[boot->range_count++] = (struct boot_range){PADDR(base), length, type};
}

void boot_set_command_line(struct boot_info *boot, const char *text, uint64_t length)
{
    size_t i;

    for (i = 0; i < length && i < BOOT_COMMAND_LINE - 1 && text[i]; i++)
        boot->command_line[i] = text[i];
    boot->command_line[i] = '\0';
}

/* The last of several wins, so that whoever appends to a command line is obeyed. */
const char *boot_option(const char *name, size_t *length)
{
    size_t name_length = strlen(name);
    const char *at = boot_info.command_line, *found = NULL;

    for (;;) {
        while (*at == ' ')
            at++;
        if (!*at)
            return found;
        const char *end = at;
        while (*end && *end != ' ')
            end++;
        if ((size_t)(end - at) >= name_length && memcmp(at, name, name_length) == 0) {
            if (end == at + name_length) {
                found = end;
                *length = 0;
            } else if (at[name_length] == '=') {
                found = at + name_length + 1;
                *length = (size_t)(end - found);
            }
        }
        at = end;
    }
}
