/* Circles: see circle.h.
 *
 * A handle to a process keeps it alive as long as its threads are suspended, for whoever has the handle can let it run.
 * Not if the handle is its own, or lies in the table of another such process, in a stream whose other end it has, with a
 * port it has: then nobody can, and nothing of it would ever go. What holds handles without running is ordered so that it
 * forms no circles of its own (streams and listeners: stream_cargo.c; what ports keep: kept.c; namespaces list ports only);
 * so each circle leads through a process that cannot run, and ending that process opens it.
 *
 * The search begins at the processes that cannot run (`stopped`), and only if there are any and somebody gave up a handle
 * since the last one.
 *
 *     GATHER   those processes
 *     FIND     and all they hold, and what that holds (object_held), but for processes that can run
 *     COUNT    how many of each one's handles lie in these
 *     SORT     who has more handles than that is held from elsewhere ...
 *     SPREAD   ... and so is all it holds; SORT again until there is nothing new
 *     END      what remains: the processes among it are ended, all else goes with them
 *     FORGET   the others
 *
 * The system runs on meanwhile, in other CPUs and between two steps. It need not stand still, for whoever takes, gives, moves or
 * drops a handle to something under search says so (object_touched), and what was touched is held from elsewhere:
 *
 *     searching CPU                          another
 *     object->look = FOUND; full fence       its entry is put or cleared, its count changed: a locked instruction
 *     read the entries (under their locks)   object->look? FOUND -> TOUCHED
 *     and the count
 *
 * So of something that nobody touched until SORT found nothing new, count and entries were what they were all along; and nobody
 * outside will touch what nobody outside reaches. A handle on its way (in a system call, in a command) counts as held
 * from elsewhere; once it is given up the search begins anew.
 *
 * Locks: search_lock (RANK_CIRCLES) for one step; whoever holds handles is read under its own lock. stopped_lock, a leaf, for the
 * list of those that cannot run; each on it has a reference.
 */
#include "kernel/circle.h"

#include "kernel/panic.h"
#include "kernel/process.h"
#include "kernel/proto/namespace.h"
#include "kernel/sched/idle.h"
#include "kernel/sched/sched.h"

enum { UNSEEN, FOUND, TOUCHED, REACHED }; /* object->look */

enum phase { RESTING, GATHER, FIND, COUNT, SORT, SPREAD, END, FORGET };

uint32_t circles_watched; /* object.h: stopped processes, and one for a search under way */

static struct list stopped = LIST_INIT(stopped);
static uint32_t stopped_count;
static struct lock stopped_lock = LOCK_INIT(RANK_NOTIFY, "stopped processes");
static bool suspected;

static struct lock search_lock = LOCK_INIT(RANK_CIRCLES, "search for circles");
static struct {
    enum phase phase;
    uint32_t to_gather;
    uint64_t position; /* within what the first of the list holds */
    struct list work;  /* to be seen to in this phase */
    struct list rest;  /* in the next */
    struct list live;  /* REACHED, what it holds not yet */
    struct list done;  /* and all it holds */
} search = {.work = LIST_INIT(search.work),
            .rest = LIST_INIT(search.rest),
            .live = LIST_INIT(search.live),
            .done = LIST_INIT(search.done)};

/* --- Who may have to be looked for --------------------------------------------------------------------------- */

void circle_suspect(void)
{
    if (__atomic_load_n(&suspected, __ATOMIC_RELAXED) ||
        !__atomic_load_n(&stopped_count, __ATOMIC_RELAXED))
        return;
    __atomic_store_n(&suspected, true, __ATOMIC_SEQ_CST);
    sched_rouse(); /* this CPU may not idle for long */
}

/* False: it was not on the list, or not any more. */
static bool take_off(struct process *process)
{
    lock_acquire(&stopped_lock);
    bool listed = list_linked(&process->stopped_link);
    if (listed) {
        list_remove(&process->stopped_link);
        __atomic_fetch_sub(&stopped_count, 1, __ATOMIC_RELAXED);
        __atomic_fetch_sub(&circles_watched, 1, __ATOMIC_SEQ_CST);
    }
    lock_release(&stopped_lock);
    return listed;
}

