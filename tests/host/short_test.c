/* The relay's short form, each of its roads once: CPUs of fake_cpus.h with the clock standing still, every thread on a CPU of its
 * test's choice, so that what happens is the same each time. Hand-overs are counted: a round trip on one CPU takes two, and no
 * switch of the scheduler's. */
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
#include "kernel/sched/wait.h"
#include "kernel/syscall.h"
#include "tests/host/fake_service.h"
#include "tests/host/test.h"

/* --- Roads of a call ------------------------------------------------------------------------------------------------ */

static void both_ways(void)
{
    uint32_t before = fake_hand_overs, switches = fake_switches;

    EXPECT(call(OP_READ, 0, 10, 30, 40), 0);
    EXPECT(fake_hand_overs - before, 2);
    EXPECT(fake_switches, switches);
    EXPECT(values[0], 11);
    EXPECT(values[1], 21);
    EXPECT(values[2], 70);
    EXPECT(received, 0);
    EXPECT(service.accepted, 1);
    EXPECT(service.last.op, OP_READ);
    EXPECT(service.last.cookie, COOKIE);
    EXPECT(service.last.caller, process_current()->object.id);
    EXPECT(service.last.trace != 0, true);
    EXPECT(service.last.flags, 0);
    for (int i = 0; i < 100; i++)
        EXPECT(hand_overs_of(i % 2 ? OP_READ : OP_ONCE_, 0, 0, 0), 2);
}

TEST(a_round_trip_on_one_cpu_is_two_hand_overs)
{
    play(both_ways, HERE);
}

static void not_at_all(void)
{
    EXPECT(hand_overs_of(OP_READ, 0, 0, 0), 0);
    EXPECT(hand_overs_of(OP_ONCE_, 0, 0, 0), 0);
}

TEST(a_service_on_another_cpu_is_woken)
{
    play(not_at_all, THERE);
}

static void of_higher_priority(void)
{
    sched_set_priority(thread_current(), 3, WEIGHT_USUAL);
    not_at_all();
    EXPECT(service.last.priority, 3);
    sched_set_priority(thread_current(), PRIORITY_FAIR, WEIGHT_USUAL);
    user_sleep(MS);
    EXPECT(service.thread->priority, PRIORITY_FAIR);
    EXPECT(hand_overs_of(OP_READ, 0, 0, 0), 2);
}

TEST(a_caller_of_higher_priority_takes_the_scheduler_s_road)
{
    play(of_higher_priority, HERE);
}

static void not_quiet(void)
{
    sched_look(cpu_self());
    EXPECT(hand_overs_of(OP_READ, 0, 0, 0), 1); /* back, to a caller that waits in the kernel */
    EXPECT(hand_overs_of(OP_READ, 0, 0, 0), 2);
}

TEST(a_cpu_with_something_to_see_to_first)
{
    play(not_quiet, HERE);
}

static void nobody_idle(const struct abi_message *message)
{
    (void)message;
    service.before = NULL;
    user_sleep(MS);
}

static void call_behind(uint64_t unused)
{
    uint64_t args[4] = {1}, answers[3];

    (void)unused;
    EXPECT(user_file_call_short(opened, OP_READ, 0, args, answers, NULL), 0);
    EXPECT(answers[0], 2);
}

static void two_callers(void)
{
    service.before = nobody_idle;
    object_put(&user_thread(process_current(), call_behind, 0, HERE)->object);
    hand_overs_of(OP_READ, 0, 0, 0);
    user_sleep(2 * MS);
    EXPECT(service.commands, 3);
}

TEST(a_second_caller_queues)
{
    play(two_callers, HERE);
}

static uint32_t let_go;

static void keep_busy(uint64_t unused)
{
    (void)unused;
    while (!__atomic_load_n(&let_go, __ATOMIC_RELAXED))
        user_point();
}

