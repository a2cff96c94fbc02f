/* Handle tables: see handle.h. */
#include "kernel/handle.h"

#include "abi/errors.h"
#include "kernel/account.h"
#include "kernel/panic.h"
#include "kernel/sched/thread.h"
#include "kernel/vmm/heap.h"

#define GENERATION_MASK 0x7fffu

static uint64_t handles_alive;

uint64_t handle_count_all(void)
{
    return __atomic_load_n(&handles_alive, __ATOMIC_RELAXED);
}

int handle_table_new(struct account *account, struct handle_table **result)
{
    struct handle_table *table = heap_alloc(sizeof(*table));

    if (!table)
        return -E_NO_MEMORY;
    lock_init(&table->lock, RANK_HANDLES, "handles");
    table->account = account_get(account);
    table->limit = account ? 0 : HANDLE_LIMIT;
    *result = table;
    return 0;
}

/* --- What the account allows; the table is locked ------------------------------------------------------------- */

static void set_floor(struct handle_table *table)
{
    table->floor = table->limit > 2 * HANDLE_BATCH ? table->limit - 2 * HANDLE_BATCH : 0;
}

/* `count` more, or as many as there are, but at least `needed`. */
static COLD int limit_raise(struct handle_table *table, uint32_t count, uint32_t needed)
{
    count = MIN(count, HANDLE_LIMIT - table->limit);
    if (count < needed || !table->account)
        return -E_QUOTA;
    if (!account_take(table->account, QUOTA_HANDLES, count)) {
        count = needed; /* the last of them */
        if (!account_take(table->account, QUOTA_HANDLES, count))
            return -E_QUOTA;
    }
    table->limit += count;
    set_floor(table);
    return 0;
}

static COLD void limit_lower(struct handle_table *table, uint32_t limit)
{
    account_give(table->account, QUOTA_HANDLES, table->limit - limit);
    table->limit = limit;
    set_floor(table);
}

/* --- Entries --------------------------------------------------------------------------------------------------- */

/* A free entry. Chunks are made here with the lock held: heap locks rank above it. */
static int entry_new(struct handle_table *table, uint32_t *index)
{
    int error = likely(table->count < table->limit) ? 0 : limit_raise(table, HANDLE_BATCH, 1);

    if (error)
        return error;
    if (table->free) {
        *index = table->free - 1u;
        table->free = handle_entry_at(table, *index)->next_free;
    } else {
        struct handle_entry **chunk = &table->chunks[table->used / HANDLE_CHUNK];

        if (!*chunk)
            *chunk = heap_alloc(sizeof(struct handle_entry) * HANDLE_CHUNK);
        if (!*chunk)
            return -E_NO_MEMORY;
        *index = table->used++;
    }
    table->count++;
    __atomic_fetch_add(&handles_alive, 1, __ATOMIC_RELAXED);
    return 0;
}

/* Empties an entry; the caller gets its handle interest. */
static inline struct transfer entry_clear(struct handle_table *table, struct handle_entry *entry,
                                          uint32_t index)
{
    struct transfer taken = {entry->object, entry->rights};

    object_handle_moved(entry->object);
    entry->object = NULL;
    entry->generation = (entry->generation + 1u) & GENERATION_MASK;
    entry->next_free = table->free;
    table->free = (uint16_t)(index + 1);
    if (unlikely(--table->count < table->floor))
        limit_lower(table, table->count + HANDLE_BATCH);
    __atomic_fetch_sub(&handles_alive, 1, __ATOMIC_RELAXED);
    return taken;
}

static int install_locked(struct handle_table *table, struct object *object, uint32_t rights,
                          handle_t *handle)
{
    uint32_t index;
    int error = entry_new(table, &index);

    if (error)
        return error;

    struct handle_entry *entry = handle_entry_at(table, index);

    entry->object = object;
    entry->rights = rights;
    object_handle_moved(object);
    *handle = (handle_t)((uint32_t)entry->generation << HANDLE_INDEX_BITS | (index + 1));
    return 0;
}

int handle_install(struct handle_table *table, struct object *object, uint32_t rights,
                   handle_t *handle)
{
    lock_acquire(&table->lock);
    int error = install_locked(table, object, rights, handle);
    lock_release(&table->lock);
    return error;
}

int64_t handle_return(struct object *object, uint32_t rights)
{
    handle_t handle;

    object_handle_get(object);
    int error = handle_install(process_current()->handles, object, rights, &handle);

    if (error)
        object_handle_put(object);
    object_put(object);
    return error ? error : handle;
}

