/* File contents as memory objects of their own, so that MAP hands out one file and nothing else. */
#include "bootstrap/tree.h"
#include "lib/sys/map.h"

int64_t content_create(uint64_t size, uint8_t **data, handle_t *memory)
{
    uint64_t pages = ALIGN_UP(size, PAGE_SIZE);
    int64_t result = sys_memory_create(pages, 0);
    if (result < 0)
        return result;
    *memory = (handle_t)result;
    result = memory_map(*memory, 0, pages, PROT_READ_ | PROT_WRITE_);
    if (result < 0) {
        handle_drop(*memory);
        return result;
    }
    *data = (uint8_t *)result;
    return 0;
}

void content_destroy(uint8_t *data, uint64_t size, handle_t memory)
{
    sys_ignore(sys_space_unmap(HANDLE_SELF, (uintptr_t)data, ALIGN_UP(size, PAGE_SIZE)));
    handle_drop(memory);
}

void content_seal(uint8_t *data, uint64_t size)
{
    sys_ignore(
        sys_space_protect(HANDLE_SELF, (uintptr_t)data, ALIGN_UP(size, PAGE_SIZE), PROT_READ_));
}
