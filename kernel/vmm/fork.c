/* Copying a space: regions, and the entries of the page tables, which from then on share their frames.
 *
 * Private pages get an owner more and are write-protected on both sides; the first to write copies, the last
 * finds itself the only owner and just writes (fault.c). Borrowed entries are copied as they are. The parent's TLB
 * is flushed once. Nobody else sees the child until its regions are put on their objects' lists, at the very end
 * and still under the parent's lock: mapping.c says why that is early enough.
 */
#include "kernel/vmm/gather.h"
#include "kernel/vmm/region.h"

struct copying {
    struct space *parent, *child;
    struct gather touched; /* the parent's entries that lost PAGE_WRITE */
    uint64_t table;        /* the TABLE_SPAN that entries belongs to */
    pte_t *entries;        /* of the child */
};

static int copy_region(struct space *child, const struct region *region)
{
    struct region *copy = region_new();

    if (!copy)
        return -E_NO_MEMORY;
    copy->start = region->start;
    copy->end = region->end;
    copy->offset = region->offset;
    copy->protection = region->protection;
    copy->maximum = region->maximum;
    copy->shared = region->shared;
    copy->memory = region->memory;
    if (copy->memory)
        object_get(&copy->memory->object);
    region_append(child, copy);
    return 0;
}

static pte_t *child_entry(struct copying *copying, uint64_t address)
{
    uint64_t table = ALIGN_DOWN(address, TABLE_SPAN);

    if (unlikely(table != copying->table)) {
        copying->entries = arch_pte(&copying->child->arch, table, true);
        if (!copying->entries)
            return NULL;
        copying->table = table;
    }
    return copying->entries + (address - table) / PAGE_SIZE;
}

static int copy_entries(struct copying *copying, const struct region *region)
{
    struct walk walk = WALK(&copying->parent->arch, region->start, region->end);
    pte_t *entry;

    while ((entry = walk_next(&walk)) != NULL) {
        pte_t *copy = child_entry(copying, walk.address);
        pte_t old = *entry;

        if (unlikely(!copy))
            return -E_NO_MEMORY;
        if (pte_flags(old) & PAGE_OWNED) {
            if (pte_flags(old) & PAGE_WRITE) {
                *entry = old = pte_make(pte_paddr(old), pte_flags(old) & ~PAGE_WRITE);
                gather_touch(&copying->touched, walk.address);
            }
            frame_get(frame_of(pte_paddr(old)));
            copying->child->owned_pages++;
        }
        *copy = old;
        if (++copying->touched.steps % WALK_BATCH == 0)
            arch_preempt_window();
    }
    return 0;
}

static int copy_locked(struct copying *copying)
{
    int result = 0;

    for (struct rb_node *node = rb_first(&copying->parent->regions); node && result == 0;
         node = rb_next(node)) {
        const struct region *region = container_of(node, struct region, node);

        result = copy_region(copying->child, region);
        if (result == 0)
            result = copy_entries(copying, region);
    }
    gather_flush(&copying->touched);
    if (result != 0)
        return result;
    for (struct rb_node *node = rb_first(&copying->child->regions); node; node = rb_next(node))
        region_link(container_of(node, struct region, node), false);
    copying->child->next_free = copying->parent->next_free;
    return 0;
}

int space_fork(struct space *parent, struct space **result)
{
    struct copying copying = {.parent = parent, .table = UINT64_MAX};
    int error = space_new(&copying.child);

    if (error != 0)
        return error;
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
