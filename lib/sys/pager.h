/* Files in memory, for the service behind them: one object per file is the cache, every client's mapping, and what a read
 * is answered from. docs/pagers.md has the rules.
 *
 *     static int64_t page_in(void *context, struct command *command)             operations[OP_PAGE_IN]
 *     {
 *         struct page_request want = page_request(command);
 *         struct file *file = file_by_key(context, want.key);
 *         ...read the medium at want.offset, up to want.length, into scratch memory...
 *         return paged_supply(&file->paged, want.offset, length, scratch, 0, SUPPLY_MOVE);
 *     }
 *
 *     paged_open(port, key, size, &paged)          what the port keeps under key, or new memory
 *     paged_share(&paged, RIGHT_READ | ..., &handle)     what a client gets, without RIGHT_CONTROL
 *     paged_write_back(&paged, 0, size, write, context)  everything dirty to the medium
 *     paged_close(&paged)                          memory stays with the port
 *     paged_forget(&paged)                         the file is gone
 *     kept_each(port, found, context)              after a restart: what the last instance left
 *
 * A service may map the object (paged_map) and touch pages it has supplied itself; an absent page is its own question,
 * which the kernel refuses. Calls return 0 or a count, or -E_*. No locks: one thread at a time per object, but for paged_supply.
 */
#pragma once

#include "lib/sys/service.h"

struct paged {
    handle_t port; /* not owned */
    handle_t memory;
    uint64_t key;
    uint64_t size; /* bytes; the memory is as many whole pages */
};

/* What the kernel asks for with OP_PAGE_IN and OP_PAGE_OUT. */
struct page_request {
    uint64_t key, offset, length;
    bool write; /* PAGE_IN: for a write to the page */
};

struct page_request page_request(const struct command *command);

/* *existed, unless NULL: it was kept, with whatever pages it has. */
MUST_CHECK int64_t paged_open(handle_t port, uint64_t key, uint64_t size, struct paged *paged,
                              bool *existed);
void paged_close(struct paged *paged);
void paged_forget(struct paged *paged);
/* Cut or lengthened; clients' accesses past the last page raise. Pages added are absent: they will be asked for. */
MUST_CHECK int64_t paged_resize(struct paged *paged, uint64_t size);
/* rights: RIGHT_READ, _WRITE, _EXECUTE; the handle can be duplicated and passed on. */
MUST_CHECK int64_t paged_share(const struct paged *paged, uint32_t rights, handle_t *handle);
/* Into the service's own space, shared; the address. */
MUST_CHECK int64_t paged_map(const struct paged *paged, uint32_t protection);
/* Page-aligned; pages that are there already stay as they are. flags: SUPPLY_*. */
MUST_CHECK int64_t paged_supply(const struct paged *paged, uint64_t offset, uint64_t length,
                                handle_t source, uint64_t source_offset, uint32_t flags);

/* Writes pages [offset, offset + length) of the object to the medium: 0 or -E_*. */
typedef int64_t paged_writer(void *context, const struct paged *paged, uint64_t offset,
                             uint64_t length);
/* Dirty pages of the range, a run at a time. What a write fails for is dirty again; the first error is returned, after
 * the rest was tried. */
MUST_CHECK int64_t paged_write_back(const struct paged *paged, uint64_t offset, uint64_t length,
                                    paged_writer *write, void *context);
/* Clean pages go; the count. */
MUST_CHECK int64_t paged_evict(const struct paged *paged);

/* Each object the port keeps, by key, until found answers something else than 0, which is then returned. The handle is
 * found's to close. */
typedef int64_t kept_visitor(void *context, const struct abi_kept *kept);
MUST_CHECK int64_t kept_each(handle_t port, kept_visitor *found, void *context);
