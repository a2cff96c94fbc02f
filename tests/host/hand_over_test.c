/* The roads of kernel/ipc/hand_over.c, each once: commands of callers that keep their stacks, to a parked worker and back; notifications
 * in a parked worker's registers. Hand-overs are counted as in short_test.c: two for a command, one for a notification whose
 * notifier waits parked itself. */
// sources: kernel/ipc/short.c kernel/ipc/command.c kernel/ipc/accept.c kernel/ipc/port.c kernel/ipc/notify.c
// sources: kernel/proto/file.c kernel/proto/calls.c kernel/proto/namespace.c kernel/handle.c kernel/object.c kernel/account.c kernel/account_members.c
// sources: kernel/process.c kernel/syscall.c kernel/calls_handle.c kernel/circle.c kernel/ipc/inherit.c
// sources: kernel/ipc/hand_over.c kernel/ipc/exceptions.c
// sources: kernel/sched/sched.c kernel/sched/idle.c kernel/sched/queue.c kernel/sched/wait.c kernel/sched/timer.c kernel/sched/futex.c
// sources: kernel/sched/thread.c kernel/sched/return.c kernel/vmm/heap.c kernel/vmm/frame.c kernel/vmm/ram.c
// sources: kernel/vmm/fail.c kernel/lock.c lib/base/rbtree.c
// sources: tests/host/fake_arch.c tests/host/fake_cpus.c tests/host/fake_kernel.c tests/host/fake_service.c
// libs: pthread
#include "kernel/exception.h"
#include "kernel/handle.h"
#include "kernel/ipc/command.h"
#include "kernel/ipc/inherit.h"
#include "kernel/sched/sched.h"
#include "kernel/sched/wait.h"
#include "kernel/syscall.h"
#include "tests/host/fake_service.h"
#include "tests/host/test.h"

/* --- Commands ------------------------------------------------------------------------------------------------------- */

static struct abi_command command;

/* With a structure; its hand-overs. */
static uint32_t long_call(uint32_t op, int64_t want)
{
    uint32_t before = fake_hand_overs;

    command.op = op;
    command.args[0] = 10;
    command.args[1] = 20;
    EXPECT(user_file_call(opened, &command), want);
    if (!want) {
        EXPECT(command.values[0], 11);
        EXPECT(command.values[1], 21);
    }
    return fake_hand_overs - before;
}

static void begin(void)
{
    command = (struct abi_command){0};
}

static void there_and_back(void)
{
    uint32_t switches = fake_switches;

    begin();
    command.args[2] = 30;
    command.args[3] = 40;
    EXPECT(long_call(OP_READ, 0), 2);
    EXPECT(fake_switches, switches);
    EXPECT(service.accepted, 1);
    EXPECT(service.last.op, OP_READ);
    EXPECT(service.last.cookie, COOKIE);
    EXPECT(service.last.caller, process_current()->object.id);
    EXPECT(service.last.trace != 0, true);
    EXPECT(command.values[2], 70);
    for (int i = 0; i < 100; i++)
        EXPECT(i % 3 ? long_call(i % 2 ? OP_READ : OP_ONCE_, 0) : hand_overs_of(OP_READ, 0, 0, 0),
               2);
    EXPECT(fake_switches, switches);
}

TEST(a_long_command_is_two_hand_overs)
{
    play(there_and_back, HERE);
}

static void long_windows(void)
{
    uint8_t in[100], out[100];

    begin();
    memset(in, 'i', sizeof(in));
    memset(out, 'o', sizeof(out));
    memset(service_data, 'y', sizeof(service_data));
    service.data_length = 5;
    command.in = USER(in);
    command.in_length = sizeof(in);
    command.out = USER(out);
    command.out_length = 50;
    EXPECT(long_call(OP_READ, 0), 2);
    EXPECT(service.last.in_length, sizeof(in));
    EXPECT(service.last.out_length, 50);
    EXPECT(memcmp(service.buffer, in, sizeof(service.buffer)), 0);
    EXPECT(memcmp(out, "yyyyyo", 6), 0);
}

