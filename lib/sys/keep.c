/* Kept memory: made on first use, mapped shared. */
#include "lib/sys/keep.h"

#include "lib/sys/map.h"

/* The memory under key, at least that long. */
static int64_t memory_find(handle_t port, uint64_t key, size_t length)
{
    struct abi_kept kept = {.key = key, .flags = KEPT_EXACT};
    int64_t result = sys_port_kept(port, &kept);
    if (result == -E_NOT_FOUND) {
        int64_t memory = sys_memory_create(length, 0);
        if (memory < 0)
            return memory;
        kept = (struct abi_kept){.handle = (handle_t)memory, .size = length};
        result = sys_port_keep(port, key, kept.handle);
        if (result < 0)
            handle_drop(kept.handle);
    }
    if (result < 0)
        return result;
    if (kept.size < length)
        result = sys_memory_resize(kept.handle, length);
    if (result < 0) {
        handle_drop(kept.handle);
        return result;
    }
    return kept.handle;
}

void *keep_memory(handle_t port, uint64_t key, size_t length)
{
    int64_t memory = memory_find(port, key, length);
    if (memory < 0)
        return NULL;
    int64_t address = memory_map((handle_t)memory, 0, length, PROT_READ_ | PROT_WRITE_);
    handle_drop((handle_t)memory);
    return address < 0 ? NULL : (void *)address;
}

void keep_release(void *memory, size_t length)
{
    if (memory)
        sys_ignore(sys_space_unmap(HANDLE_SELF, (uintptr_t)memory, length));
}

bool keep_exists(handle_t port, uint64_t key)
{
    handle_t handle = keep_get(port, key);
    handle_drop(handle);
    return handle != HANDLE_NONE;
}
