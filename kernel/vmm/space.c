/* Address spaces: their life, and what changes their regions. See space.h.
 *
 * Every operation has the same shape: check, lock, make borders where the range starts and ends (the only thing
 * that may fail, and is undone by merging), change regions and entries, one flush, unlock, free what was taken out.
 */
#include "kernel/vmm/fault.h"
#include "kernel/vmm/gather.h"
#include "kernel/vmm/heap.h"
#include "kernel/vmm/range.h"

#include "kernel/panic.h"

static struct cache space_cache = CACHE_INIT("space", sizeof(struct space), 64);

/* --- Life ------------------------------------------------------------------------------------------------------ */

#define PURSE_BATCH (32 * PAGE_SIZE)                   /* most forks need no more */
#define SPACE_BYTES (sizeof(struct space) + PAGE_SIZE) /* with the root of its tables */

int space_new(struct account *account, struct space **result)
{
    struct space *space = cache_alloc(&space_cache);

    if (!space)
        return -E_NO_MEMORY;
    purse_open(&space->purse, account, PURSE_BATCH);
    if (!purse_has(&space->purse, SPACE_BYTES) || arch_space_init(&space->arch) != 0) {
        purse_close(&space->purse);
        cache_free(&space_cache, space);
        return -E_NO_MEMORY;
    }
    purse_spend(&space->purse, SPACE_BYTES);
    space->references = 1;
    list_init(&space->order);
    space->next_free = SPACE_AUTO_START;
    space->most = MIN(frame_count_total() * PAGE_SIZE, account_quota(account, QUOTA_MEMORY).limit);
    lock_init(&space->lock, RANK_SPACE, "space");
    *result = space;
    return 0;
}

void space_get(struct space *space)
{
    __atomic_fetch_add(&space->references, 1, __ATOMIC_RELAXED);
}

bool space_try_get(struct space *space)
{
    uint32_t references = __atomic_load_n(&space->references, __ATOMIC_RELAXED);

    do {
        if (references == 0)
            return false;
    } while (!__atomic_compare_exchange_n(&space->references, &references, references + 1, true,
                                          __ATOMIC_ACQUIRE, __ATOMIC_RELAXED));
    return true;
}

static inline void take_region(struct gather *gather, struct region *region)
{
    gather_unmap(gather, region->start, region->end, GATHER_ALL);
    region_remove(gather->space, region);
    gather->space->mapped -= region->end - region->start;
    region_unlink(region);
    chain_push(&gather->regions, &region->mapping);
}

/* Unmap whole regions, from this one on. */
static void take_regions(struct gather *gather, struct region *region, uint64_t end)
{
    while (region && region->start < end) {
        struct region *next = region_next(region);

        take_region(gather, region);
        region = next;
    }
}

static void unmap_everything(struct space *space, bool dead)
{
    struct gather gather;

    gather_start(&gather, space);
    gather.dead = dead;
    lock_acquire(&space->lock);
    take_regions(&gather, region_first(space), SPACE_END);
    gather_flush(&gather);
    lock_release(&space->lock);
    gather_finish(&gather);
}

void space_leave(struct space *space)
{
    if (__atomic_load_n(&space->references, __ATOMIC_ACQUIRE) == 1)
        unmap_everything(space, false);
}

void space_put(struct space *space)
{
    if (__atomic_sub_fetch(&space->references, 1, __ATOMIC_ACQ_REL) != 0)
        return;
    unmap_everything(space, true);
    ASSERT(space->owned_pages == 0 && space->region_count == 0 && space->mapped == 0);
    arch_space_destroy(&space->arch);
    purse_regain(&space->purse, SPACE_BYTES + space->tables_paid * PAGE_SIZE);
    purse_close(&space->purse);
    cache_free(&space_cache, space);
}

pte_t *space_entry_make(struct space *space, uint64_t address)
{
    if (!space_affords_tables(space))
        return NULL;

    pte_t *entry = arch_pte(&space->arch, address, true);

    space_tables_made(space);
    return entry;
}

int make_borders(struct space *space, uint64_t start, uint64_t end, struct list **unused)
{
    if (huge_split_borders(space, start, end) == 0 && region_split(space, start) == 0 &&
        region_split(space, end) == 0)
        return 0;
    region_merge(space, start, start, unused);
    return -E_NO_MEMORY;
}

