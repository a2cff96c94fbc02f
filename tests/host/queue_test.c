// sources: kernel/sched/queue.c kernel/lock.c lib/base/rbtree.c tests/host/fake_arch.c
/* A CPU's run queue: order, levels, stealing, virtual time. */
#include "kernel/sched/sched.h"
#include "tests/host/test.h"

#include <stdlib.h>
#include <string.h>

#define THREADS 64

static struct cpu_queue queue;
static struct thread threads[THREADS];
static struct process process;

static void start(void)
{
    memset(&queue, 0, sizeof(queue));
    memset(threads, 0, sizeof(threads));
    queue_init(&queue);
    for (int i = 0; i < THREADS; i++) {
        threads[i].process = &process;
        threads[i].weight = WEIGHT_USUAL;
        list_init(&threads[i].queue_link);
    }
}

TEST(higher_levels_first_then_in_order)
{
    start();
    for (int i = 0; i < THREADS; i++) {
        threads[i].priority = (uint32_t)i % 4;
        queue_insert(&queue, &threads[i]);
    }
    CHECK_EQUAL(queue.length, THREADS);
    for (int i = 0; i < THREADS; i++) {
        struct thread *thread = queue_pick(&queue);

        CHECK_EQUAL(thread->priority, 3u - (unsigned)i / (THREADS / 4));
        if (thread->priority)
            CHECK_EQUAL(thread - threads, i % (THREADS / 4) * 4 + (int)thread->priority);
    }
    CHECK(queue_pick(&queue) == NULL);
    CHECK_EQUAL(queue.length, 0);
    CHECK_EQUAL(queue.levels, 0);
}

TEST(the_fair_class_picks_who_is_furthest_behind)
{
    uint64_t last = 0;

    start();
    srand(1);
    queue.virtual_floor = 0;
    for (int i = 0; i < THREADS; i++) {
        threads[i].virtual_time = (uint64_t)rand();
        queue_insert(&queue, &threads[i]);
    }
    for (int i = 0; i < THREADS; i += 2) /* some leave before their turn */
        queue_remove(&queue, &threads[i]);
    for (int i = 0; i < THREADS / 2; i++) {
        struct thread *thread = queue_pick(&queue);

        CHECK(thread->virtual_time >= last);
        last = thread->virtual_time;
        CHECK(queue.virtual_floor >= last);
    }
    CHECK(queue_pick(&queue) == NULL);
}

TEST(sleeping_does_not_save_up_time)
{
    start();
    queue.virtual_floor = UINT64_C(1) << 40;
    queue_insert(&queue, &threads[0]);
    CHECK(threads[0].virtual_time > (UINT64_C(1) << 39));
    queue_remove(&queue, &threads[0]);
}

TEST(weights_share_the_cpu)
{
    uint64_t got[2] = {0};

    start();
    threads[1].weight = 3 * WEIGHT_USUAL;
    queue_insert(&queue, &threads[0]);
    queue_insert(&queue, &threads[1]);
    for (int i = 0; i < 4000; i++) {
        struct thread *thread = queue_pick(&queue);

        queue_charge(thread, 1000000);
        got[thread - threads]++;
        queue_insert(&queue, thread);
    }
    CHECK(got[1] > got[0] * 29 / 10 && got[1] < got[0] * 31 / 10);
}

TEST(stealing_respects_affinity_and_stacks)
{
    start();
    threads[0].affinity = 1; /* CPU 0 only */
    threads[1].on_cpu = 1;   /* still on its stack */
    threads[2].priority = 5;
    threads[2].affinity = 1;
    for (int i = 0; i < 4; i++)
        queue_insert(&queue, &threads[i]);
    CHECK(queue_steal(&queue, 1) == &threads[3]);
    CHECK(queue_steal(&queue, 1) == NULL);
    CHECK(queue_steal(&queue, 0) == &threads[2]);
    CHECK_EQUAL(queue.length, 2);
}

TEST(who_preempts_whom)
{
    struct thread idle = {0};

    start();
    threads[1].priority = 1;
    CHECK(queue_outranks(&threads[0], &idle));
    CHECK(queue_outranks(&threads[1], &threads[0]));
    CHECK(!queue_outranks(&threads[0], &threads[1]));
    threads[2].virtual_time = UINT64_C(1) << 30;
    CHECK(queue_outranks(&threads[0], &threads[2]));
    CHECK(!queue_outranks(&threads[2], &threads[0]));
}
