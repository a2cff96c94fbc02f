/* Handles on their way through streams. See stream.h.
 *
 * Handles to streams and listeners lie in streams and listeners, and whoever closes the last handle he has must not
 * leave a circle behind that nobody can reach and that keeps itself alive:
 *
 *     send end 1 through a so that it lies in what end 0 of b receives, send end 0 of b through ... so that it lies in
 *     what end 1 of a receives; close everything
 *
 * So there is none: a send is refused with E_LOOP if the receiving end of its channel can be reached from a handle that
 * is sent, by way of what lies in it, in what lies in that, and so on. The handles lie in their vessel from then on,
 * checked and put there under one lock, cargo_lock. The search is bounded (SEARCH_MAX vessels): what is more entangled is
 * refused as well. Ports that are kept are ordered in a way of their own (kept.c), and circles through processes are found
 * when nobody reaches them any more (circle.c).
 *
 * Lock: cargo_lock (RANK_CARGO) for vessels, and for the transfers of cargo that lies in one.
 */
#include "abi/errors.h"
#include "kernel/account.h"
#include "kernel/circle.h"
#include "kernel/ipc/stream.h"
#include "kernel/ipc/stream_listen.h"
#include "kernel/vmm/heap.h"

#define SEARCH_MAX 1024u

static struct lock cargo_lock = LOCK_INIT(RANK_CARGO, "cargo");
static uint64_t searches;

void vessel_init(struct vessel *vessel)
{
    list_init(&vessel->cargo);
    list_init(&vessel->search_link);
}

static struct vessel *vessel_of(struct object *object)
{
    if (!object)
        return NULL;
    if (object->type == OBJECT_STREAM)
        return &stream_of(object)->vessel;
    if (object->type == OBJECT_LISTENER)
        return listener_vessel(object);
    return NULL;
}

/* Handles of what holds handles: vessels, and what circle.c looks at. */
static bool has_holders(const struct cargo *cargo)
{
    for (uint32_t i = 0; i < cargo->count; i++)
        if (object_holds(cargo->transfers[i].object))
            return true;
    return false;
}

bool vessel_held(struct vessel *vessel, object_visitor *visit)
{
    if (!vessel)
        return true;
    lock_acquire(&cargo_lock);
    list_for_each (struct cargo, cargo, &vessel->cargo, vessel_link)
        for (uint32_t i = 0; i < cargo->count; i++)
            if (cargo->transfers[i].object)
                visit(cargo->transfers[i].object);
    lock_release(&cargo_lock);
    return true;
}

/* The vessels among its handles that this search has not seen go to the end of the list; how many. */
static uint32_t search_add(const struct cargo *cargo, struct list *list)
{
    uint32_t added = 0;

    for (uint32_t i = 0; i < cargo->count; i++) {
        struct vessel *vessel = vessel_of(cargo->transfers[i].object);

        if (!vessel || vessel->searched == searches)
            continue;
        vessel->searched = searches;
        list_append(list, &vessel->search_link);
        added++;
    }
    return added;
}

/* Whether `target` may be reached from what is in the cargo. cargo_lock held. */
static bool reaches(const struct cargo *cargo, const struct vessel *target)
{
    struct list list = LIST_INIT(list);
    struct vessel *vessel;
    bool found = false;

    searches++;

    uint32_t seen = search_add(cargo, &list);

    while ((vessel = list_first(&list, struct vessel, search_link))) {
        list_remove(&vessel->search_link);
        found = found || vessel == target || seen > SEARCH_MAX;
        if (found)
            continue; /* only to empty the list */
        list_for_each (struct cargo, inner, &vessel->cargo, vessel_link)
            seen += search_add(inner, &list);
    }
    return found;
}

struct cargo *cargo_new(uint32_t count)
{
    struct account *account = account_current();
    uint32_t bytes = (uint32_t)(sizeof(struct cargo) + count * sizeof(struct transfer));

    if (!account_take(account, QUOTA_MEMORY, bytes))
        return NULL;

    struct cargo *cargo = heap_alloc(bytes);

    if (!cargo) {
        account_give(account, QUOTA_MEMORY, bytes);
        return NULL;
    }
    cargo->account = account;
    cargo->bytes = bytes;
    list_init(&cargo->link);
    list_init(&cargo->vessel_link);
    return cargo;
}