int64_t handle_return_two(struct object *first, uint32_t first_rights, struct object *second,
                          uint32_t second_rights, uaddr_t to)
{
    struct handle_table *table = process_current()->handles;
    handle_t handles[2];
    int64_t result = handle_return(first, first_rights);

    if (result < 0) {
        object_put(second);
        return result;
    }
    handles[0] = (handle_t)result;
    result = handle_return(second, second_rights);
    if (result > 0) {
        handles[1] = (handle_t)result;
        result = user_copy_out(to, handles, sizeof(handles));
        if (result)
            (void)!handle_remove(table, handles[1]);
    }
    if (result)
        (void)!handle_remove(table, handles[0]);
    return result;
}

int handle_lookup(struct handle_table *table, handle_t handle, enum object_type type,
                  uint32_t rights, struct object **object, uint32_t *had)
{
    int error = 0;

    lock_acquire(&table->lock);
    struct handle_entry *entry = handle_entry_find(table, handle);

    if (unlikely(!entry)) {
        error = -E_BAD_HANDLE;
    } else if (unlikely(entry->object->type != type && type != OBJECT_ANY)) {
        error = -E_WRONG_TYPE;
    } else if (unlikely((entry->rights & rights) != rights)) {
        error = -E_ACCESS;
    } else {
        *object = entry->object;
        object_get(*object);
        if (had)
            *had = entry->rights;
    }
    lock_release(&table->lock);
    return error;
}

/* In one go: an object must not be closed by another thread before it has its new handle. */
int handle_duplicate(struct handle_table *table, handle_t handle, uint32_t rights, handle_t *copy)
{
    int error = -E_BAD_HANDLE;

    lock_acquire(&table->lock);
    struct handle_entry *entry = handle_entry_find(table, handle);

    if (entry) {
        error = entry->rights & RIGHT_DUPLICATE
                    ? install_locked(table, entry->object, entry->rights & rights, copy)
                    : -E_ACCESS;
        if (!error)
            object_handle_get(entry->object);
    }
    lock_release(&table->lock);
    return error;
}

int handle_remove(struct handle_table *table, handle_t handle)
{
    struct transfer taken = {NULL, 0};

    lock_acquire(&table->lock);
    struct handle_entry *entry = handle_entry_find(table, handle);

    if (entry)
        taken = entry_clear(table, entry, ((uint32_t)handle & HANDLE_INDEX_MASK) - 1);
    lock_release(&table->lock);
    if (!taken.object)
        return -E_BAD_HANDLE;
    object_handle_put(taken.object);
    return 0;
}

int handle_take(struct handle_table *table, handle_t handle, struct transfer *transfer)
{
    int error = 0;

    lock_acquire(&table->lock);
    struct handle_entry *entry = handle_entry_find(table, handle);

    if (!entry)
        error = -E_BAD_HANDLE;
    else if (!(entry->rights & RIGHT_TRANSFER))
        error = -E_ACCESS;
    else
        *transfer = entry_clear(table, entry, ((uint32_t)handle & HANDLE_INDEX_MASK) - 1);
    lock_release(&table->lock);
    return error;
}

int transfer_copy(struct handle_table *table, handle_t handle, struct transfer *transfer)
{
    const uint32_t needed = RIGHT_DUPLICATE | RIGHT_TRANSFER;
    int error = 0;

    lock_acquire(&table->lock);
    struct handle_entry *entry = handle_entry_find(table, handle);

    if (!entry)
        error = -E_BAD_HANDLE;
    else if ((entry->rights & needed) != needed)
        error = -E_ACCESS;
    if (!error) {
        *transfer = (struct transfer){entry->object, entry->rights};
        object_handle_get(entry->object);
    }
    lock_release(&table->lock);
    return error;
}

/* All or none: what was taken is put back under its old number, which nobody else can have got since the table
 * stays locked. */
int transfer_take(struct handle_table *table, const handle_t *handles, uint32_t count,
                  struct transfer *transfers)
{
    return transfer_take_if(table, handles, count, transfers, NULL, NULL);
}

int transfer_take_if(struct handle_table *table, const handle_t *handles, uint32_t count,
                     struct transfer *transfers, int (*admit)(uint32_t count, void *context),
                     void *context)
{
    int error = 0;

    lock_acquire(&table->lock);
    for (uint32_t i = 0; i < count && !error; i++) {
        struct handle_entry *entry = handle_entry_find(table, handles[i]);

        if (!entry)
            error = -E_BAD_HANDLE;
        else if (!(entry->rights & RIGHT_TRANSFER))
            error = -E_ACCESS;
        for (uint32_t j = 0; j < i && !error; j++)
            if (handles[j] == handles[i])
                error = -E_INVALID;
        if (!error)
            transfers[i] = (struct transfer){entry->object, entry->rights};
    }
    if (!error && admit)
        error = admit(count, context);
    for (uint32_t i = 0; i < count; i++)
        if (error)
            transfers[i].object = NULL;
        else
            transfers[i] = entry_clear(table, handle_entry_find(table, handles[i]),
                                       ((uint32_t)handles[i] & HANDLE_INDEX_MASK) - 1);
    lock_release(&table->lock);
    return error;
}

