/* System calls on memory objects and address spaces. */
#include "abi/errors.h"
#include "kernel/map.h"
#include "kernel/syscall.h"
#include "kernel/vmm/pager.h"
#include "kernel/vmm/space.h"

static struct memory *memory_of(struct object *object)
{
    return container_of(object, struct memory, object);
}

#define MEMORY_RIGHTS \
    (RIGHT_READ | RIGHT_WRITE | RIGHT_EXECUTE | RIGHT_CONTROL | RIGHT_DUPLICATE | RIGHT_TRANSFER)

int64_t sys_memory_create(uint64_t size, uint32_t flags)
{
    struct memory *memory;

    if (flags & ~(MEMORY_FIXED | MEMORY_OWNED))
        return -E_INVALID;

    int error = memory_new(size, flags, &memory);

    if (error)
        return error;
    return handle_return(&memory->object,
                         MEMORY_RIGHTS & (flags & MEMORY_OWNED ? ~0u : ~RIGHT_CONTROL));
}

int64_t sys_memory_clone(struct object *object, uint64_t offset, uint64_t length, uint32_t flags)
{
    struct memory *clone;

    if (flags)
        return -E_INVALID;

    int error = memory_clone_range(memory_of(object), offset, length, &clone);

    if (error)
        return error;
    return handle_return(&clone->object, MEMORY_RIGHTS & ~RIGHT_CONTROL);
}

/* What taking pages away needs beyond RIGHT_WRITE: where a service supplies them, or shares its own, they are others', too. */
static uint32_t owner_rights(const struct memory *memory)
{
    return memory->pager || memory->flags & MEMORY_OWNED ? RIGHT_CONTROL : 0;
}

int64_t sys_memory_resize(struct object *object, uint64_t size)
{
    uint32_t rights = owner_rights(memory_of(object));

    if ((thread_current()->call_rights & rights) != rights)
        return -E_ACCESS;
    return memory_resize_to(memory_of(object), size);
}

/* Rights each operation needs; ~0: no such operation. */
static uint32_t memory_op_rights(uint32_t op)
{
    switch (op) {
    case MEMORY_OP_ZERO:
    case MEMORY_OP_DECOMMIT:
    case MEMORY_OP_COMMIT:
    case MEMORY_OP_WRITE:
        return RIGHT_WRITE;
    case MEMORY_OP_READ:
        return RIGHT_READ;
    case MEMORY_OP_SIZE:
    case MEMORY_OP_COUNT:
        return 0;
    case MEMORY_OP_PHYSICAL:
    case MEMORY_OP_SUPPLY:
    case MEMORY_OP_SOURCE:
    case MEMORY_OP_DIRTY:
    case MEMORY_OP_COLLECT:
    case MEMORY_OP_WRITTEN:
    case MEMORY_OP_REDIRTY:
    case MEMORY_OP_EVICT:
    case MEMORY_OP_PRESENT:
        return RIGHT_CONTROL;
    case MEMORY_OP_SYNC:
        return RIGHT_WRITE;
    default:
        return ~0u;
    }
}

static int64_t physical(struct memory *memory, uint64_t offset, uint64_t length, uaddr_t buffer)
{
    if (!IS_ALIGNED(offset, PAGE_SIZE) || !IS_ALIGNED(length, PAGE_SIZE))
        return -E_INVALID;
    for (uint64_t i = 0; i < length / PAGE_SIZE; i++) {
        paddr_t address;
        int error = memory_paddr(memory, offset / PAGE_SIZE + i, &address);

        if (!error)
            error = user_copy_out(UADDR(buffer.value + i * sizeof(uint64_t)), &address.value,
                                  sizeof(uint64_t));
        if (error)
            return error;
    }
    return 0;
}

static int find_source(uaddr_t argument, struct abi_supply *supply, struct object **source)
{
    int error = user_copy_in(supply, argument, sizeof(*supply));

    if (error)
        return error;
    return handle_lookup(process_current()->handles, supply->source, OBJECT_MEMORY,
                         supply->flags & SUPPLY_MOVE ? RIGHT_READ | RIGHT_WRITE : RIGHT_READ,
                         source, NULL);
}

