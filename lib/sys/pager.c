/* Files in memory: see pager.h. */
#include "lib/sys/pager.h"

#include "lib/sys/map.h"

#define PAGES(size) ALIGN_UP((uint64_t)(size), (uint64_t)PAGE_SIZE)

struct page_request page_request(const struct command *command)
{
    const uint64_t *args = command->message.args;

    return (struct page_request){
        .offset = args[0],
        .length = args[1],
        .write = args[2] & PROT_WRITE_,
        .key = args[3],
    };
}

/* --- Their life ---------------------------------------------------------------------------------------------- */

int64_t paged_open(handle_t port, uint64_t key, uint64_t size, struct paged *paged, bool *existed)
{
    struct abi_kept kept = {.key = key, .flags = KEPT_EXACT};
    int64_t result = sys_port_kept(port, &kept);
    bool found = result == 0;

    if (result == -E_NOT_FOUND) {
        result = sys_memory_paged(port, PAGES(size), key, 0);
        kept.handle = (handle_t)result;
    }
    if (result < 0)
        return result;
    *paged = (struct paged){.port = port, .memory = kept.handle, .key = key, .size = size};
    if (existed)
        *existed = found;
    if (!found || kept.size == PAGES(size))
        return 0;
    result = paged_resize(paged, size);
    if (result < 0)
        paged_close(paged);
    return result;
}

void paged_close(struct paged *paged)
{
    handle_drop(paged->memory);
    paged->memory = HANDLE_NONE;
}

void paged_forget(struct paged *paged)
{
    sys_ignore(sys_port_keep(paged->port, paged->key, HANDLE_NONE));
    paged_close(paged);
}

int64_t paged_resize(struct paged *paged, uint64_t size)
{
    int64_t result = sys_memory_resize(paged->memory, PAGES(size));

    if (result == 0)
        paged->size = size;
    return result;
}

int64_t paged_share(const struct paged *paged, uint32_t rights, handle_t *handle)
{
    int64_t result = sys_handle_duplicate(paged->memory, (rights & ~RIGHT_CONTROL) |
                                                             RIGHT_DUPLICATE | RIGHT_TRANSFER);

    if (result < 0)
        return result;
    *handle = (handle_t)result;
    return 0;
}

int64_t paged_map(const struct paged *paged, uint32_t protection)
{
    return memory_map(paged->memory, 0, paged->size, protection);
}

/* --- Their pages --------------------------------------------------------------------------------------------- */

int64_t paged_supply(const struct paged *paged, uint64_t offset, uint64_t length, handle_t source,
                     uint64_t source_offset, uint32_t flags)
{
    struct abi_supply supply = {.offset = source_offset, .source = source, .flags = flags};
    int64_t pages = sys_memory_op(paged->memory, MEMORY_OP_SUPPLY, offset, length, &supply);

    return MIN(pages, 0);
}

int64_t paged_write_back(const struct paged *paged, uint64_t offset, uint64_t length,
                         paged_writer *write, void *context)
{
    uint64_t at = ALIGN_DOWN(offset, (uint64_t)PAGE_SIZE), end = PAGES(offset + length);
    int64_t first_error = 0;

    end = MIN(end, PAGES(paged->size));
    while (at < end) {
        struct abi_page_run run;
        int64_t pages = sys_memory_op(paged->memory, MEMORY_OP_COLLECT, at, end - at, &run);

        if (pages <= 0)
            return first_error ? first_error : pages;

        int64_t result = write(context, paged, run.offset, run.length);
        uint32_t op = result < 0 ? MEMORY_OP_REDIRTY : MEMORY_OP_WRITTEN;

        sys_ignore(sys_memory_op(paged->memory, op, run.offset, run.length, NULL));
        if (result < 0 && !first_error)
            first_error = result;
        at = run.offset + run.length;
    }
    return first_error;
}

int64_t paged_evict(const struct paged *paged)
{
    return sys_memory_op(paged->memory, MEMORY_OP_EVICT, 0, PAGES(paged->size), NULL);
}

int64_t kept_each(handle_t port, kept_visitor *found, void *context)
{
    struct abi_kept kept = {.key = 0};

    for (;;) {
        kept.flags = 0;

        int64_t result = sys_port_kept(port, &kept);

        if (result == -E_NOT_FOUND)
            return 0;
        if (result == 0)
            result = found(context, &kept);
        if (result != 0 || kept.key == UINT64_MAX)
            return result;
        kept.key++;
    }
}
