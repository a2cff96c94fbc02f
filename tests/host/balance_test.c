/* The load balancer for commands: which idle worker gets one, and in what order commands are served that found none. CPUs of
 * fake_cpus.h with the clock standing still but when every CPU is idle, so that what happens is the same each time.
 *
 * Workers log each command as they begin it. A command takes `pace` of the clock; each worker's first one a bit more, so that no two
 * workers are ever done at the same time, and nothing depends on which of them is quicker then.
 */
// sources: kernel/ipc/short.c kernel/ipc/command.c kernel/ipc/accept.c kernel/ipc/port.c kernel/ipc/notify.c
// sources: kernel/proto/file.c kernel/proto/calls.c kernel/proto/namespace.c kernel/handle.c kernel/object.c kernel/account.c kernel/account_members.c
// sources: kernel/process.c kernel/syscall.c kernel/calls_handle.c kernel/circle.c kernel/ipc/inherit.c
// sources: kernel/ipc/hand_over.c
// sources: kernel/sched/sched.c kernel/sched/idle.c kernel/sched/queue.c kernel/sched/wait.c kernel/sched/timer.c kernel/sched/futex.c
// sources: kernel/sched/thread.c kernel/sched/return.c kernel/vmm/heap.c kernel/vmm/frame.c kernel/vmm/ram.c
// sources: kernel/vmm/fail.c kernel/lock.c lib/base/rbtree.c
// sources: tests/host/fake_arch.c tests/host/fake_cpus.c tests/host/fake_kernel.c tests/host/fake_service.c
// libs: pthread
#include "kernel/handle.h"
#include "kernel/ipc/command.h"
#include "kernel/sched/sched.h"
#include "tests/host/fake_service.h"
#include "tests/host/test.h"

#define WORKERS_MAX 4u
#define CLIENTS_MAX 8u
#define LOG_MAX     4096u

static struct {
    uint32_t worker;
    uint64_t client; /* args[0] */
    uint32_t priority;
} served[LOG_MAX];
static uint32_t served_count, begun;

static uint64_t pace;
static int64_t port, port_of_workers;
static struct process *serving;

/* --- The service: workers, each with a CPU of its own ---------------------------------------------------------------- */

/* In the order they get here; what served_count counts is written. */
static void log_command(uint32_t number, const struct abi_message *message)
{
    uint32_t index = __atomic_fetch_add(&begun, 1, __ATOMIC_SEQ_CST);

    if (index < LOG_MAX) {
        served[index].worker = number;
        served[index].client = message->args[0];
        served[index].priority = message->priority;
    }
    while (__atomic_load_n(&served_count, __ATOMIC_SEQ_CST) != index)
        ;
    __atomic_store_n(&served_count, index + 1, __ATOMIC_SEQ_CST);
}

static void serve(uint64_t number)
{
    struct abi_return result = {0};
    struct abi_message message;
    uint64_t late = number * (MS / 8);
    int64_t accepted;

    while ((accepted = user_return_accept(port_of_workers, &result, &message, NULL, 0,
                                          DEADLINE_NEVER)) != -E_CLOSED) {
        result = (struct abi_return){0};
        if (accepted < 0 || message.kind != MESSAGE_COMMAND)
            continue;
        result.token = message.token;
        if (message.op == OP_OPEN) {
            result.values[0] = COOKIE;
            continue;
        }
        log_command((uint32_t)number, &message);
        if (pace)
            user_sleep(pace + late);
        late = 0;
    }
}

/* masks: of CPUs, one for each worker, 0 behind the last. */
static void workers_start(const uint64_t *masks, struct thread **workers)
{
    handle_t handle;
    struct object *object;

    if (handle_lookup(process_current()->handles, (handle_t)port, OBJECT_PORT, 0, &object, NULL))
        abort();
    object_handle_get(object);
    serving = user_process();
    if (handle_install(serving->handles, object, RIGHT_ALL, &handle))
        abort();
    object_put(object);
    port_of_workers = handle;
    for (uint32_t i = 0; masks[i]; i++) {
        workers[i] = user_thread(serving, serve, i, masks[i]);
        user_sleep(MS); /* it waits in accept now */
    }
}