static int64_t set_source(struct memory *memory, uaddr_t argument)
{
    struct abi_supply supply;
    struct object *source = NULL;
    int error = find_source(argument, &supply, &source);

    if (error == -E_BAD_HANDLE && supply.source == HANDLE_NONE)
        return pager_set_source(memory, NULL, 0);
    if (error)
        return error;
    error = supply.offset ? -E_INVALID : pager_set_source(memory, memory_of(source), supply.flags);
    object_put(source);
    return error;
}

static int64_t supply(struct memory *memory, uint64_t offset, uint64_t length, uaddr_t argument)
{
    struct abi_supply supply;
    struct object *source;
    uint64_t pages;
    int error = find_source(argument, &supply, &source);

    if (error)
        return error;
    error = pager_supply(memory, offset, length, memory_of(source), supply.offset, supply.flags,
                         &pages);
    object_put(source);
    return pages || !error ? (int64_t)pages : error;
}

static int64_t page_run(struct memory *memory, uint32_t op, uint64_t offset, uint64_t length,
                        uaddr_t buffer)
{
    struct page_run run;
    int error = op == MEMORY_OP_DIRTY ? pager_dirty(memory, offset, length, &run)
                                      : pager_collect(memory, offset, length, &run);

    if (error)
        return error;

    struct abi_page_run answer = {run.first * PAGE_SIZE, run.count * PAGE_SIZE};

    error = user_copy_out(buffer, &answer, sizeof(answer));
    if (error && op == MEMORY_OP_COLLECT)
        (void)!pager_redirty(memory, answer.offset, answer.length);
    return error ? error : (int64_t)run.count;
}

static int64_t evict(struct memory *memory, uint64_t offset, uint64_t length)
{
    uint64_t pages;
    int error = pager_evict(memory, offset, length, &pages);

    return error ? error : (int64_t)pages;
}

static int present(struct memory *memory, uint64_t offset, uint64_t length, uaddr_t buffer)
{
    uint64_t words[PAGER_PRESENT / 64];
    int error = pager_present(memory, offset, 0, words); /* of an empty range, too */

    for (uint64_t done = 0; error == 0 && done < length;) {
        uint64_t piece = MIN(length - done, (uint64_t)PAGER_PRESENT * PAGE_SIZE);
        uint64_t pages = ALIGN_UP(piece / PAGE_SIZE, (uint64_t)64);

        error = pager_present(memory, offset + done, piece, words);
        if (error == 0)
            error = user_copy_out(UADDR(buffer.value + done / PAGE_SIZE / 8), words, pages / 8);
        done += piece;
        arch_preempt_window();
    }
    return error;
}

int64_t sys_memory_op(struct object *object, uint32_t op, uint64_t offset, uint64_t length,
                      uaddr_t buffer)
{
    struct memory *memory = memory_of(object);
    uint32_t rights = memory_op_rights(op);
    uint64_t size = memory_size(memory);

    if (rights == ~0u)
        return -E_INVALID;
    if (op == MEMORY_OP_DECOMMIT)
        rights |= owner_rights(memory);
    if ((thread_current()->call_rights & rights) != rights)
        return -E_ACCESS;
    if (op != MEMORY_OP_SIZE && op != MEMORY_OP_COUNT && (offset > size || length > size - offset))
        return -E_RANGE;
    switch (op) {
    case MEMORY_OP_ZERO:
        return memory_fill_zero(memory, offset, length);
    case MEMORY_OP_DECOMMIT:
        return memory_decommit(memory, offset, length);
    case MEMORY_OP_COMMIT:
        return memory_commit(memory, offset, length);
    case MEMORY_OP_READ:
        return memory_read(memory, offset, buffer, length);
    case MEMORY_OP_WRITE:
        return memory_write(memory, offset, buffer, length);
    case MEMORY_OP_SUPPLY:
        return supply(memory, offset, length, buffer);
    case MEMORY_OP_SOURCE:
        return set_source(memory, buffer);
    case MEMORY_OP_DIRTY:
    case MEMORY_OP_COLLECT:
        return page_run(memory, op, offset, length, buffer);
    case MEMORY_OP_WRITTEN:
        return pager_written(memory, offset, length);
    case MEMORY_OP_REDIRTY:
        return pager_redirty(memory, offset, length);
    case MEMORY_OP_EVICT:
        return evict(memory, offset, length);
    case MEMORY_OP_PRESENT:
        return present(memory, offset, length, buffer);
    case MEMORY_OP_SYNC:
        return pager_sync(memory, offset, length);
    case MEMORY_OP_PHYSICAL:
        return physical(memory, offset, length, buffer);
    case MEMORY_OP_COUNT:
        return (int64_t)__atomic_load_n(&memory->committed, __ATOMIC_RELAXED);
    default:
        return (int64_t)size;
    }
}

