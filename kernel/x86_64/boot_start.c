/* The first C code: find out who loaded us, fill in boot_info, go on to kernel_main.
 *
 *     boot.S --> boot_start(magic, info) --> boot_read_multiboot | boot_read_pvh --> kernel_main(&boot_info)
 *
 * Runs on the first page tables: all that is looked at must lie below 4 GiB.
 */
#include "kernel/panic.h"
#include "kernel/x86_64/boot_loader.h"
#include "kernel/x86_64/machine.h"
#include "lib/base/string.h"

#define EARLY_LIMIT (UINT64_C(4) << 30)

extern const char kernel_physical_start[], kernel_image_end[];

void boot_start(uint32_t magic, uint32_t info);

const void *boot_physical(uint64_t address, uint64_t length)
{
    if (!address || address >= EARLY_LIMIT || length > EARLY_LIMIT - address)
        return NULL;
    return direct_map(PADDR(address));
}

void boot_start(uint32_t magic, uint32_t info)
{
    const char *reason = "neither Multiboot2 nor PVH";
    bool good = false;

    cpu_boot_init();
    boot_info.kernel_start = PADDR((uint64_t)kernel_physical_start);
    boot_info.kernel_end = direct_map_paddr(kernel_image_end);

    const uint32_t *first_word = boot_physical(info, sizeof(*first_word));
    if (magic == MULTIBOOT2_MAGIC)
        good = boot_read_multiboot(&boot_info, info, &reason);
    else if (first_word && *first_word == PVH_MAGIC)
        good = boot_read_pvh(&boot_info, info, &reason);
    if (!good)
        panic("cannot boot: %s", reason);
    kernel_main(&boot_info);
}
