/* SPACE_OP_SYNC: what was written through shared mappings goes to the pagers' media (msync). One region at a time, for each
 * question waits for a service, and nothing of the space is held meanwhile: it may change, and what was unmapped is not
 * looked for.
 */
#include "abi/errors.h"
#include "kernel/vmm/memory.h"
#include "kernel/vmm/pager.h"
#include "kernel/vmm/region.h"

struct piece {
    uint64_t end;          /* of what has been looked at */
    struct memory *memory; /* with a reference; NULL: nothing to ask */
    uint64_t offset, length;
    bool hole;
};

/* From `at` to the end of a region, or of the hole before the next. */
static struct piece next_piece(struct space *space, uint64_t at, uint64_t end)
{
    struct piece piece = {.end = end, .hole = true};

    lock_acquire(&space->lock);

    struct region *region = region_above(space, at);

    if (region && region->start <= at) {
        piece.hole = false;
        piece.end = MIN(end, region->end);
        if (region->shared && region->memory && region->memory->pager &&
            region->maximum & PROT_WRITE_) {
            piece.memory = region->memory;
            piece.offset = region->offset + (at - region->start);
            piece.length = piece.end - at;
            object_get(&piece.memory->object);
        }
    } else if (region) {
        piece.end = MIN(end, region->start);
    }
    lock_release(&space->lock);
    return piece;
}

/* Past the end of memory that has shrunk there is nothing. */
static int sync_piece(const struct piece *piece)
{
    uint64_t size = memory_size(piece->memory);

    if (piece->offset >= size)
        return 0;
    return pager_sync(piece->memory, piece->offset, MIN(piece->length, size - piece->offset));
}

int space_sync(struct space *space, uint64_t address, uint64_t length)
{
    int error = 0;
    bool hole = false;

    if (!IS_ALIGNED(address, (uint64_t)PAGE_SIZE) || !length)
        return -E_INVALID;
    if (length > SPACE_END || address < SPACE_START || address > SPACE_END - length)
        return -E_RANGE;

    uint64_t end = ALIGN_UP(address + length, (uint64_t)PAGE_SIZE);

    while (address < end && !error) {
        struct piece piece = next_piece(space, address, end);

        if (piece.memory) {
            error = sync_piece(&piece);
            object_put(&piece.memory->object);
        }
        hole |= piece.hole;
        address = piece.end;
        arch_preempt_window();
    }
    return error ? error : hole ? -E_FAULT : 0;
}