/* The first worker has a command in its hands until the second one has got away. */
static void let_second_go(const struct abi_message *message)
{
    uint32_t before = __atomic_load_n(&service.commands, __ATOMIC_RELAXED);

    (void)message;
    service.before = NULL;
    __atomic_store_n(&let_go, 1, __ATOMIC_RELAXED);
    while (__atomic_load_n(&service.commands, __ATOMIC_RELAXED) == before)
        user_yield();
}

/* The second worker is taken off the list of idle ones here, and goes on there, after the list has changed. */
static void moved_worker(void)
{
    struct thread *second = user_thread(service.process, worker, 1, HERE);
    struct thread *busy = user_thread(process_current(), keep_busy, 0, THERE);

    let_go = 0;
    sched_set_priority(busy, 5, WEIGHT_USUAL);
    while (!second->parked_call || !__atomic_load_n(&busy->on_cpu, __ATOMIC_RELAXED))
        user_yield();
    sched_set_affinity(second, THERE);
    service.before = let_second_go;
    object_put(&user_thread(process_current(), call_behind, 0, HERE)->object);
    while (service.object->workers.next == &second->worker.link)
        user_yield();
    EXPECT(call(OP_READ, 0, 10, 0, 0), 0);
    user_sleep(MS);
    EXPECT(service.commands, 3);
    for (int i = 0; i < 10; i++)
        hand_overs_of(OP_READ, 0, 0, 0);
    user_close(user_open(OPEN_READ));
    object_put(&second->object);
    object_put(&busy->object);
}

TEST(an_unclaimed_worker_is_off_the_list)
{
    play(moved_worker, HERE);
}

/* --- Windows --------------------------------------------------------------------------------------------------------- */

static void windows(void)
{
    uint8_t bytes[100];

    memset(bytes, 'x', sizeof(bytes));
    EXPECT(hand_overs_of(OP_WRITE, COMMAND_IN, USER(bytes), 10), 2);
    EXPECT(service.last.in_length, 10);
    EXPECT(memcmp(service.buffer, bytes, 10), 0);
    EXPECT(service.last.args[2], 0);
    EXPECT(hand_overs_of(OP_WRITE, COMMAND_IN, USER(bytes), sizeof(bytes)), 2);
    EXPECT(memcmp(service.buffer, bytes, sizeof(service.buffer)), 0);

    memset(service_data, 'y', sizeof(service_data));
    service.data_length = 5;
    EXPECT(hand_overs_of(OP_READ, COMMAND_OUT, USER(bytes), 50), 2);
    EXPECT(service.last.out_length, 50);
    EXPECT(memcmp(bytes, "yyyyyx", 6), 0);
    service.data_length = 60; /* more than there is room for */
    EXPECT(hand_overs_of(OP_READ, COMMAND_OUT, USER(bytes), 50), 2);
    EXPECT(bytes[49] == 'y' && bytes[50] == 'x', true);
}

TEST(windows_are_copied_on_the_way)
{
    play(windows, HERE);
}

/* It is claimed, the copy fails, and it is let go again. */
static void absent_window(void)
{
    memset(fake_absent, 'z', sizeof(fake_absent));
    EXPECT(hand_overs_of(OP_WRITE, COMMAND_IN, USER(fake_absent), 10), 1);
    EXPECT(service.accepted, 1);
    EXPECT(memcmp(service.buffer, "zzzzzzzzzz", 10), 0);
    EXPECT(hand_overs_of(OP_WRITE, COMMAND_IN, USER(service_data), 10), 2);
    EXPECT(call(OP_WRITE, COMMAND_IN, 10, USER(fake_bad), 10),
           0); /* the service sees how much there was */
    EXPECT(service.accepted, 0);
    EXPECT(service.last.data_length, 0);
    EXPECT(call(OP_WRITE, COMMAND_IN, 10, UINT64_MAX, 10), -E_FAULT);
    service.data_length = 1;
    EXPECT(call(OP_READ, COMMAND_OUT, 10, USER(fake_bad), 10), -E_FAULT);
}

TEST(a_window_that_is_not_there_is_the_worker_s_to_copy)
{
    play(absent_window, HERE);
}