int transfer_install(struct handle_table *table, struct transfer *transfers, uint32_t count,
                     handle_t *handles)
{
    uint32_t done = 0;
    int error = 0;

    lock_acquire(&table->lock);
    while (done < count && !error) {
        error =
            install_locked(table, transfers[done].object, transfers[done].rights, &handles[done]);
        if (!error)
            done++;
    }
    if (error)
        while (done--)
            entry_clear(table, handle_entry_find(table, handles[done]),
                        ((uint32_t)handles[done] & HANDLE_INDEX_MASK) - 1);
    lock_release(&table->lock);
    return error;
}

void transfer_drop(struct transfer *transfers, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (transfers[i].object)
            object_handle_put(transfers[i].object);
        transfers[i].object = NULL;
    }
}

int64_t transfer_install_first(struct transfer *transfers, uint32_t count)
{
    handle_t handle;
    int error = transfer_install(process_current()->handles, transfers, 1, &handle);

    transfer_drop(transfers + !error, count - !error);
    return error ? error : handle;
}

int handle_table_clone(struct handle_table *from, struct handle_table **to)
{
    struct handle_table *copy;
    int error = handle_table_new(from->account, &copy);

    if (error)
        return error;
    lock_acquire(&from->lock);
    if (from->account && from->count)
        error = limit_raise(copy, from->count + HANDLE_BATCH, from->count);
    if (error) {
        lock_release(&from->lock);
        handle_table_free(copy);
        return error;
    }
    for (uint32_t i = 0; i < from->used; i += HANDLE_CHUNK) {
        copy->chunks[i / HANDLE_CHUNK] = heap_alloc(sizeof(struct handle_entry) * HANDLE_CHUNK);
        if (!copy->chunks[i / HANDLE_CHUNK]) {
            lock_release(&from->lock);
            handle_table_free(copy);
            return -E_NO_MEMORY;
        }
    }
    copy->used = from->used;
    copy->free = from->free;
    copy->count = from->count;
    for (uint32_t i = 0; i < from->used; i++) {
        struct handle_entry *entry = handle_entry_at(from, i);

        *handle_entry_at(copy, i) = *entry;
        if (entry->object)
            object_handle_get(entry->object);
    }
    lock_release(&from->lock);
    __atomic_fetch_add(&handles_alive, copy->count, __ATOMIC_RELAXED);
    *to = copy;
    return 0;
}

bool handle_table_held(struct handle_table *table, uint64_t *position, object_visitor *visit)
{
    lock_acquire(&table->lock);

    uint64_t end = MIN(*position + HANDLE_CHUNK, (uint64_t)table->used);

    for (; *position < end; (*position)++) {
        struct object *object = handle_entry_at(table, (uint32_t)*position)->object;

        if (object)
            visit(object);
    }

    bool over = *position >= table->used;

    lock_release(&table->lock);
    return over;
}

void handle_table_clear(struct handle_table *table)
{
    for (uint32_t i = 0; i < table->used; i++) {
        struct handle_entry *entry = handle_entry_at(table, i);
        struct transfer taken = {NULL, 0};

        lock_acquire(&table->lock);
        if (entry->object)
            taken = entry_clear(table, entry, i);
        lock_release(&table->lock);
        if (taken.object)
            object_handle_put(taken.object);
        if (i % HANDLE_CHUNK == 0)
            arch_preempt_window();
    }
    lock_acquire(&table->lock);
    if (table->limit > table->count && table->account)
        limit_lower(table, table->count);
    lock_release(&table->lock);
}

void handle_table_replace(struct handle_table *table, struct object *from, struct object *to)
{
    uint32_t count = 0;

    lock_acquire(&table->lock);
    for (uint32_t i = 0; i < table->used; i++) {
        struct handle_entry *entry = handle_entry_at(table, i);

        if (entry->object != from)
            continue;
        object_handle_get(to);
        entry->object = to;
        count++;
    }
    lock_release(&table->lock);
    while (count--)
        object_handle_put(from);
}

void handle_table_free(struct handle_table *table)
{
    ASSERT(table->count == 0);
    struct account *account = table->account;

    if (account && table->limit)
        limit_lower(table, 0);
    for (uint32_t i = 0; i < HANDLE_CHUNKS && table->chunks[i]; i++)
        heap_free(table->chunks[i]);
    heap_free(table);
    account_put(account);
}
