/* The boot archive's tree: built from any archive, then walked by a path from the same input. */
// sources: bootstrap/tree.c bootstrap/index.c lib/base/tar.c
#include <stdlib.h>
#include <string.h>

#include "abi/errors.h"
#include "bootstrap/tree.h"
#include "tests/fuzz/tar.h"

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