/* The command is returned while another thread of the service copies for it: the caller stays until that has ended. */
static const struct command *copied;
static uint64_t copied_token;
static uint32_t copy_begun, came_back;

static void copy_until_returned(void)
{
    fake_copying = NULL;
    __atomic_store_n(&copy_begun, 1, __ATOMIC_RELEASE);
    while (__atomic_load_n(&copied->state, __ATOMIC_ACQUIRE) == COMMAND_ACCEPTED)
        fake_yield();
    for (int i = 0; i < 1000; i++) /* it would be back soon */
        fake_yield();
    EXPECT(__atomic_load_n(&came_back, __ATOMIC_ACQUIRE), 0);
}

static void copier(uint64_t unused)
{
    (void)unused;
    EXPECT(user_call(CALL_cmd_write, 1, copied_token, 0, USER("abc"), 3), -E_CANCELLED);
}

static void return_while_copied(const struct abi_message *message)
{
    service.before = NULL;
    copied_token = message->token;
    fake_copying = copy_until_returned;
    object_put(&user_thread(service.process, copier, 0, THERE)->object);
    while (!__atomic_load_n(&copy_begun, __ATOMIC_ACQUIRE))
        user_point();
}

static void returned_while_copied(void)
{
    copied = thread_current()->command;
    copy_begun = came_back = 0;
    service.before = return_while_copied;
    EXPECT(call(OP_READ, COMMAND_OUT, 10, USER(service_data), 3), 0);
    __atomic_store_n(&came_back, 1, __ATOMIC_RELEASE);
    user_sleep(MS);
    EXPECT(copy_begun, 1);
    EXPECT(hand_overs_of(OP_READ, 0, 0, 0), 2);
}

TEST(a_command_returned_while_it_is_copied_for)
{
    play(returned_while_copied, HERE);
}

/* A better thread becomes ready as the copy fails, and takes the first worker before the second one, which was let go again, has
 * run. */
static uint32_t better_word;

static void better_caller(uint64_t unused)
{
    (void)unused;
    user_call(CALL_futex_wait, USER(&better_word), 0, 0, (uint64_t)DEADLINE_NEVER, FUTEX_ANY);
    call_behind(0);
}

static void wake_better(void)
{
    fake_missed = NULL;
    __atomic_store_n(&better_word, 1, __ATOMIC_RELAXED);
    sys_futex_wake(UADDR(USER(&better_word)), 1, 0, FUTEX_ANY);
}

static void two_let_go(void)
{
    struct thread *second = user_thread(service.process, worker, 1, HERE);
    struct thread *better = user_thread(process_current(), better_caller, 0, HERE);

    better_word = 0;
    sched_set_priority(better, 9, WEIGHT_USUAL);
    user_sleep(MS);
    service.before = nobody_idle;
    fake_missed = wake_better;
    EXPECT(call(OP_WRITE, COMMAND_IN, 10, USER(fake_absent), 10), 0);
    user_sleep(2 * MS);
    EXPECT(service.commands, 3);
    for (int i = 0; i < 10; i++)
        hand_overs_of(OP_READ, 0, 0, 0);
    user_close(user_open(OPEN_READ));
    object_put(&second->object);
    object_put(&better->object);
}

TEST(a_worker_that_is_let_go_is_off_the_list)
{
    play(two_let_go, HERE);
}

/* --- Roads of a return ------------------------------------------------------------------------------------------------ */

static void statuses(void)
{
    service.status = -E_NOT_FOUND;
    EXPECT(call(OP_READ, 0, 10, 0, 0), -E_NOT_FOUND);
    EXPECT(values[0], 11);
    service.by_structures = true; /* from its next accept on */
    EXPECT(call(OP_READ, 0, 10, 0, 0), -E_NOT_FOUND);
    EXPECT(call(OP_READ, 0, 10, 0, 0), -E_NOT_FOUND);
    EXPECT(values[0], 0);
    service.by_structures = false;
    service.status = 0;
    EXPECT(call(OP_READ, 0, 10, 0, 0), 0);
    EXPECT(hand_overs_of(OP_READ, 0, 0, 0), 2);
}