static int unmap_locked(struct space *space, uint64_t start, uint64_t end, struct gather *gather)
{
    struct region *region = region_above(space, start);

    if (!region || region->start >= end)
        return 0;
    if (likely(region->start == start && region->end == end)) { /* as it was mapped */
        take_region(gather, region);
    } else {
        int result = make_borders(space, start, end, &gather->regions);

        if (result != 0)
            return result;
        take_regions(gather, region_above(space, start), end);
    }
    gather_trim(gather, start, end);
    gather_flush(gather);
    if (end == space->next_free && start >= SPACE_AUTO_START)
        space->next_free = start;
    return 0;
}

/* --- Mapping ----------------------------------------------------------------------------------------------------- */

/* *above: the first region behind what was found. */
static bool free_range(struct space *space, uint64_t from, uint64_t limit, uint64_t length,
                       uint64_t *address, struct region **above)
{
    struct region *region = region_above(space, from);

    while (from <= limit && length <= limit - from) {
        if (!region || region->start >= from + length) {
            *address = from;
            *above = region;
            return true;
        }
        from = region->end;
        region = region_next(region);
    }
    return false;
}

static int choose_address(struct space *space, uint64_t hint, uint64_t length, uint64_t *address,
                          struct region **above)
{
    hint = ALIGN_DOWN(hint, (uint64_t)PAGE_SIZE);
    if (hint >= SPACE_START && length <= SPACE_END && hint <= SPACE_END - length &&
        free_range(space, hint, hint + length, length, address, above))
        return 0;
    if (!free_range(space, space->next_free, SPACE_AUTO_END, length, address, above) &&
        !free_range(space, SPACE_AUTO_START, SPACE_AUTO_END, length, address, above))
        return -E_NO_MEMORY;
    space->next_free = *address + length;
    return 0;
}

static int check_request(const struct space *space, const struct map_request *request)
{
    const struct memory *memory = request->memory;
    uint64_t end;

    if (request->flags & ~(MAP_SHARED_ | MAP_FIXED_ | MAP_NOREPLACE_ | MAP_POPULATE_))
        return -E_INVALID;
    if (request->flags & MAP_FIXED_) {
        int result = check_range(request->address, request->length, &end);

        if (result != 0)
            return result;
    } else if (request->length == 0) {
        return -E_INVALID;
    } else if (request->length > SPACE_END) {
        return -E_RANGE;
    }

    int result = check_protection(request->protection, request->maximum);

    if (result != 0)
        return result;
    if (!memory) /* shared without an object would be shared with nobody */
        return request->flags & MAP_SHARED_ || request->offset
                   ? -E_INVALID
                   : check_amount(space, request->length, request->protection);
    if (!IS_ALIGNED(request->offset, (uint64_t)PAGE_SIZE))
        return -E_INVALID;
    if (request->offset > MEMORY_SIZE_MAX || request->length > MEMORY_SIZE_MAX - request->offset)
        return -E_RANGE;
    if (memory->flags & MEMORY_IS_DEVICE && !(request->flags & MAP_SHARED_))
        return -E_NOT_SUPPORTED;
    return request->flags & MAP_SHARED_ ? 0
                                        : check_amount(space, request->length, request->protection);
}

/* The free range that the request names. *above: the first region behind it. What was there is gathered, if anything was: then
 * gather->space is set. */
static int make_room(struct space *space, const struct map_request *request, uint64_t length,
                     uint64_t *start, struct region **above, struct gather *gather)
{
    *start = request->address;
    if (!(request->flags & MAP_FIXED_))
        return choose_address(space, request->address, length, start, above);
    *above = region_above(space, *start);
    if (!*above || (*above)->start >= *start + length)
        return 0;
    if (request->flags & MAP_NOREPLACE_)
        return -E_EXISTS;
    gather_start(gather, space);

    int result = unmap_locked(space, *start, *start + length, gather);

    *above = region_above(space, *start);
    return result;
}

static struct region *new_region(const struct map_request *request)
{
    struct region *region = region_new();

    if (!region)
        return NULL;
    region->offset = request->offset;
    region->protection = request->protection;
    region->maximum = request->maximum;
    region->shared = request->flags & MAP_SHARED_;
    region->huge = HUGE_DEFAULT;
    region->memory = request->memory;
    return region;
}

/* By faults, as the program would. */
static COLD void populate(struct space *space, uint64_t start, uint64_t end, uint32_t protection)
{
    unsigned access = FAULT_POPULATE | (protection & PROT_WRITE_ ? FAULT_WRITE : 0);

    for (uint64_t at = start; at < end && protection; at += PAGE_SIZE) {
        if (space_fault(space, at, access) != 0)
            return;
        arch_preempt_window();
    }
}