static void workers_end(struct thread *const *workers)
{
    process_end(serving, 0);
    user_sleep(MS);
    for (uint32_t i = 0; i < WORKERS_MAX && workers[i]; i++)
        object_put(&workers[i]->object);
    object_put(&serving->object);
}

/* --- Scenarios ------------------------------------------------------------------------------------------------------- */

static void (*scenario)(void);
static const uint64_t *places;

static void root(uint64_t unused)
{
    struct thread *workers[WORKERS_MAX] = {NULL};

    (void)unused;
    served_count = begun = 0;
    port = user_protocol();
    sched_set_affinity(thread_current(), HERE);
    user_point();
    workers_start(places, workers);
    opened = user_open(OPEN_READ | OPEN_WRITE);
    scenario();
    user_close(opened);
    workers_end(workers);
}

static const char *balance_run(void (*what)(void), const uint64_t *masks)
{
    fake_speed = 0;
    scenario = what;
    places = masks;
    fake_cpus_run(root, 0);
    if (command_count() || handle_count_all() || object_count(OBJECT_PROCESS))
        fake_fail("commands, handles or processes are left");
    return fake_failure;
}

/* In this order they become idle. */
#define with_workers(what, ...) \
    CHECK_STRING(balance_run((what), (const uint64_t[]){__VA_ARGS__, 0}), "")

static int64_t call_as(uint64_t client)
{
    uint64_t args[4] = {client}, answers[3];

    return user_file_call_short(opened, OP_READ, 0, args, answers, NULL);
}

/* --- Which worker ---------------------------------------------------------------------------------------------------- */

static void from_every_cpu(void)
{
    pace = 0;
    for (uint32_t i = 0; i < 4 * RUN_CPUS; i++) {
        uint32_t cpu = i * 3 % RUN_CPUS;

        sched_set_affinity(thread_current(), UINT64_C(1) << cpu);
        user_sleep(MS); /* it goes on there, and everybody is idle */
        EXPECT(cpu_self()->index, cpu);
        EXPECT(call_as(0), 0);
        EXPECT(places[served[i].worker], UINT64_C(1) << cpu);
    }
}

TEST(an_idle_worker_of_the_caller_s_cpu_is_preferred)
{
    with_workers(from_every_cpu, 1, 2, 4, 8);
    with_workers(from_every_cpu, 4, 1, 8, 2);
    with_workers(from_every_cpu, 8, 4, 2, 1);
}

static void caller_once(uint64_t client)
{
    EXPECT(call_as(client), 0);
}

/* A thread on CPU 0 that calls; its command is under way or queued when this returns. */
static struct thread *caller_start(program *what, uint64_t client, uint32_t priority)
{
    uint64_t before = command_count();
    struct thread *thread = user_thread(process_current(), what, client, HERE);

    if (priority)
        sched_set_priority(thread, priority, WEIGHT_USUAL);
    while (command_count() == before)
        user_yield();
    return thread;
}

/* While the one here has a command in its hands, the next goes to one elsewhere, and the third to the last one. Each begins at once:
 * the clock does not move. */
static void one_after_the_other(void)
{
    struct thread *callers[3];
    uint64_t began = arch_clock();

    pace = 10 * MS;
    for (uint32_t i = 0; i < 3; i++) {
        callers[i] = caller_start(caller_once, i, 0);
        while (__atomic_load_n(&served_count, __ATOMIC_SEQ_CST) <= i)
            user_yield();
    }
    EXPECT(arch_clock(), began);
    EXPECT(places[served[0].worker], HERE);
    EXPECT(served[1].worker != served[0].worker, true);
    EXPECT(served[2].worker != served[0].worker && served[2].worker != served[1].worker, true);
    user_sleep(2 * pace);
    for (uint32_t i = 0; i < 3; i++)
        object_put(&callers[i]->object);
}

TEST(else_an_idle_worker_elsewhere)
{
    with_workers(one_after_the_other, 2, 1, 4);
}

/* --- In what order ----------------------------------------------------------------------------------------------------- */