TEST(both_windows_of_a_long_command)
{
    play(long_windows, HERE);
}

/* The worker is woken, as ever; from its return_accept it comes back by hand. */
static void not_of_registers(void)
{
    uint32_t before = fake_hand_overs;

    user_close(user_open(OPEN_READ)); /* a path is handed over, too */
    EXPECT(fake_hand_overs - before, 2);
    user_sleep(MS);
    begin();
    command.deadline = (int64_t)(arch_clock() + MS);
    EXPECT(long_call(OP_READ, 0), 0); /* what limits its worker is no short call's */
    EXPECT(long_call(OP_READ, 0), 0);
    begin();
    user_sleep(MS);
    EXPECT(long_call(OP_READ, 0), 2);
    command.send[0] = (handle_t)user_call(CALL_proto_create, (uint64_t)HANDLE_SELF, 0, 0, 0, 0);
    command.send_count = 1;
    EXPECT(long_call(OP_READ, 0), 1);
    EXPECT(service.last.handle_count, 1);
    begin();
    EXPECT(long_call(OP_READ, 0), 2);
}

TEST(what_is_not_of_registers_is_sent_by_the_scheduler)
{
    play(not_of_registers, HERE);
}

static void never(void)
{
    begin();
    EXPECT(long_call(OP_READ, 0), 0);
    EXPECT(long_call(OP_ONCE_, 0), 0);
}

TEST(nobody_is_claimed_on_another_cpu)
{
    play(never, THERE);
}

static void other_priority(void)
{
    inherit_set_own(thread_current(), 3);
    never();
    EXPECT(service.last.priority, 3);
    inherit_set_own(thread_current(), PRIORITY_FAIR);
    user_sleep(MS);
    EXPECT(thread_priority(service.thread), PRIORITY_FAIR);
    EXPECT(long_call(OP_READ, 0), 2);
    inherit_set_own(service.thread, 3);
    user_point();
    EXPECT(long_call(OP_READ, 0), 0);
    EXPECT(thread_priority(service.thread), 3);
    inherit_set_own(thread_current(), 3);
    user_point();
    EXPECT(long_call(OP_READ, 0), 2);
    inherit_set_own(thread_current(), PRIORITY_FAIR);
    inherit_set_own(service.thread, PRIORITY_FAIR);
}

TEST(nobody_is_claimed_by_another_priority)
{
    play(other_priority, HERE);
}

/* A worker of 5 has a command of 5 in its hands, and is made one of 0: it keeps 5 until it has returned it. */
static void lower_worker(const struct abi_message *message)
{
    (void)message;
    service.before = NULL;
    inherit_set_own(service.thread, PRIORITY_FAIR);
    EXPECT(thread_priority(service.thread), 5);
}

static void lowered(void)
{
    begin();
    inherit_set_own(service.thread, 5);
    inherit_set_own(thread_current(), 5);
    sched_look(cpu_self());
    service.before = lower_worker;
    long_call(OP_READ, 0);
    user_sleep(MS);
    EXPECT(thread_priority(service.thread), PRIORITY_FAIR);
    inherit_set_own(thread_current(), PRIORITY_FAIR);
    long_call(OP_READ, 0);
    EXPECT(long_call(OP_READ, 0), 2);
}

TEST(a_worker_loses_what_it_was_lent_only)
{
    play(lowered, HERE);
}

static void busy_cpu(void)
{
    begin();
    sched_look(cpu_self());
    EXPECT(long_call(OP_READ, 0), 1);
    EXPECT(long_call(OP_READ, 0), 2);
    thread_post_work(thread_current(), WORK_KICK); /* a wait of ours would end at once */
    long_call(OP_READ, 0); /* the answer came with the cancellation under way */
    user_sleep(MS);
    long_call(OP_READ, 0);
    EXPECT(long_call(OP_READ, 0), 2);
}

