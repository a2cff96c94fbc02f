/* Huge pages: where there is to be one, and how one becomes small ones, because something is to happen to a part of it.
 *
 * Zeroing 2 MiB for a program that then uses 4 KiB of it costs time and memory, so a program must have shown that it
 * uses what it touches: the span before or behind in the same region must be a huge page already, or nearly full of small
 * ones. Who fills a large array gets small pages for its first 2 MiB and huge ones for the rest; who touches a page here and
 * there, and every program with less than 4 MiB in one piece, has small pages only. So at most half of the
 * memory that a region takes is there in vain. MAP_POPULATE, and HUGE_ALWAYS (madvise), ask for huge pages at once.
 *
 * An owned huge page is one block of frames with an owner for each space that maps it so (fork.c). Split, this space
 * has an owner's part in each of the frames; whoever still maps the block as a whole has so as well (frame.h).
 * The space's lock is held. Nothing has to be flushed: what the entries show and allow is the same as before.
 */
#include "kernel/cpu.h"
#include "kernel/vmm/gather.h"
#include "kernel/vmm/region.h"

#define FULL (TABLE_PAGES - TABLE_PAGES / 16)

/* Whether a program that reached this span has used it. */
static bool used_up(const struct region *region, uint64_t start)
{
    pte_t *entry;
    unsigned used = 0;

    if (start < region->start || start + TABLE_SPAN > region->end)
        return false;
    entry = arch_pte(&region->space->arch, start, false);
    if (!entry || pte_huge(*entry))
        return entry;
    for (unsigned i = 0; i < TABLE_PAGES; i++)
        used += entry[i] != 0;
    return used >= FULL;
}

bool huge_wanted(const struct region *region, uint64_t start, bool populate)
{
    if (!(region->protection & PROT_WRITE_) || region->huge == HUGE_NEVER)
        return false;
    return populate || region->huge == HUGE_ALWAYS || used_up(region, start - TABLE_SPAN) ||
           used_up(region, start + TABLE_SPAN);
}

int huge_split(struct space *space, uint64_t address)
{
    pte_t *entry = arch_pte(&space->arch, address, false);

    if (!entry || !pte_huge(*entry))
        return 0;

    pte_t old = *entry;
    int result =
        space_affords_tables(space) ? arch_huge_split(&space->arch, address) : -E_NO_MEMORY;

    space_tables_made(space);
    if (result != 0)
        return result;
    cpu_self()->huge_pages--;
    if (pte_owned(old))
        frame_block_split(frame_of(pte_paddr(old)), HUGE_ORDER);
    return 0;
}

int huge_split_borders(struct space *space, uint64_t start, uint64_t end)
{
    int result = IS_ALIGNED(start, TABLE_SPAN) ? 0 : huge_split(space, start);

    return result != 0 || IS_ALIGNED(end, TABLE_SPAN) ? result : huge_split(space, end);
}

int huge_split_range(struct space *space, uint64_t start, uint64_t end)
{
    struct walk walk = WALK(&space->arch, start, end);

    while (walk_next(&walk)) {
        int result = walk.huge ? huge_split(space, walk.address) : 0;

        if (result != 0)
            return result;
        if (walk.huge)
            arch_preempt_window();
    }
    return 0;
}
