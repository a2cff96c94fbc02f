/* Memory whose pages a service supplies: files in memory, one frame for every reader.
 *
 *     memory_new_paged(size, port, key, &memory)      absent pages are asked of the port's service
 *     pager_fetch(memory, index, how)                 a page is wanted and absent: ask, or wait for who asked
 *     pager_supply(memory, ..., source, ...)          the service's answer: pages of another object
 *     pager_dirty, pager_collect, pager_written, pager_redirty, pager_evict, pager_sync      what is dirty, and writing it
 *     pager_present(memory, ..., words)               which pages are there
 *
 * A slot of such an object is, under memory->lock, in one of these states:
 *
 *                pager_fetch                 pager_supply                write fault, memory_write
 *      ABSENT ---------------> IN TRANSIT ----------------> CLEAN ---------------------------------> DIRTY
 *        ^  ^ service's error  |                            |  ^                                    | ^ ^
 *        |  +------------------+                 pager_evict|  | pager_written         pager_collect| | | redirty,
 *        +--------------------------------------------------+  |                                    v | | service died
 *        ^ pager_supply without a question: ABSENT -> CLEAN    +------------------------------- WRITING -+
 *        |  or, with SUPPLY_DIRTY, -> DIRTY
 *        +-- memory_decommit, memory_resize: from any
 *
 * IN TRANSIT is no entry of the tree: a `transit` on the asking thread's stack, in pager->transits by its pages, says that
 * a command (OP_PAGE_IN, the thread's own: nothing is allocated) is under way. Others who want one of these pages wait on
 * the transit's list; a supplied page wakes those who want it at once, the command's end all others: they look
 * again, or get the command's error. When the asker was killed, the first that looks again asks.
 * CLEAN pages are mapped read-only, so the first write faults and makes the page DIRTY. WRITING is what was collected and is on
 * its way to the medium; written to again it is DIRTY as well. DIRTY and WRITING are marks of the tree (tree.h), so they
 * outlive the service.
 *
 * What must not happen:
 *   - A service that waits for its own answer: a process that serves the port is refused (E_DEADLOCK).
 *   - A service that waits for a client's memory, or a dying client for a service that waits: while a service copies
 *     to or from a client's window, nobody waits for a pager (pager_forbid; accept.c, copy.c). The copy ends
 *     short; the client fetches the page itself and its command is sent again, the service's buffer is fetched between
 *     two tries.
 * Everybody else waits as for any command: killable; the fault of a program can be kicked, too. When the service
 * dies the command is sent again to the next one, which knows the object by its key (port_kept); if none comes
 * the error is E_SERVICE_DOWN.
 *
 * Lock: memory->lock for all of it. The pager and its port are the object's for life.
 */
#pragma once

#include "kernel/sched/thread.h"
#include "kernel/vmm/memory.h"
#include "lib/base/rbtree.h"

struct pager {
    struct object *port; /* a reference */
    uint64_t key;        /* the service's name for the object */
    struct rb_tree transits;
    struct memory *
        source; /* a reference: what answers take their pages from; NULL: the service supplies them */
    unsigned source_flags; /* SUPPLY_* */
    uint64_t supplied;     /* pages, ever */
};

/* port: the reference is the object's own. E_RANGE, E_NO_MEMORY. */
int memory_new_paged(uint64_t size, struct object *port, uint64_t key,
                     struct memory **memory) MUST_CHECK;
void pager_destroy(struct pager *pager); /* NULL allowed */

/* Page `index` was absent. 0: look again. May block; no locks held. E_DEADLOCK: the caller serves the port. E_AGAIN: the caller
 * must not wait now. E_INTERRUPTED: killed or, with PAGE_KICKABLE, kicked. E_SERVICE_DOWN, E_IO: also an answer
 * that supplied nothing; other errors are the service's. */
int pager_fetch(struct memory *memory, uint64_t index, unsigned how) MUST_CHECK;

/* Pages of source become those of [offset, offset + length) where these are absent: shared, copied on write; or, with
 * SUPPLY_MOVE, taken out of source; with SUPPLY_DIRTY they are dirty. What source lacks is supplied as zeros. Page-aligned.
 * Pinned and physical sources are copied. *pages: how many were supplied, also on error. E_INVALID, E_RANGE, E_NOT_SUPPORTED (no pager; such a source),
 * E_NO_MEMORY, and what fetching from a source that has a pager brings. */
int pager_supply(struct memory *memory, uint64_t offset, uint64_t length, struct memory *source,
                 uint64_t source_offset, unsigned flags, uint64_t *pages) MUST_CHECK;

/* From now on an answer may name pages of source (NULL: no more), which are then supplied by whoever asked, with these
 * flags. E_INVALID, E_NOT_SUPPORTED (no pager; such a source, or one with a pager itself). */
int pager_set_source(struct memory *memory, struct memory *source, unsigned flags) MUST_CHECK;

/* --- Writing back (writeback.c). Ranges are page-aligned: E_INVALID, E_RANGE; E_NOT_SUPPORTED: no pager ------ */

#define PAGER_PRESENT 2048u /* so that a lock is not held for long */

struct page_run {
    uint64_t first, count; /* count 0: there is none */
};

/* The first dirty pages of the range that lie together, some hundred at most. */
int pager_dirty(struct memory *memory, uint64_t offset, uint64_t length,
                struct page_run *run) MUST_CHECK;
/* The same, and they are WRITING now, read-only in every space. One service thread writes a page at a time. */
int pager_collect(struct memory *memory, uint64_t offset, uint64_t length,
                  struct page_run *run) MUST_CHECK;
/* They are on the medium; or they are not, and dirty again. */
int pager_written(struct memory *memory, uint64_t offset, uint64_t length) MUST_CHECK;
int pager_redirty(struct memory *memory, uint64_t offset, uint64_t length) MUST_CHECK;
/* Clean pages of the range go. */
int pager_evict(struct memory *memory, uint64_t offset, uint64_t length,
                uint64_t *pages) MUST_CHECK;
/* Ask the service (OP_PAGE_OUT) to write back what is dirty there. May block. */
int pager_sync(struct memory *memory, uint64_t offset, uint64_t length) MUST_CHECK;
/* words: a bit for each page of the range that is there; up to PAGER_PRESENT pages. */
int pager_present(struct memory *memory, uint64_t offset, uint64_t length,
                  uint64_t *words) MUST_CHECK;
/* A new instance has it: what the last one was writing may not be on the medium. */
void pager_restart(struct memory *memory);

/* Between them the current thread does not wait for pagers: E_AGAIN, and a user copy fails. */
static inline void pager_forbid(void)
{
    struct thread *self = thread_current();

    self->paging_forbidden = true;
    self->missed_page = 0;
}

static inline void pager_permit(void)
{
    thread_current()->paging_forbidden = false;
}

/* Did a fault in between fail for that reason, in the thread's own process? */
static inline bool pager_missed(void)
{
    return thread_current()->missed_page != 0;
}

/* Now it may wait: have that page. False: there was none, or it cannot be had. No locks held. */
bool pager_fetch_missed(void);

/* --- What the relay does for it (kernel/ipc/paging.c) ----------------------------------------------------- */

/* What a service may say about the pages: where they are in pager->source. length 0: nothing. */
struct pager_answer {
    uint64_t offset, length;
};

/* One command to the service and its answer, by the current thread. */
int pager_ask(const struct pager *pager, uint32_t op, uint64_t offset, uint64_t length,
              unsigned how, struct pager_answer *answer) MUST_CHECK;
/* Does the current process serve the port? */
bool pager_serves(const struct pager *pager);