TEST(a_cpu_or_thread_with_something_to_see_to)
{
    play(busy_cpu, HERE);
}

static void missing(void)
{
    memset(fake_absent, 'z', sizeof(fake_absent));
    begin();
    command.in = USER(fake_absent);
    command.in_length = 10;
    EXPECT(long_call(OP_WRITE, 0), 1);
    EXPECT(service.accepted, 1);
    EXPECT(memcmp(service.buffer, "zzzzzzzzzz", 10), 0);
    command.in = USER(service_data);
    EXPECT(long_call(OP_WRITE, 0), 2);
    command.in = USER(fake_bad);
    EXPECT(long_call(OP_WRITE, 0), 1); /* the service sees how much there was */
    EXPECT(service.accepted, 0);
    EXPECT(service.last.data_length, 0);
}

TEST(a_missing_window_is_the_worker_s_to_fetch)
{
    play(missing, HERE);
}

/* Another thread of the service returns what is being handed over: it guessed the token. */
static uint64_t guessed;
static uint32_t guess_made;

static void guesser(uint64_t unused)
{
    struct abi_return result = {.values = {11, 21}, .handle_count = 1};

    (void)unused;
    while (!(result.token = __atomic_load_n(&guessed, __ATOMIC_ACQUIRE)))
        user_point();
    result.handles[0] = (handle_t)user_call(CALL_proto_create, (uint64_t)HANDLE_SELF, 0, 0, 0, 0);
    EXPECT(user_complete(1, &result), 0);
    __atomic_store_n(&guess_made, 1, __ATOMIC_RELEASE);
}

static void let_guess(void)
{
    fake_missed = NULL;
    __atomic_store_n(&guessed, command_token(thread_current()->command), __ATOMIC_RELEASE);
    while (!__atomic_load_n(&guess_made, __ATOMIC_ACQUIRE))
        fake_yield();
}

static void start_guesser(void)
{
    guessed = guess_made = 0;
    service.commands = 0;
    fake_missed = let_guess;
    object_put(&user_thread(service.process, guesser, 0, THERE)->object);
}

static void guess(void)
{
    begin();
    command.in = USER(fake_absent);
    command.in_length = 10;
    start_guesser();
    long_call(OP_ONCE_, 0);
    EXPECT(command.receive_count, 1);
    user_close(command.receive[0]);
    user_sleep(MS);
    EXPECT(service.commands, 0);
    start_guesser(); /* and a short one */
    EXPECT(call(OP_ONCE_, COMMAND_IN, 10, USER(fake_absent), 10), 0);
    user_close(received);
    user_sleep(MS);
    EXPECT(service.commands, 0);
    begin();
    long_call(OP_READ, 0);
    EXPECT(long_call(OP_READ, 0), 2);
}

TEST(a_command_returned_while_it_is_handed_over)
{
    play(guess, HERE);
}

/* --- Meanwhile ------------------------------------------------------------------------------------------------------ */

static void hang(const struct abi_message *message)
{
    (void)message;
    service.before = NULL;
    user_sleep(10 * MS);
}

static void kick(struct thread *client)
{
    thread_post_work(client, WORK_KICK);
}

static void kicked(void)
{
    begin();
    service.before = hang;
    meanwhile(kick);
    long_call(OP_READ, 0); /* the answer came within the grace */
    user_sleep(MS);
    EXPECT(service.cancels, 0); /* it was the only worker's, and went with the answer */
    long_call(OP_READ, 0);
    EXPECT(long_call(OP_READ, 0), 2);
    service.status = -E_CANCELLED;
    service.before = hang;
    meanwhile(kick);
    long_call(OP_READ, -E_INTERRUPTED);
}

TEST(a_kicked_caller_waits_for_the_answer)
{
    play(kicked, HERE);
}

static void suspend(struct thread *client)
{
    thread_post_work(client, WORK_SUSPEND);
    user_sleep(20 * MS);
    EXPECT(service.commands, 2);
    thread_resume(client);
}