struct loading {
    struct cargo *cargo;
    struct vessel *to;
};

/* The handle table is locked and the transfers say what is to be taken. */
static int admit(uint32_t count, void *context)
{
    struct loading *loading = context;
    struct cargo *cargo = loading->cargo;
    int error = 0;

    cargo->count = count;
    if (!has_holders(cargo))
        return 0;
    lock_acquire(&cargo_lock);
    if (reaches(cargo, loading->to))
        error = -E_LOOP;
    else
        list_append(&loading->to->cargo, &cargo->vessel_link);
    lock_release(&cargo_lock);
    if (error)
        cargo->count = 0;
    return error;
}

int cargo_load(struct cargo *cargo, const handle_t *handles, uint32_t count, struct vessel *to)
{
    struct loading loading = {cargo, to};

    int error = transfer_take_if(process_current()->handles, handles, count, cargo->transfers,
                                 admit, &loading);

    if (!error && list_linked(&cargo->vessel_link))
        circle_suspect(); /* the other end may be theirs alone */
    return error;
}

void cargo_load_new(struct cargo *cargo, struct object *object, uint32_t rights, struct vessel *to)
{
    cargo->transfers[0] = (struct transfer){object, rights};
    cargo->count = 1;
    lock_acquire(&cargo_lock);
    list_append(&to->cargo, &cargo->vessel_link);
    lock_release(&cargo_lock);
}

static void leave_vessel(struct cargo *cargo)
{
    if (!list_linked(&cargo->vessel_link))
        return;
    lock_acquire(&cargo_lock);
    list_remove(&cargo->vessel_link);
    lock_release(&cargo_lock);
}

/* While it is undecided the handles are in the table and the objects in the vessel: with a reference for each. */
int cargo_unload(struct cargo *cargo, handle_t *handles, uint32_t *count)
{
    uint32_t wanted = MIN(*count, cargo->count);

    *count = 0;
    for (uint32_t i = 0; i < wanted; i++)
        object_get(cargo->transfers[i].object);

    int error = transfer_install(process_current()->handles, cargo->transfers, wanted, handles);

    if (!error)
        *count = wanted;
    for (uint32_t i = 0; i < wanted && error; i++)
        object_put(cargo->transfers[i].object);
    return error;
}

void cargo_unload_done(struct cargo *cargo, uint32_t count)
{
    leave_vessel(cargo);
    for (uint32_t i = 0; i < count; i++) {
        object_put(cargo->transfers[i].object);
        cargo->transfers[i].object = NULL;
    }
    cargo_free(cargo);
}

/* What another thread has closed meanwhile cannot be had back: it is in the cargo no more. */
void cargo_unload_undo(struct cargo *cargo, const handle_t *handles, uint32_t count)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < cargo->count; i++) {
        struct transfer back = cargo->transfers[i];
        struct object *object = back.object;
        bool there = i >= count || handle_take(process_current()->handles, handles[i], &back) == 0;

        if (there) {
            lock_acquire(&cargo_lock);
            cargo->transfers[kept++] = back;
            lock_release(&cargo_lock);
        }
        if (i < count)
            object_put(object);
    }
    lock_acquire(&cargo_lock);
    cargo->count = kept;
    lock_release(&cargo_lock);
}

void cargo_free(struct cargo *cargo)
{
    if (!cargo)
        return;
    leave_vessel(cargo);
    transfer_drop(cargo->transfers, cargo->count);

    struct account *account = cargo->account;
    uint32_t bytes = cargo->bytes;

    heap_free(cargo);
    account_give(account, QUOTA_MEMORY, bytes);
}

/* Among the handles may be the last of a stream that has cargo in it, and so on: what comes while this runs is left
 * to it, for a chain of streams can be longer than the stack is deep. */
void cargo_free_all(struct list *cargos)
{
    struct thread *self = thread_current();
    struct cargo *cargo;

    if (list_empty(cargos))
        return;
    if (self->cargos) {
        list_splice(self->cargos, cargos);
        return;
    }
    self->cargos = cargos;
    while ((cargo = list_first(cargos, struct cargo, link))) {
        list_remove(&cargo->link);
        cargo_free(cargo);
    }
    self->cargos = NULL;
}
