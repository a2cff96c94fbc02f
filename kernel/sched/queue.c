/* One CPU's run queue: which thread comes next. See sched.h. The caller holds the queue's lock. */
#include "kernel/panic.h"
#include "kernel/sched/sched.h"

/* A fair thread that slept is put at most this much (cycles of weight WEIGHT_USUAL) ahead of the others, so that
 * sleeping does not save up CPU time. */
#define SLEEPER_CREDIT UINT64_C(2000000)
/* A fair thread must be this far ahead to preempt, or wakeups would switch for nothing. */
#define PREEMPT_MARGIN UINT64_C(1000000)

void queue_init(struct cpu_queue *queue)
{
    lock_init(&queue->lock, RANK_QUEUE, "run queue");
    for (uint32_t i = 0; i < PRIORITY_MAX; i++)
        list_init(&queue->realtime[i]);
}

static void insert_fair(struct cpu_queue *queue, struct thread *thread)
{
    struct rb_node **place = &queue->fair.root, *parent = NULL;
    uint64_t floor =
        queue->virtual_floor > SLEEPER_CREDIT ? queue->virtual_floor - SLEEPER_CREDIT : 0;

    thread->virtual_time = MAX(thread->virtual_time, floor);
    while (*place) {
        parent = *place;
        place = thread->virtual_time < container_of(parent, struct thread, queue_node)->virtual_time
                    ? &parent->left
                    : &parent->right;
    }
    rb_insert(&queue->fair, &thread->queue_node, parent, place);
}

static void set_levels(struct cpu_queue *queue, uint32_t levels)
{
    __atomic_store_n(&queue->levels, levels, __ATOMIC_RELAXED);
}

void queue_insert(struct cpu_queue *queue, struct thread *thread)
{
    ASSERT(!thread->queued);
    /* Release: whoever sees it queued sees where (sched_set_priority). */
    __atomic_store_n(&thread->queued, true, __ATOMIC_RELEASE);
    __atomic_store_n(&queue->length, queue->length + 1, __ATOMIC_RELAXED);
    thread->level = thread_priority(thread);
    if (thread->level == PRIORITY_FAIR) {
        insert_fair(queue, thread);
        return;
    }
    list_append(&queue->realtime[thread->level - 1], &thread->queue_link);
    set_levels(queue, queue->levels | 1u << (thread->level - 1));
}

static inline void take_out(struct cpu_queue *queue, struct thread *thread)
{
    ASSERT(thread->queued);
    __atomic_store_n(&thread->queued, false, __ATOMIC_RELAXED);
    __atomic_store_n(&queue->length, queue->length - 1, __ATOMIC_RELAXED);
    if (thread->level == PRIORITY_FAIR) {
        rb_remove(&queue->fair, &thread->queue_node);
        return;
    }
    list_remove(&thread->queue_link);
    if (list_empty(&queue->realtime[thread->level - 1]))
        set_levels(queue, queue->levels & ~(1u << (thread->level - 1)));
}

void queue_remove(struct cpu_queue *queue, struct thread *thread)
{
    take_out(queue, thread);
}

struct thread *queue_pick(struct cpu_queue *queue)
{
    struct thread *thread;

    if (queue->levels) {
        uint32_t top = 31u - (uint32_t)__builtin_clz(queue->levels);

        thread = list_first(&queue->realtime[top], struct thread, queue_link);
    } else {
        thread = rb_entry(rb_first(&queue->fair), struct thread, queue_node);
        if (thread)
            queue->virtual_floor = MAX(queue->virtual_floor, thread->virtual_time);
    }
    if (thread)
        take_out(queue, thread);
    return thread;
}

static bool may_move(const struct thread *thread, uint32_t cpu)
{
    if (__atomic_load_n(&thread->on_cpu, __ATOMIC_ACQUIRE))
        return false;

    uint64_t affinity = __atomic_load_n(&thread->affinity, __ATOMIC_RELAXED);

    return !affinity || (cpu < 64 && (affinity & BIT(cpu)));
}

struct thread *queue_steal(struct cpu_queue *queue, uint32_t cpu)
{
    for (uint32_t levels = queue->levels; levels;) {
        uint32_t top = 31u - (uint32_t)__builtin_clz(levels);

        list_for_each (struct thread, thread, &queue->realtime[top], queue_link) {
            if (may_move(thread, cpu)) {
                queue_remove(queue, thread);
                return thread;
            }
        }
        levels &= ~(1u << top);
    }
    for (struct rb_node *node = rb_first(&queue->fair); node; node = rb_next(node)) {
        struct thread *thread = container_of(node, struct thread, queue_node);

        if (may_move(thread, cpu)) {
            queue_remove(queue, thread);
            return thread;
        }
    }
    return NULL;
}

bool queue_outranks(const struct thread *a, const struct thread *b)
{
    if (!b->process) /* idle */
        return true;

    uint32_t first = thread_priority(a), second = thread_priority(b);

    if (first != second)
        return first > second;
    return first == PRIORITY_FAIR && a->virtual_time + PREEMPT_MARGIN < b->virtual_time;
}