static void suspended(void)
{
    begin();
    service.before = hang;
    meanwhile(suspend);
    EXPECT(long_call(OP_READ, 0), 2); /* the answer comes all the same */
    EXPECT(arch_clock() >= 20 * MS, true);
}

TEST(a_suspended_caller_is_answered)
{
    play(suspended, HERE);
}

static void to_be_killed(uint64_t unused)
{
    struct abi_command mine = {.op = OP_READ};

    (void)unused;
    user_file_call(opened, &mine);
    fake_fail("a killed caller came back");
}

static void killed(void)
{
    struct thread *caller;

    begin();
    service.before = hang;
    caller = user_thread(process_current(), to_be_killed, 0, HERE);
    user_sleep(MS);
    thread_kill(caller);
    user_sleep(20 * MS);
    EXPECT(service.commands, 2);
    EXPECT(service.cancels, 1);
    EXPECT(command_count(), 0);
    object_put(&caller->object);
    long_call(OP_READ, 0);
    EXPECT(long_call(OP_READ, 0), 2);
}

TEST(a_killed_caller_leaves_its_command)
{
    play(killed, HERE);
}

static void replace(struct thread *client)
{
    (void)client;
    service_end();
    service_start(HERE);
}

static void replaced(void)
{
    begin();
    service.before = hang;
    meanwhile(replace);
    long_call(OP_READ, 0);
    EXPECT(service.commands, 4); /* open and the call, twice */
    service.before = hang;
    meanwhile(replace);
    long_call(OP_ONCE_, -E_RESTARTED);
    user_sleep(20 * MS); /* the new one is up */
    long_call(OP_READ, 0);
    EXPECT(long_call(OP_READ, 0), 2);
}

TEST(a_service_dies_with_the_command)
{
    play(replaced, HERE);
}

static void move_there(struct thread *client)
{
    sched_set_affinity(client, THERE);
}

static void moved(void)
{
    begin();
    service.before = hang;
    meanwhile(move_there);
    EXPECT(long_call(OP_READ, 0), 1);
    EXPECT(cpu_self()->index, 1);
    sched_set_affinity(thread_current(), HERE);
    user_point();
    long_call(OP_READ, 0);
    EXPECT(long_call(OP_READ, 0), 2);
}

TEST(a_caller_that_may_not_go_on_here_is_woken)
{
    play(moved, HERE);
}

/* --- Exceptions ------------------------------------------------------------------------------------------------------ */

static void redirect(const struct abi_message *message)
{
    struct abi_frame seen;

    EXPECT(message->op, OP_EXCEPTION);
    EXPECT(message->args[0], 13);
    EXPECT(message->in_length, sizeof(struct abi_frame));
    EXPECT(user_call(CALL_cmd_read, 1, message->token, 0, USER(&seen), sizeof(seen)), sizeof(seen));
    EXPECT(seen.rbx, 7);
    EXPECT(memcmp(service.buffer, &seen, sizeof(service.buffer)), 0);
    seen.rbx = 8;
    EXPECT(user_call(CALL_cmd_write, 1, message->token, 0, USER(&seen), sizeof(seen)),
           sizeof(seen));
}

static void exception(void)
{
    struct abi_frame frame = {.rbx = 7, .rip = 100, .vector = 13};
    uint32_t before = fake_hand_overs;

    EXPECT(exception_set_handler(process_current(), service.object), 0);
    service.before = redirect;
    EXPECT(exception_tell(thread_current(), &frame, 0), true);
    EXPECT(fake_hand_overs - before, 2);
    EXPECT(frame.rbx, 8);
    EXPECT(frame.rip, 14); /* its vector and 1, says the service */
    EXPECT(exception_set_handler(process_current(), NULL), 0);
}

TEST(an_exception_is_two_hand_overs)
{
    play(exception, HERE);
}

/* --- Notifications --------------------------------------------------------------------------------------------------- */

