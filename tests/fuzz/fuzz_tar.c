/* The tar reader must survive every archive; whatever it names must lie inside. */
// sources: lib/base/tar.c
#include <stdlib.h>

#include "lib/base/tar.h"
#include "tests/fuzz/tar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size + 1);
    uint8_t sink = 0;
    if (!copy)
        return 0;
    __builtin_memcpy(copy, data, size);
    checksums_mend(copy, size);
    struct tar_reader reader = {.data = copy, .length = size};
    struct tar_entry entry;
    while (tar_next(&reader, &entry) > 0) {
        for (size_t i = 0; i < entry.name_length; i++)
            sink ^= (uint8_t)entry.name[i];
        for (size_t i = 0; i < entry.link_length; i++)
            sink ^= (uint8_t)entry.link[i];
        for (size_t i = 0; i < entry.size; i++)
            sink ^= entry.data[i];
    }
    __asm__ volatile("" : : "r"(sink)); /* the reads happen */
    free(copy);
    return 0;
}