/* --- Spaces ----------------------------------------------------------------------------------------------- */

/* To be given back with space_done. The caller's own stays while it is in here. */
static inline int space_of(struct object *object, struct space **space)
{
    struct process *process = process_of(object);

    *space = likely(process == process_current()) ? process->space : process_space_get(process);
    return *space ? 0 : -E_NO_PROCESS;
}

static inline void space_done(struct object *object, struct space *space)
{
    if (unlikely(process_of(object) != process_current()))
        space_put(space);
}

/* What may be done with memory through a handle with these rights. */
static uint32_t rights_protection(uint32_t rights, bool shared)
{
    return (rights & RIGHT_READ ? PROT_READ_ : 0) | (rights & RIGHT_EXECUTE ? PROT_EXECUTE_ : 0) |
           (!shared || (rights & RIGHT_WRITE) ? PROT_WRITE_ : 0);
}

int map_into(struct space *space, struct handle_table *handles, const struct abi_map *map,
             uint64_t *address)
{
    struct object *memory = NULL;
    uint32_t rights = RIGHT_READ | RIGHT_WRITE | RIGHT_EXECUTE;

    if (map->reserved)
        return -E_INVALID;
    if (map->memory != HANDLE_NONE) {
        int error =
            handle_lookup(handles, map->memory, OBJECT_MEMORY, RIGHT_READ, &memory, &rights);

        if (error)
            return error;
    }

    struct map_request request = {
        .address = map->address,
        .length = map->length,
        .offset = map->offset,
        .memory = memory ? memory_of(memory) : NULL,
        .protection = map->protection,
        .maximum = rights_protection(rights, map->flags & MAP_SHARED_),
        .flags = map->flags,
    };
    int error = space_map_region(space, &request, address);

    if (error && memory)
        object_put(memory);
    return error;
}

int64_t sys_space_map(struct object *object, uaddr_t argument)
{
    struct abi_map map;
    struct space *space;
    uint64_t address;
    int error = user_copy_in(&map, argument, sizeof(map));

    if (!error)
        error = space_of(object, &space);
    if (error)
        return error;
    error = map_into(space, process_current()->handles, &map, &address);
    space_done(object, space);
    return error ? error : (int64_t)address;
}

int64_t sys_space_unmap(struct object *object, uint64_t address, uint64_t length)
{
    struct space *space;
    int error = space_of(object, &space);

    if (error)
        return error;
    error = space_unmap_range(space, address, length);
    space_done(object, space);
    return error;
}

int64_t sys_space_protect(struct object *object, uint64_t address, uint64_t length,
                          uint32_t protection)
{
    struct space *space;
    int error;

    if (protection & ~(PROT_READ_ | PROT_WRITE_ | PROT_EXECUTE_))
        return -E_INVALID;
    error = space_of(object, &space);
    if (error)
        return error;
    error = space_protect_range(space, address, length, protection);
    space_done(object, space);
    return error;
}

static int64_t space_do(struct space *space, uint32_t op, uint64_t address, uint64_t length,
                        uint64_t value)
{
    uint32_t protection;
    bool shared;
    uint64_t found;
    int error;

    switch (op) {
    case SPACE_OP_DISCARD:
        return space_discard(space, address, length);
    case SPACE_OP_MOVE:
        return space_move(space, address, length, value);
    case SPACE_OP_HUGE:
        return value > HUGE_NEVER ? -E_INVALID
                                  : space_advise_huge(space, address, length, (unsigned)value);
    case SPACE_OP_QUERY:
        error = space_query(space, address, &protection, &shared);
        return error ? error : (int64_t)(protection | (shared ? MAP_SHARED_ << 8 : 0));
    case SPACE_OP_SYNC:
        return space_sync(space, address, length);
    case SPACE_OP_FIND:
        error = space_find(space, address, length, &found);
        return error ? error : (int64_t)found;
    default:
        return -E_INVALID;
    }
}

int64_t sys_space_op(struct object *object, uint32_t op, uint64_t address, uint64_t length,
                     uint64_t value)
{
    struct space *space;
    int64_t result = space_of(object, &space);

    if (result)
        return result;
    result = space_do(space, op, address, length, value);
    space_done(object, space);
    return result;
}