static void notify(uint64_t bits)
{
    EXPECT(user_call(CALL_port_notify, (uint64_t)service.port, bits, 0, 0, 0), 0);
}

static void parked_again(void)
{
    user_sleep(MS);
    EXPECT(hand_overs_of(OP_READ, 0, 0, 0), 2);
}

static void noted(uint32_t notes, uint64_t bits, int64_t accepted)
{
    EXPECT(service.notes, notes);
    EXPECT(service.last.kind, MESSAGE_NOTIFY);
    EXPECT(service.last.args[0], bits);
    EXPECT(service.last.cookie, 0);
    EXPECT(service.accepted, accepted);
}

static void goes_on(void)
{
    parked_again();
    notify(4);
    user_point();
    EXPECT(service.notes, 0); /* the notifier runs on */
    user_sleep(MS);
    noted(1, 4, 1);
    parked_again();
    notify(1);
    notify(2); /* nobody is idle */
    notify(8);
    user_sleep(MS);
    noted(3, 10, service.accepted);
    parked_again();
}

TEST(a_notification_comes_in_registers)
{
    play(goes_on, HERE);
}

static void outranked(void)
{
    parked_again();
    inherit_set_own(service.thread, 5);
    notify(4);
    noted(1, 4, 1);
    inherit_set_own(thread_current(), 9);
    notify(2);
    EXPECT(service.notes, 1);
    user_sleep(MS);
    noted(2, 2, 1);
    inherit_set_own(thread_current(), PRIORITY_FAIR);
    inherit_set_own(service.thread, PRIORITY_FAIR);
    parked_again();
}

TEST(a_notified_worker_runs_when_it_ranks)
{
    play(outranked, HERE);
}

static void elsewhere(void)
{
    notify(4);
    user_sleep(MS);
    EXPECT(service.notes, 1);
    EXPECT(service.last.args[0], 4);
    EXPECT(hand_overs_of(OP_READ, 0, 0, 0), 0);
}

TEST(a_worker_elsewhere_is_woken_for_a_notification)
{
    play(elsewhere, THERE);
}

static void by_structures(void)
{
    service.by_structures = true;
    hand_overs_of(OP_READ, 0, 0, 0);
    user_sleep(MS);
    notify(4);
    user_sleep(MS);
    noted(1, 4, 0);
    service.by_structures = false;
    notify(2);
    user_sleep(MS);
    parked_again();
}

TEST(a_worker_with_a_structure_is_woken_for_a_notification)
{
    play(by_structures, HERE);
}

static void notified_then(void)
{
    object_handle_get(&service.process->object); /* or nobody could let it go on */
    parked_again();
    notify(4);
    thread_post_work(service.thread, WORK_SUSPEND);
    user_sleep(MS);
    EXPECT(service.notes, 0);
    thread_resume(service.thread);
    object_handle_put(&service.process->object);
    user_sleep(MS);
    noted(1, 4, 1);
    parked_again();

    notify(2);
    thread_post_work(service.thread, WORK_KICK); /* it has its message, and waits no more */
    user_sleep(MS);
    noted(2, 2, 1);
    EXPECT(service.interrupted, 0);
    parked_again();

    notify(1);
    sched_set_affinity(service.thread, THERE);
    user_sleep(MS);
    noted(3, 1, 1);
    EXPECT(hand_overs_of(OP_READ, 0, 0, 0), 0);

    sched_set_affinity(service.thread, HERE);
    hand_overs_of(OP_READ, 0, 0, 0);
    parked_again();
    notify(16);
    service_end();
    EXPECT(service.notes, 3);
    service_start(HERE);
    hand_overs_of(OP_READ, 0, 0, 0);
}

TEST(a_notified_worker_is_suspended_kicked_moved_and_killed)
{
    play(notified_then, HERE);
}

/* Two workers that notify each other, each parked at a port of its own. */
#define ROUNDS 50u

static int64_t ball_ports[2];
static struct thread *players[2];
static uint32_t hits[2];
static void (*at_hit)(uint32_t side);