void circle_watch(struct process *process)
{
    lock_acquire(&stopped_lock);
    /* circle_unwatch comes after the process's state has changed. */
    if (!list_linked(&process->stopped_link) &&
        __atomic_load_n(&process->state, __ATOMIC_RELAXED) == PROCESS_ALIVE) {
        object_get(&process->object);
        list_append(&stopped, &process->stopped_link);
        __atomic_fetch_add(&stopped_count, 1, __ATOMIC_RELAXED);
        __atomic_fetch_add(&circles_watched, 1, __ATOMIC_SEQ_CST);
    }
    lock_release(&stopped_lock);
}

void circle_unwatch(struct process *process)
{
    if (take_off(process))
        object_put(&process->object);
}

void object_touched(struct object *object)
{
    uint8_t found = FOUND;

    __atomic_compare_exchange_n(&object->look, &found, TOUCHED, false, __ATOMIC_SEQ_CST,
                                __ATOMIC_SEQ_CST);
}

void object_given_up(struct object *object)
{
    object_touched(object);
    if (object_holds(object))
        circle_suspect();
}

/* --- The phases; search_lock held ------------------------------------------------------------------------------ */

static void find(struct object *object)
{
    if (object->look != UNSEEN || !object_holds(object))
        return;
    object_get(object);
    object->inside = 0;
    list_append(&search.work, &object->passing);
    __atomic_store_n(&object->look, FOUND, __ATOMIC_SEQ_CST);
}

static void count(struct object *object)
{
    if (object->look != UNSEEN)
        object->inside++;
}

static void spread(struct object *object)
{
    uint8_t look = object->look;

    if (look != FOUND && look != TOUCHED)
        return;
    __atomic_store_n(&object->look, REACHED, __ATOMIC_RELAXED);
    list_unlink(&object->passing);
    list_append(&search.live, &object->passing);
}

static struct object *first(struct list *list)
{
    return list_first(list, struct object, passing);
}

/* Out of the search; the caller puts it. */
static struct object *forget(struct object *object)
{
    list_unlink(&object->passing);
    __atomic_store_n(&object->look, UNSEEN, __ATOMIC_SEQ_CST);
    return object;
}

static bool can_run(struct object *object)
{
    if (object->type == OBJECT_THREAD)
        return !process_stopped(container_of(object, struct thread, object)->process);
    return object->type == OBJECT_PROCESS && !process_stopped(process_of(object));
}

/* Somebody else has a handle to one of its threads. */
static bool thread_held_outside(struct process *process)
{
    bool held = false;

    lock_acquire(&process->lock);
    list_for_each (struct thread, thread, &process->threads, sibling)
        held = held || __atomic_load_n(&thread->object.handles, __ATOMIC_RELAXED) >
                           (thread->object.look == UNSEEN ? 0 : thread->object.inside);
    lock_release(&process->lock);
    return held;
}

static bool held_outside(struct object *object)
{
    uint32_t handles = __atomic_load_n(&object->handles, __ATOMIC_RELAXED);

    if (object->type == OBJECT_NAMESPACE)
        handles += __atomic_load_n(&container_of(object, struct namespace, object)->processes,
                                   __ATOMIC_RELAXED);
    return __atomic_load_n(&object->look, __ATOMIC_SEQ_CST) != FOUND || handles > object->inside ||
           can_run(object) ||
           (object->type == OBJECT_PROCESS && thread_held_outside(process_of(object)));
}

/* One of those that cannot run; it stays on the list for the next search if it is not to run. To be put. */
static struct object *gather(void)
{
    lock_acquire(&stopped_lock);
    struct process *process = list_first(&stopped, struct process, stopped_link);
    if (process) {
        object_get(&process->object);
        list_remove(&process->stopped_link);
        list_append(&stopped, &process->stopped_link);
    }
    lock_release(&stopped_lock);
    if (!process)
        return NULL;
    if (process_stopped(process))
        find(&process->object);
    else if (!process_suspended(process) && take_off(process))
        object_put(&process->object); /* the list's reference: not the last, ours is another */
    return &process->object;
}

/* A piece of what the first of `from` holds is shown to visit; once through it goes to `to`. */
static void go_through(struct list *from, struct list *to, void (*visit)(struct object *held))
{
    struct object *object = first(from);

    if (!object_held(object, &search.position, visit))
        return;
    search.position = 0;
    list_unlink(&object->passing);
    list_append(to, &object->passing);
}