TEST(errors_come_back_on_every_road)
{
    play(statuses, HERE);
}

/* A status that is refused leaves the command with the service. */
static void return_badly(const struct abi_message *message)
{
    const struct abi_return wrong = {.token = message->token, .status = 1},
                            fault = {
                                .token = message->token, .data = USER(fake_bad), .data_length = 8};
    struct abi_message next;

    EXPECT(user_return_accept(1, &wrong, &next, NULL, 0, DEADLINE_NEVER), -E_INVALID);
    EXPECT(user_return_accept(1, &fault, &next, NULL, 0, DEADLINE_NEVER), -E_FAULT);
    EXPECT(user_return_accept(2, &wrong, &next, NULL, 0, DEADLINE_NEVER), -E_BAD_HANDLE);
}

static void refused(void)
{
    service.before = return_badly;
    EXPECT(call(OP_READ, COMMAND_OUT, 10, USER(service_data), 8), 0);
    EXPECT(values[0], 11);
}

TEST(a_refused_return_can_be_made_again)
{
    play(refused, HERE);
}

static void accept_briefly(void)
{
    service.patience = 3 * MS;
    EXPECT(hand_overs_of(OP_READ, 0, 0, 0), 1); /* it returns by the slow road, */
    user_sleep(5 * MS);
    EXPECT(service.timed_out, 1); /* ... and does not wait for ever */
    service.patience = 0;
    user_sleep(5 * MS);
    hand_overs_of(OP_READ, 0, 0, 0);
    EXPECT(hand_overs_of(OP_READ, 0, 0, 0), 2);
}

TEST(a_worker_with_a_deadline_is_not_parked)
{
    play(accept_briefly, HERE);
}

static void note(const struct abi_message *message)
{
    (void)message;
    user_call(CALL_port_notify, 1, 4, 0, 0, 0);
}

static void notified(void)
{
    service.before = note;
    EXPECT(hand_overs_of(OP_READ, 0, 0, 0), 1);
    service.before = NULL;
    user_sleep(MS);
    EXPECT(service.notes, 1);
    EXPECT(service.last.args[0], 4);
    hand_overs_of(OP_READ, 0, 0, 0); /* it waits parked again from here on */
    EXPECT(hand_overs_of(OP_READ, 0, 0, 0), 2);
}

TEST(what_lies_at_the_port_comes_before_parking)
{
    play(notified, HERE);
}

/* --- Woken by others ------------------------------------------------------------------------------------------------- */

static void hang(const struct abi_message *message)
{
    (void)message;
    user_sleep(10 * MS);
}

static void kick(struct thread *client)
{
    thread_post_work(client, WORK_KICK);
}

static void kicked(void)
{
    service.before = hang;
    meanwhile(kick);
    EXPECT(call(OP_READ, 0, 10, 0, 0), 0); /* the answer came within the grace */
    EXPECT(values[0], 11);
    user_sleep(MS);
    meanwhile(kick);
    EXPECT(call(OP_READ, COMMAND_RESTARTABLE, 10, 0, 0), 0);
    service.status = -E_CANCELLED;
    meanwhile(kick);
    EXPECT(call(OP_READ, 0, 10, 0, 0), -E_INTERRUPTED);
}

TEST(a_kicked_caller_waits_for_the_answer)
{
    play(kicked, HERE);
}

static void cancelled(void)
{
    struct thread *second = user_thread(service.process, worker, 1, HERE);

    user_sleep(MS);
    service.before = hang;
    meanwhile(kick);
    EXPECT(call(OP_READ, 0, 10, 0, 0), 0);
    EXPECT(service.cancels, 1); /* seen by the worker that was idle, not after the answer */
    object_put(&second->object);
}

TEST(a_cancellation_wakes_an_idle_worker)
{
    play(cancelled, HERE);
}