static void player(uint64_t side)
{
    struct abi_message message;

    while (user_return_accept(ball_ports[side], &(struct abi_return){0}, &message, NULL, 0,
                              DEADLINE_NEVER) == 1) {
        hits[side]++;
        if (hits[side] < ROUNDS)
            EXPECT(user_call(CALL_port_notify, (uint64_t)ball_ports[!side], 1, 0, 0, 0), 0);
        if (at_hit)
            at_hit((uint32_t)side);
    }
}

static void game(void (*what)(uint32_t side))
{
    at_hit = what;
    for (uint32_t i = 0; i < 2; i++) {
        hits[i] = 0;
        ball_ports[i] = user_call(CALL_proto_create, (uint64_t)HANDLE_SELF, 0, 0, 0, 0);
        players[i] = user_thread(process_current(), player, i, HERE);
    }
    user_sleep(MS);
}

static void game_over(void)
{
    for (uint32_t i = 0; i < 2; i++)
        user_close(ball_ports[i]);
    user_sleep(MS);
    for (uint32_t i = 0; i < 2; i++)
        object_put(&players[i]->object);
}

static void serve_ball(void)
{
    EXPECT(user_call(CALL_port_notify, (uint64_t)ball_ports[0], 1, 0, 0, 0), 0);
    user_sleep(MS);
}

static void ping_pong(void)
{
    uint32_t before, switches;

    game(NULL);
    before = fake_hand_overs;
    switches = fake_switches;
    serve_ball();
    EXPECT(hits[0], ROUNDS);
    EXPECT(hits[1], ROUNDS - 1);
    EXPECT(fake_hand_overs - before, 2 * (ROUNDS - 1));
    EXPECT(fake_switches - switches <= 4, true);
    game_over();
}

TEST(who_notifies_and_waits_hands_the_cpu_over)
{
    play(ping_pong, HERE);
}

static void look(uint32_t side)
{
    if (side == 0)
        sched_look(cpu_self());
}

static void ping_pong_slowly(void)
{
    uint32_t before;

    game(look);
    before = fake_hand_overs;
    serve_ball();
    EXPECT(hits[0], ROUNDS);
    EXPECT(fake_hand_overs - before, ROUNDS - 1); /* the other way */
    game_over();
}

TEST(a_notifier_with_something_to_see_to_first)
{
    play(ping_pong_slowly, HERE);
}

static void kill_other(uint32_t side)
{
    if (side == 0 && hits[0] == 10)
        thread_kill(players[1]);
}

static void kill_in_flight(void)
{
    game(kill_other);
    serve_ball();
    EXPECT(hits[0], 10);
    EXPECT(hits[1], 9);
    game_over();
}

TEST(a_notified_worker_is_killed_before_it_runs)
{
    play(kill_in_flight, HERE);
}

/* A better thread comes in between: woken by the notifier, it is first. */
static uint32_t better_word, better_ran;

static void better(uint64_t unused)
{
    (void)unused;
    user_call(CALL_futex_wait, USER(&better_word), 0, 0, (uint64_t)DEADLINE_NEVER, FUTEX_ANY);
    better_ran = hits[1];
}

static void wake_better(uint32_t side)
{
    if (side == 0 && hits[0] == 10) {
        better_word = 1;
        sys_futex_wake(UADDR(USER(&better_word)), 1, 0, FUTEX_ANY);
        __atomic_store_n(&cpu_self()->need_resched, 0,
                         __ATOMIC_RELAXED); /* its queue says it, too */
    }
}

static void better_first(void)
{
    struct thread *thread = user_thread(process_current(), better, 0, HERE);

    better_word = better_ran = 0;
    inherit_set_own(thread, 9);
    game(wake_better);
    serve_ball();
    EXPECT(hits[0], ROUNDS);
    EXPECT(better_ran, 9);
    game_over();
    object_put(&thread->object);
}

TEST(a_better_thread_comes_before_who_was_notified)
{
    play(better_first, HERE);
}
