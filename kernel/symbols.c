/* Look a kernel address up in the generated symbol table: a binary search, no locks, safe in a panic. */
#include "kernel/symbols.h"

#include <stddef.h>

struct kernel_symbol {
    uint64_t address;
    uint64_t name_offset; /* into kernel_symbol_names */
};

/* From tools/symbols.py, sorted by address. */
extern const uint64_t kernel_symbol_count;
extern const struct kernel_symbol kernel_symbols[];
extern const char kernel_symbol_names[];

const char *symbol_find(uint64_t address, uint64_t *offset)
{
    uint64_t low = 0, high = kernel_symbol_count;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (kernel_symbols[middle].address <= address)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0)
        return NULL;
    *offset = address - kernel_symbols[low - 1].address;
    return kernel_symbol_names + kernel_symbols[low - 1].name_offset;
}