/* A kick that comes when the caller, or the worker, has looked for work, and has not parked: it waits for the lock then. */
static struct thread *to_kick;
static uint32_t held, spinning;

static void spin(void)
{
    if (cpu_self()->index == 0)
        __atomic_store_n(&spinning, 1, __ATOMIC_RELAXED);
}

static void kick_at_lock(uint64_t unused)
{
    (void)unused;
    lock_acquire(&service.object->notify_lock);
    __atomic_store_n(&held, 1, __ATOMIC_RELEASE);
    while (!__atomic_load_n(&spinning, __ATOMIC_RELAXED))
        fake_yield();
    thread_post_work(to_kick, WORK_KICK);
    lock_release(&service.object->notify_lock);
}

static void kick_behind(struct thread *thread)
{
    held = spinning = 0;
    to_kick = thread;
    fake_spin = spin;
    object_put(&user_thread(process_current(), kick_at_lock, 0, THERE)->object);
    while (!__atomic_load_n(&held, __ATOMIC_ACQUIRE))
        fake_yield();
}

static void kicked_while_parking(void)
{
    uint32_t before = fake_hand_overs;

    kick_behind(thread_current());
    EXPECT(call(OP_READ, 0, 10, 0, 0), 0);
    EXPECT(fake_hand_overs - before, 0);
    hand_overs_of(OP_READ, 0, 0, 0);
    EXPECT(hand_overs_of(OP_READ, 0, 0, 0), 2);
}

TEST(a_caller_kicked_while_it_parks)
{
    play(kicked_while_parking, HERE);
    fake_spin = NULL;
}

static void kick_myself(const struct abi_message *message)
{
    (void)message;
    service.before = NULL;
    kick_behind(thread_current());
}

static void worker_kicked_while_parking(void)
{
    service.before = kick_myself;
    EXPECT(hand_overs_of(OP_READ, 0, 0, 0), 1);
    user_sleep(MS);
    EXPECT(service.interrupted, 1);
    EXPECT(hand_overs_of(OP_READ, 0, 0, 0), 2);
}

TEST(a_worker_kicked_while_it_parks)
{
    play(worker_kicked_while_parking, HERE);
    fake_spin = NULL;
}

static void kick_worker(struct thread *client)
{
    (void)client;
    thread_post_work(service.thread, WORK_KICK);
}

static void kicked_worker(void)
{
    hand_overs_of(OP_READ, 0, 0, 0);
    meanwhile(kick_worker);
    user_sleep(2 * MS);
    EXPECT(service.interrupted, 1);
    EXPECT(hand_overs_of(OP_READ, 0, 0, 0), 2);
}

TEST(a_kicked_worker_comes_back)
{
    play(kicked_worker, HERE);
}

static void suspend_worker(struct thread *client)
{
    (void)client;
    thread_post_work(service.thread, WORK_SUSPEND);
    user_sleep(MS);
    thread_resume(service.thread);
}

static void suspended_worker(void)
{
    service.before = hang;
    meanwhile(suspend_worker);
    EXPECT(call(OP_READ, 0, 10, 0, 0), 0);
    EXPECT(values[0], 11);
}

TEST(a_suspended_worker_returns_later)
{
    play(suspended_worker, HERE);
}

static void caller_to_be_killed(uint64_t unused)
{
    uint64_t args[4] = {0}, answers[3];

    (void)unused;
    user_file_call_short(opened, OP_READ, 0, args, answers, NULL);
    fake_fail("a killed caller came back");
}

static void killed(void)
{
    struct thread *caller;

    service.before = hang;
    caller = user_thread(process_current(), caller_to_be_killed, 0, HERE);
    user_sleep(MS);
    thread_kill(caller);
    user_sleep(20 * MS);
    EXPECT(service.commands, 2);
    EXPECT(command_count(), 0);
    object_put(&caller->object);
    service.before = NULL;
    hand_overs_of(OP_READ, 0, 0, 0);
    EXPECT(hand_overs_of(OP_READ, 0, 0, 0), 2);
}

