/* What may be done with mapped memory, and whether in huge pages: see space.h. */
#include "kernel/vmm/gather.h"
#include "kernel/vmm/range.h"

/* What becomes of an entry when its region's protection changes. Of a huge page: never to no access at all, such pages
 * are split before. */
static pte_t protected_huge(const struct region *region, pte_t old)
{
    unsigned flags = pte_flags(old) & (PAGE_OWNED | PAGE_NOCACHE | PAGE_COMBINE);
    bool write = pte_writable(old);

    if (pte_owned(old))
        write = frame_block_alone(frame_of(pte_paddr(old)));
    if (write && region->protection & PROT_WRITE_)
        flags |= PAGE_WRITE;
    return pte_replacing(pte_make_huge(pte_paddr(old), flags | region_page_flags(region)));
}

static pte_t protected_entry(const struct region *region, pte_t old)
{
    unsigned flags = pte_flags(old);
    bool owned = flags & PAGE_OWNED, write = flags & PAGE_WRITE;

    if (region->protection == 0)
        return owned ? pte_hide(pte_make(pte_paddr(old), PAGE_USER | PAGE_OWNED)) : 0;
    flags &= PAGE_OWNED | PAGE_NOCACHE | PAGE_COMBINE;
    if (owned)
        write = frame_owners(frame_of(pte_paddr(old))) == 1;
    if (write && region->protection & PROT_WRITE_)
        flags |= PAGE_WRITE;
    return pte_replacing(pte_make(pte_paddr(old), flags | region_page_flags(region)));
}

static void protect_entries(struct gather *gather, const struct region *region)
{
    struct walk walk = WALK(&gather->space->arch, region->start, region->end);
    pte_t *entry;

    while ((entry = walk_next(&walk)) != NULL) {
        pte_t old = *entry;
        unsigned lost;

        *entry = walk.huge ? protected_huge(region, old) : protected_entry(region, old);
        lost = pte_present(old) ? pte_flags(old) : 0;
        if (*entry && pte_present(*entry))
            lost &= ~pte_flags(*entry);
        if (lost)
            gather_touch_range(gather, walk.address, walk_size(&walk));
        if (++gather->steps % WALK_BATCH == 0)
            arch_preempt_window();
    }
}

static int check_protect(struct space *space, uint64_t start, uint64_t end, uint32_t protection)
{
    if (!region_covers(space, start, end))
        return -E_FAULT;
    for (struct region *region = region_above(space, start); region && region->start < end;
         region = region_next(region)) {
        int result = check_protection(protection, region->maximum);

        if (result != 0)
            return result;
    }
    return check_amount(space, end - start, protection);
}

int space_protect_range(struct space *space, uint64_t start, uint64_t length, uint32_t protection)
{
    uint64_t end;
    int result = check_range(start, length, &end);
    struct gather gather;

    if (result == 0)
        result = check_protection(protection, PROT_ALL);
    if (result != 0)
        return result;
    gather_start(&gather, space);
    lock_acquire(&space->lock);
    result = check_protect(space, start, end, protection);
    if (result == 0 && protection == 0) /* hidden pages are small */
        result = huge_split_range(space, start, end);
    if (result == 0)
        result = make_borders(space, start, end, &gather.regions);
    if (result == 0) {
        for (struct region *region = region_above(space, start); region && region->start < end;
             region = region_next(region)) {
            if (region->protection == protection)
                continue;
            region->protection = protection;
            protect_entries(&gather, region);
        }
        region_merge(space, start, end, &gather.regions);
        gather_flush(&gather);
    }
    lock_release(&space->lock);
    gather_finish(&gather);
    return result;
}

int space_advise_huge(struct space *space, uint64_t start, uint64_t length, unsigned huge)
{
    uint64_t end;
    int result = check_range(start, length, &end);
    struct gather gather;

    if (result == 0 && huge > HUGE_NEVER)
        result = -E_INVALID;
    if (result != 0)
        return result;
    gather_start(&gather, space);
    lock_acquire(&space->lock);
    result = region_covers(space, start, end) ? 0 : -E_FAULT;
    if (result == 0)
        result = make_borders(space, start, end, &gather.regions);
    for (struct region *region = region_above(space, start);
         result == 0 && region && region->start < end; region = region_next(region))
        region->huge = (uint8_t)huge;
    region_merge(space, start, end, &gather.regions);
    lock_release(&space->lock);
    gather_finish(&gather);
    return result;
}