/* All workers are busy when these come. */
static void queue_up(const uint32_t *priorities, const uint32_t *order, uint32_t count)
{
    struct thread *callers[CLIENTS_MAX + WORKERS_MAX];
    uint32_t busy = 0, total;

    pace = MS;
    for (; places[busy]; busy++)
        callers[busy] = caller_start(caller_once, 100, 0);
    while (__atomic_load_n(&served_count, __ATOMIC_SEQ_CST) < busy)
        user_yield();
    for (total = busy; total < busy + count; total++)
        callers[total] = caller_start(caller_once, total - busy, priorities[total - busy]);
    user_sleep(20 * MS);
    EXPECT(served_count, total);
    for (uint32_t i = 0; i < count; i++) {
        EXPECT(served[busy + i].client, order[i]);
        EXPECT(served[busy + i].priority, priorities[order[i]]);
    }
    for (uint32_t i = 0; i < total; i++)
        object_put(&callers[i]->object);
}

static void equals(void)
{
    static const uint32_t priorities[8] = {0}, order[8] = {0, 1, 2, 3, 4, 5, 6, 7};

    queue_up(priorities, order, 8);
}

TEST(equals_are_served_as_they_came)
{
    with_workers(equals, 1);
    with_workers(equals, 2);
}

static void unequals(void)
{
    static const uint32_t priorities[7] = {0, 3, 0, 7, 3, 0, 7}, order[7] = {3, 6, 1, 4, 0, 2, 5};

    queue_up(priorities, order, 7);
}

TEST(higher_priorities_come_first)
{
    with_workers(unequals, 2);
}

/* --- Nobody starves ------------------------------------------------------------------------------------------------------ */

#define ROUNDS 40u

static void caller_again(uint64_t client)
{
    for (uint32_t i = 0; i < ROUNDS; i++)
        EXPECT(call_as(client), 0);
}

/* More clients than workers, each calling again as soon as it is answered: they take turns. */
static void greedy_clients(void)
{
    struct thread *clients[CLIENTS_MAX];
    uint32_t counts[CLIENTS_MAX] = {0};

    pace = MS;
    for (uint32_t i = 0; i < CLIENTS_MAX; i++)
        clients[i] = user_thread(process_current(), caller_again, i, UINT64_C(1) << i % RUN_CPUS);
    user_sleep(CLIENTS_MAX * (ROUNDS + 2) * MS);
    EXPECT(served_count, CLIENTS_MAX * ROUNDS);
    for (uint32_t i = 0; i < served_count; i++) {
        uint32_t count = ++counts[served[i].client], least = UINT32_MAX;

        for (uint32_t j = 0; j < CLIENTS_MAX; j++)
            least = MIN(least, counts[j]);
        EXPECT(count - least <= 1, true);
    }
    for (uint32_t i = 0; i < CLIENTS_MAX; i++)
        object_put(&clients[i]->object);
}

TEST(clients_that_never_stop_get_equal_shares)
{
    with_workers(greedy_clients, 1);
    with_workers(greedy_clients, 1, 2);
    with_workers(greedy_clients, 1, 2, 4);
    with_workers(greedy_clients, 1, 2, 4, 8);
}

/* One of higher priority beside them: what begins between its call and its turn are those at most that were being served. */
static void in_a_hurry(void)
{
    struct thread *clients[CLIENTS_MAX];

    pace = MS;
    for (uint32_t i = 0; i < CLIENTS_MAX; i++)
        clients[i] =
            user_thread(process_current(), caller_again, i, UINT64_C(2) << i % (RUN_CPUS - 1));
    user_sleep(5 * MS + MS / 2);
    sched_set_priority(thread_current(), 5, WEIGHT_USUAL);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        uint32_t before = __atomic_load_n(&served_count, __ATOMIC_SEQ_CST), at = before;

        EXPECT(call_as(100), 0);
        while (at < LOG_MAX && served[at].client != 100)
            at++;
        EXPECT(at, before); /* the very next to begin */
        user_sleep(MS / 2);
    }
    sched_set_priority(thread_current(), PRIORITY_FAIR, WEIGHT_USUAL);
    user_sleep((CLIENTS_MAX + 2) * ROUNDS * MS);
    EXPECT(served_count, (CLIENTS_MAX + 1) * ROUNDS);
    for (uint32_t i = 0; i < CLIENTS_MAX; i++)
        object_put(&clients[i]->object);
}

TEST(who_is_in_a_hurry_is_the_next)
{
    with_workers(in_a_hurry, 2);
}