TEST(a_killed_caller_leaves_its_command)
{
    play(killed, HERE);
}

static void replace(struct thread *client)
{
    (void)client;
    service_end();
    service.before = NULL;
    service_start(HERE);
}

static void replaced(void)
{
    service.before = hang;
    meanwhile(replace);
    EXPECT(call(OP_READ, 0, 10, 0, 0), 0);
    EXPECT(values[0], 11);
    EXPECT(service.commands, 4); /* open and the call, twice */
    service.before = hang;
    meanwhile(replace);
    EXPECT(call(OP_PROTOCOL_REPLAY, 0, 10, 0, 0), 0);
    EXPECT(values[0], 11);
    service.before = hang;
    meanwhile(replace);
    EXPECT(call(OP_ONCE_, 0, 10, 0, 0), -E_RESTARTED);
    EXPECT(values[0], 0);
    user_sleep(20 * MS); /* the new one is up */
}

TEST(a_service_dies_with_a_parked_caller)
{
    play(replaced, HERE);
}

/* --- What is refused, positions, handles ------------------------------------------------------------------------------ */

static int64_t call_on(int64_t handle, uint32_t op)
{
    uint64_t args[4] = {0}, answers[3];

    return user_file_call_short(handle, op, 0, args, answers, NULL);
}

static int64_t accept_on(int64_t handle)
{
    struct abi_message message;

    return user_return_accept(handle, &(struct abi_return){0}, &message, NULL, 0, DEADLINE_NOW);
}

static void refusals(void)
{
    int64_t readable = user_open(OPEN_READ),
            silent = user_call(CALL_handle_duplicate, (uint64_t)service.port, RIGHT_SEND, 0, 0, 0);

    EXPECT(call_on(999, OP_READ), -E_BAD_HANDLE);
    EXPECT(call_on(service.port, OP_READ), -E_WRONG_TYPE);
    EXPECT(call_on(readable, OP_WRITE), -E_ACCESS);
    EXPECT(call_on(readable, OP_OPEN), -E_INVALID);
    EXPECT(call_on(readable, OP_PAGE_IN), -E_INVALID);
    EXPECT(accept_on(999), -E_BAD_HANDLE);
    EXPECT(accept_on(readable), -E_WRONG_TYPE);
    EXPECT(accept_on(silent), -E_ACCESS);
    EXPECT(accept_on(service.port), -E_AGAIN);
    user_close(readable);
    user_close(silent);
}

TEST(what_is_refused)
{
    play(refusals, HERE);
}

static void positions(void)
{
    /* The service answers position + 1: 0, 1, 3, 7 ... */
    for (uint64_t position = 0, i = 0; i < 6; i++, position = 2 * position + 1) {
        EXPECT(call(OP_READ, COMMAND_POSITION, 99, 0, 0), 0);
        EXPECT(service.last.args[0], position);
    }
    EXPECT(user_call(CALL_file_seek, (uint64_t)opened, 0, SEEK_CUR_, 0, 0), 63);
}

TEST(positions_move_on)
{
    play(positions, HERE);
}

static void return_handle(const struct abi_message *message)
{
    struct abi_return result = {.token = message->token, .values = {5}, .handle_count = 2};

    for (int i = 0; i < 2; i++)
        result.handles[i] =
            (handle_t)user_call(CALL_proto_create, (uint64_t)HANDLE_SELF, 0, 0, 0, 0);
    EXPECT(user_complete(1, &result), 0);
}

static void handle_back(void)
{
    service.before = return_handle;
    EXPECT(call(OP_READ, 0, 10, 0, 0), 0); /* what its worker returns afterwards finds nothing */
    EXPECT(values[0], 5);
    EXPECT(received > 0, true);
    user_close(received);
    service.before = NULL;
    hand_overs_of(OP_READ, 0, 0, 0);
}

TEST(one_handle_comes_back_and_the_rest_are_dropped)
{
    play(handle_back, HERE);
}