/* Others look, without the lock, whether it rests. */
static void set_phase(enum phase phase)
{
    __atomic_store_n(&search.phase, phase, __ATOMIC_RELAXED);
}

static void next_phase(enum phase phase)
{
    list_splice(&search.work, &search.rest);
    set_phase(phase);
}

static struct object *begin(void)
{
    __atomic_store_n(&suspected, false, __ATOMIC_SEQ_CST);
    __atomic_fetch_add(&circles_watched, 1, __ATOMIC_SEQ_CST);
    search.to_gather = __atomic_load_n(&stopped_count, __ATOMIC_RELAXED);
    set_phase(GATHER);
    return NULL;
}

static struct object *step_find(void)
{
    struct object *object = first(&search.work);

    if (!object) {
        next_phase(COUNT);
    } else if (search.position == 0 && can_run(object)) {
        return forget(object);
    } else {
        go_through(&search.work, &search.rest, find);
    }
    return NULL;
}

static void step_count(void)
{
    struct object *object = first(&search.work);

    if (!object)
        next_phase(SORT);
    else if (object->type == OBJECT_THREAD) { /* what it has is no handle */
        list_unlink(&object->passing);
        list_append(&search.rest, &object->passing);
    } else
        go_through(&search.work, &search.rest, count);
}

static void step_sort(void)
{
    struct object *object = first(&search.work);

    if (!object) {
        set_phase(list_empty(&search.live) ? END : SPREAD);
        return;
    }
    if (held_outside(object)) {
        spread(object);
    } else {
        list_unlink(&object->passing);
        list_append(&search.rest, &object->passing);
    }
}

static void step_spread(void)
{
    if (first(&search.live))
        go_through(&search.live, &search.done, spread);
    else
        next_phase(SORT);
}

/* Of those left over or passed over, one after the other. */
static struct object *step_let_go(struct list *list, enum phase then)
{
    struct object *object = first(list);

    if (object)
        return forget(object);
    set_phase(then);
    if (then == RESTING)
        __atomic_fetch_sub(&circles_watched, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

/* --- Searching ----------------------------------------------------------------------------------------------- */

/* What is to be put; *end: it is a process to be ended before. */
static struct object *step(bool *end)
{
    switch (search.phase) {
    case RESTING:
        return begin();
    case GATHER:
        if (search.to_gather) {
            search.to_gather--;
            return gather();
        }
        set_phase(FIND);
        return NULL;
    case FIND:
        return step_find();
    case COUNT:
        step_count();
        return NULL;
    case SORT:
        step_sort();
        return NULL;
    case SPREAD:
        step_spread();
        return NULL;
    case END:
        *end = true;
        return step_let_go(&search.rest, FORGET);
    case FORGET:
        return step_let_go(&search.done, RESTING);
    }
    return NULL;
}

bool circle_step(void)
{
    bool end = false;

    if (likely(!__atomic_load_n(&suspected, __ATOMIC_RELAXED) &&
               __atomic_load_n(&search.phase, __ATOMIC_RELAXED) == RESTING))
        return false;
    if (!lock_try(&search_lock)) /* another CPU does it */
        return false;

    struct object *object = step(&end);

    lock_release(&search_lock);
    if (object && end && object->type == OBJECT_PROCESS)
        process_end(process_of(object), 0);
    if (object)
        object_put(object);
    return true;
}

/* Those who make processes spend a sixteenth of the time on this at most. */
#define PAUSE_FACTOR 16u

void circle_search(void)
{
    static uint64_t not_before;

    if (likely(!__atomic_load_n(&suspected, __ATOMIC_RELAXED)))
        return;

    uint64_t begun = arch_clock();

    if (begun < __atomic_load_n(&not_before, __ATOMIC_RELAXED))
        return;
    while (circle_step() && __atomic_load_n(&search.phase, __ATOMIC_RELAXED) != RESTING)
        arch_preempt_window();

    uint64_t ended = arch_clock();

    __atomic_store_n(&not_before, ended + (ended - begun) * PAUSE_FACTOR, __ATOMIC_RELAXED);
}
