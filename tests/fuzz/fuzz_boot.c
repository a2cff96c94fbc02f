// sources: kernel/boot.c kernel/x86_64/boot_multiboot.c kernel/x86_64/boot_pvh.c
/* The input is physical memory from 0x10000 on, with a loader's structure at its start: the first byte chooses whose.
 * What is read is checked for what the rest of the kernel relies on. */
#include <stdlib.h>
#include <string.h>

#include "kernel/x86_64/boot_loader.h"

#define BASE UINT64_C(0x10000)

static uint8_t *memory;
static uint64_t size;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

const void *boot_physical(uint64_t address, uint64_t length)
{
    if (address < BASE || address - BASE > size || length > size - (address - BASE))
        return NULL;
    return memory + (address - BASE);
}

static void check(int condition)
{
    if (!condition)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    static struct boot_info boot;
    const char *reason = NULL;
    size_t value;

    if (length < 2)
        return 0;
    size = length - 1;
    memory = malloc(size); /* its own block: the sanitizer sees the end */
    memcpy(memory, data + 1, size);
    memset(&boot, 0, sizeof(boot));
    bool good = data[0] & 1 ? boot_read_pvh(&boot, BASE, &reason)
                            : boot_read_multiboot(&boot, BASE, &reason);
    check(reason != NULL && boot.loader != NULL);
    check(boot.range_count <= BOOT_RANGES && (!good || boot.range_count || boot.loader[0] == 'P'));
    for (uint32_t i = 0; i < boot.range_count; i++)
        check(boot.ranges[i].length &&
              boot.ranges[i].base.value + boot.ranges[i].length >= boot.ranges[i].base.value);
    check(memchr(boot.command_line, 0, sizeof(boot.command_line)) != NULL);
    check(boot.module.value + boot.module_length >= boot.module.value);
    boot_info = boot;
    boot_option("log", &value);
    free(memory);
    return 0;
}