int space_map_region(struct space *space, const struct map_request *request, uint64_t *address)
{
    int result = check_request(space, request);

    if (result != 0)
        return result;

    struct region *region = new_region(request), *above;
    uint64_t start, length = ALIGN_UP(request->length, (uint64_t)PAGE_SIZE), there = UINT64_MAX;
    struct gather replaced;
    struct list *unused = NULL;

    if (!region)
        return -E_NO_MEMORY;
    replaced.space = NULL; /* not started */
    lock_acquire(&space->lock);
    /* Two borders may have to be made, too; once something was unmapped nothing fails. */
    result = -E_NO_MEMORY;
    if (space_affords_regions(space, 3))
        result = make_room(space, request, length, &start, &above, &replaced);
    if (likely(result == 0)) {
        region->start = start;
        region->end = start + length;
        space->mapped += length;
        if (request->memory && request->memory->pager)
            space->paged = true;
        region = region_add(space, region, above, &unused);
        if (request->flags & MAP_POPULATE_)
            there = fault_populate(region, start, start + length);
    } else {
        region->memory = NULL; /* the reference stays the caller's */
        chain_push(&unused, &region->mapping);
    }
    lock_release(&space->lock);
    region_free_chain(unused);
    if (unlikely(replaced.space))
        gather_finish(&replaced);
    if (result != 0)
        return result;
    if (there < start + length)
        populate(space, there, start + length, request->protection);
    *address = start;
    return 0;
}

int space_find(struct space *space, uint64_t from, uint64_t length, uint64_t *address)
{
    if (length == 0)
        return -E_INVALID;
    if (length > SPACE_END || from > SPACE_END)
        return -E_RANGE;
    from = MAX(ALIGN_UP(from, (uint64_t)PAGE_SIZE), SPACE_START);
    lock_acquire(&space->lock);

    struct region *above;
    bool found =
        free_range(space, from, SPACE_END, ALIGN_UP(length, (uint64_t)PAGE_SIZE), address, &above);

    lock_release(&space->lock);
    return found ? 0 : -E_NO_MEMORY;
}

/* --- Unmapping, discarding ------------------------------------------------------------------------------------- */

int space_unmap_range(struct space *space, uint64_t start, uint64_t length)
{
    uint64_t end;
    int result = check_range(start, length, &end);
    struct gather gather;

    if (result != 0)
        return result;
    gather_start(&gather, space);
    lock_acquire(&space->lock);
    result = unmap_locked(space, start, end, &gather);
    lock_release(&space->lock);
    gather_finish(&gather);
    return result;
}

int space_discard(struct space *space, uint64_t start, uint64_t length)
{
    uint64_t end;
    int result = check_range(start, length, &end);
    struct gather gather;

    if (result != 0)
        return result;
    gather_start(&gather, space);
    lock_acquire(&space->lock);
    result = huge_split_borders(space, start, end);
    if (result == 0 && !region_covers(space, start, end))
        result = -E_FAULT;
    for (struct region *region = region_above(space, start);
         result != -E_NO_MEMORY && region && region->start < end; region = region_next(region))
        gather_unmap(&gather, MAX(start, region->start), MIN(end, region->end), GATHER_OWNED);
    gather_flush(&gather);
    lock_release(&space->lock);
    gather_finish(&gather);
    return result;
}

/* --- Questions --------------------------------------------------------------------------------------------------- */

int space_query(struct space *space, uint64_t address, uint32_t *protection, bool *shared)
{
    lock_acquire(&space->lock);

    struct region *region = region_find(space, address);

    if (region) {
        *protection = region->protection;
        *shared = region->shared;
    }
    lock_release(&space->lock);
    return region ? 0 : -E_FAULT;
}

int space_futex_key(struct space *space, uaddr_t address, bool shared, struct futex_key *key)
{
    *key = (struct futex_key){(uint64_t)(uintptr_t)space, address.value};
    if (!shared)
        return 0;
    lock_acquire(&space->lock);

    struct region *region = region_find(space, address.value);

    if (region && region->shared)
        *key = (struct futex_key){(uint64_t)(uintptr_t)region->memory,
                                  region->offset + (address.value - region->start)};
    lock_release(&space->lock);
    return region ? 0 : -E_FAULT;
}
