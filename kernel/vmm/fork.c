/* Copying a space: regions, and the entries of the page tables, which from then on share their frames.
 *
 * But not all. A process that forks has a few pages that it writes to between any two forks, as does the child at once:
 * stacks, what the C library and the personality keep. Shared, each would cost a fault on both sides. PAGE_HOT marks a
 * page that was written to after an earlier fork; if it was again since the last one (it is dirty), it is copied here and
 * stays writable on both sides, up to HOT_COPIES of them. So who forks for the first time copies nothing, and who never
 * writes again pays at most once. A thread of the parent that runs meanwhile could change a page while it is copied, so
 * this is for a parent that is known to have no other thread.
 *
 * Private pages get an owner more and are write-protected on both sides; the first to write copies, the last
 * finds itself the only owner and just writes (fault.c). Borrowed entries are copied as they are. The parent's TLB
 * is flushed once. Nobody else sees the child until its regions are put on their objects' lists, at the very end
 * and still under the parent's lock: mapping.c says why that is early enough.
 */
#include "kernel/cpu.h"
#include "kernel/vmm/gather.h"
#include "kernel/vmm/region.h"
#include "lib/base/string.h"

#define HOT_COPIES 16u

struct copying {
    struct space *parent, *child;
    unsigned copies;       /* that may still be made */
    struct gather touched; /* the parent's entries that lost PAGE_WRITE */
    uint64_t table;        /* the TABLE_SPAN that entries belongs to */
    pte_t *entries;        /* of the child */
};

static int copy_region(struct space *child, const struct region *region)
{
    struct region *copy = space_affords_regions(child, 1) ? region_copy(region) : NULL;

    if (!copy)
        return -E_NO_MEMORY;
    region_insert(child, copy, NULL);
    child->mapped += copy->end - copy->start;
    return 0;
}

static pte_t *child_entry(struct copying *copying, uint64_t address)
{
    uint64_t table = ALIGN_DOWN(address, TABLE_SPAN);

    if (unlikely(table != copying->table)) {
        copying->entries = arch_pte(&copying->child->arch, table, true); /* paid for */
        if (!copying->entries)
            return NULL;
        copying->table = table;
    }
    return copying->entries + (address - table) / PAGE_SIZE;
}

/* Both sides get a page of their own, writable and clean; false: they are to share it. */
static bool copy_hot(struct copying *copying, pte_t *entry, pte_t *copy)
{
    unsigned flags = pte_flags(*entry);
    struct frame *frame;

    if (!(flags & PAGE_HOT) || !pte_dirty(*entry) || copying->copies == 0 ||
        !purse_has(&copying->child->purse, PAGE_SIZE) || frame_alloc(0, &frame) != 0)
        return false;
    purse_spend(&copying->child->purse, PAGE_SIZE);
    copying->copies--;
    memcpy(frame_data(frame), direct_map(pte_paddr(*entry)), PAGE_SIZE);
    *entry = pte_clean(*entry);
    *copy = pte_make(frame_paddr(frame), flags);
    return true;
}

static void share_owned(struct copying *copying, uint64_t address, pte_t *entry, pte_t *copy)
{
    pte_t old = *entry;

    copying->child->owned_pages++;
    if (pte_writable(old)) {
        gather_touch(&copying->touched, address);
        if (copy_hot(copying, entry, copy))
            return;
        *entry = old = pte_clean(pte_protect(old));
    }
    frame_get(frame_of(pte_paddr(old)));
    *copy = old;
}

/* Both sides keep the huge page, with one owner more; who writes first splits it, if the other still has it then. So a child
 * that soon executes something else costs its parent one fault. */
static COLD int copy_huge(struct copying *copying, uint64_t address, pte_t *entry)
{
    struct space *child = copying->child;
    pte_t *copy = arch_huge_entry(&child->arch, address);

    if (!copy)
        return -E_NO_MEMORY;
    if (pte_owned(*entry)) {
        if (pte_writable(*entry)) {
            gather_touch_range(&copying->touched, address, TABLE_SPAN);
            *entry = pte_protect(*entry);
        }
        frame_block_get(frame_of(pte_paddr(*entry)), HUGE_ORDER);
        child->owned_pages += TABLE_PAGES;
    }
    cpu_self()->huge_pages++;
    *copy = *entry;
    return 0;
}

static int copy_entries(struct copying *copying, const struct region *region)
{
    struct walk walk = WALK(&copying->parent->arch, region->start, region->end);
    pte_t *entry;

    while ((entry = walk_next(&walk)) != NULL) {
        if (unlikely(walk.huge)) {
            int result = copy_huge(copying, walk.address, entry);

            if (result != 0)
                return result;
            continue;
        }

        pte_t *copy = child_entry(copying, walk.address);
        pte_t old = *entry;

        if (unlikely(!copy))
            return -E_NO_MEMORY;
        if (pte_owned(old))
            share_owned(copying, walk.address, entry, copy);
        else
            *copy = old;
        if (++copying->touched.steps % WALK_BATCH == 0)
            arch_preempt_window();
    }
    return 0;
}

/* The parent's tables are the most that the child may need; what it does not is given back when it is complete. */
static bool pay_for_tables(struct space *child, uint64_t tables)
{
    if (!purse_pay(&child->purse, tables * PAGE_SIZE))
        return false;
    child->tables_paid = tables;
    return true;
}

static int copy_locked(struct copying *copying)
{
    int result = pay_for_tables(copying->child, copying->parent->tables_paid) ? 0 : -E_NO_MEMORY;

    for (const struct region *region = region_first(copying->parent); region && result == 0;
         region = region_next(region)) {
        result = copy_region(copying->child, region);
        if (result == 0)
            result = copy_entries(copying, region);
    }
    space_tables_gone(copying->child);
    gather_flush(&copying->touched);
    if (result != 0)
        return result;
    for (struct region *region = region_first(copying->child); region; region = region_next(region))
        region_link(region, false);
    copying->child->next_free = copying->parent->next_free;
    copying->child->paged = copying->parent->paged;
    return 0;
}

int space_fork(struct space *parent, bool alone, struct space **result)
{
    struct copying copying = {
        .parent = parent, .copies = alone ? HOT_COPIES : 0, .table = UINT64_MAX};
    int error = space_new(parent->purse.account, &copying.child);

    if (error != 0)
        return error;
    copying.child->system = parent->system;
    gather_start(&copying.touched, parent);
    lock_acquire(&parent->lock);
    error = copy_locked(&copying);
    lock_release(&parent->lock);
    if (error != 0) {
        space_put(copying.child);
        return error;
    }
    *result = copying.child;
    return 0;
}
