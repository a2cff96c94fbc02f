/* The boot archive's tree: built from any archive, then walked by a path from the same input. */
// sources: bootstrap/tree.c bootstrap/index.c lib/base/tar.c
#include <stdlib.h>
#include <string.h>

#include "abi/errors.h"
#include "bootstrap/tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int64_t content_create(uint64_t size, uint8_t **data, handle_t *memory)
{
    *data = calloc(1, size);
    *memory = 1;
    return *data ? 0 : -E_NO_MEMORY;
}

void content_destroy(uint8_t *data, uint64_t size, handle_t memory)
{
    (void)size;
    (void)memory;
    free(data);
}

void content_seal(uint8_t *data, uint64_t size)
{
    (void)data;
    (void)size;
}

/* Makes the checksums right, so that the fuzzer gets past them. */
static void checksums_mend(uint8_t *data, size_t size)
{
    for (size_t at = 0; at + 512 <= size; at += 512) {
        unsigned sum = 0;
        if (data[at + 148] != '?')
            continue;
        for (int i = 0; i < 512; i++)
            sum += i >= 148 && i < 156 ? ' ' : data[at + (size_t)i];
        for (int i = 0; i < 6; i++)
            data[at + 148 + (size_t)i] = (uint8_t)('0' + (sum >> (15 - 3 * i) & 7));
        data[at + 154] = 0;
        data[at + 155] = ' ';
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct tree tree;
    struct walk walk;
    if (size < 64)
        return 0;
    uint8_t *copy = malloc(size);
    if (!copy)
        return 0;
    memcpy(copy, data, size);
    checksums_mend(copy + 64, size - 64);
    const char *problem = tree_build(&tree, copy + 64, size - 64);
    if (!problem && !tree.root)
        abort();
    for (uint32_t flags = 0; flags <= WALK_FOLLOW; flags++) {
        int64_t result = tree_walk(&tree, (const char *)copy, 64, flags, &walk);
        if (result == -E_LINK)
            free(walk.link);
        else if (result == 0 && !walk.node)
            abort();
    }
    tree_destroy(&tree);
    free(copy);
    return 0;
}
