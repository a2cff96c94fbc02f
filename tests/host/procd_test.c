/* procd's table, signals, wait and alarms, on a kernel that only counts. */
// sources: sbin/procd/process.c sbin/procd/signal.c sbin/procd/wait.c sbin/procd/alarm.c sbin/procd/store.c
// sources: sbin/procd/recover.c lib/base/rbtree.c
#include "sbin/procd/process.h"

#include "sbin/procd/alarm.h"
#include "sbin/procd/kernel.h"
#include "sbin/procd/recover.h"
#include "sbin/procd/signal.h"
#include "sbin/procd/wait.h"
#include "tests/host/test.h"

static struct table table;
static int kicks, kills, suspends, resumes;
static int64_t clock_now;

struct returned {
    uint64_t token;
    int64_t status;
    uint64_t values[3];
};
static struct returned last_return;
static int returns;

void kernel_kick(const struct process *process)
{
    (void)process;
    kicks++;
}

void kernel_kill(const struct process *process, uint32_t status)
{
    (void)process;
    (void)status;
    kills++;
}

void kernel_suspend(const struct process *process)
{
    (void)process;
    suspends++;
}

void kernel_resume(const struct process *process)
{
    (void)process;
    resumes++;
}

int64_t kernel_now(void)
{
    return clock_now;
}

void kernel_keep(const struct process *process)
{
    (void)process;
}

void kernel_forget(struct process *process)
{
    process->handle = HANDLE_NONE;
}

int64_t kernel_watch(struct process *process)
{
    (void)process;
    return 0;
}

bool kernel_find(struct process *process, struct abi_process_info *info)
{
    *info = (struct abi_process_info){.id = 1000 + (uint64_t)process->pid};
    process->handle = 1;
    return true;
}

void kernel_forget_strays(const struct table *of)
{
    (void)of;
}

void kernel_open(handle_t port)
{
    (void)port;
}

/* What outlives procd. */
#define KEPT_MAX 64
static struct {
    uint64_t key;
    uint8_t *bytes;
    size_t length;
} kept[KEPT_MAX];
static size_t kept_count;

bool keep_exists(handle_t port, uint64_t key)
{
    (void)port;
    for (size_t i = 0; i < kept_count; i++)
        if (kept[i].key == key)
            return true;
    return false;
}

void *keep_memory(handle_t port, uint64_t key, size_t length)
{
    (void)port;
    for (size_t i = 0; i < kept_count; i++)
        if (kept[i].key == key)
            return kept[i].bytes;
    CHECK(kept_count < KEPT_MAX);
    kept[kept_count].key = key;
    kept[kept_count].length = length;
    kept[kept_count].bytes = calloc(1, length);
    return kept[kept_count++].bytes;
}

static void kept_clear(void)
{
    while (kept_count)
        free(kept[--kept_count].bytes);
}

void command_return(handle_t port, uint64_t token, int64_t status, struct abi_return *reply)
{
    (void)port;
    last_return =
        (struct returned){token, status, {reply->values[0], reply->values[1], reply->values[2]}};
    returns++;
}

void command_return_value(handle_t port, uint64_t token, int64_t status, uint64_t value)
{
    command_return(port, token, status, &(struct abi_return){.values = {value}});
}

static struct process *add(struct process *parent)
{
    int32_t pid = pid_allocate(&table);
    return process_enter(&table, parent, pid, 1000 + (uint64_t)pid, HANDLE_NONE, 0);
}

/* init, a shell that leads its session, and two children of it in groups of their own. */
static struct process *init, *shell, *first, *second;

static void start(void)
{
    CHECK(table_open(&table, HANDLE_NONE));
    kicks = kills = suspends = resumes = returns = 0;
    clock_now = 1000;
    init = add(NULL);
    shell = add(init);
    CHECK_EQUAL(process_set_session(&table, shell), 0);
    first = add(shell);
    second = add(shell);
    CHECK_EQUAL(process_set_group(&table, shell, first->pid, 0), 0);
    CHECK_EQUAL(process_set_group(&table, shell, second->pid, 0), 0);
}

static void end(struct process *process, uint32_t status)
{
    process_exited(&table, process, status);
    parent_notify(&table, process, CHILD_EXITED, 0);
    wait_changed(&table, process);
}

/* Everything ends, youngest first. */
static void finish(void)
{
    struct rb_node *node;
    while ((node = rb_last(&table.by_pid))) {
        struct process *process = container_of(node, struct process, by_pid);
        alarm_forget(&table, process);
        if (process->state != PROCESS_ZOMBIE)
            process_exited(&table, process, 0);
        process_reap(&table, process);
    }
    free(table.processes.chunks);
    free(table.signals.chunks);
    kept_clear();
}

static struct proc_siginfo signal_of(int32_t number)
{
    return (struct proc_siginfo){.signal = number};
}

static int64_t wait_for(struct process *parent, int32_t pid, uint32_t options, uint64_t token,
                        struct command *command)
{
    memset(command, 0, sizeof(*command));
    command->message.args[0] = (uint64_t)(int64_t)pid;
    command->message.args[1] = options;
    command->message.token = token;
    return wait_command(&table, parent, command);
}

TEST(a_zombie_waits_for_its_parent)
{
    struct command command;
    start();
    end(first, 7 << 8);
    CHECK_EQUAL(first->state, PROCESS_ZOMBIE);
    int32_t pid = first->pid;
    CHECK_EQUAL(wait_for(shell, -1, 0, 1, &command), 0);
    CHECK_EQUAL(command.reply.values[0], pid);
    CHECK_EQUAL(command.reply.values[1], 7 << 8);
    CHECK(!process_by_pid(&table, pid));
    CHECK_EQUAL(wait_for(shell, pid, 0, 1, &command), -E_NO_CHILD);
    finish();
}

TEST(a_held_wait_is_answered_by_the_right_child)
{
    struct command command;
    start();
    int32_t pid = second->pid;
    CHECK_EQUAL(wait_for(shell, pid, 0, 42, &command), COMMAND_HELD);
    end(first, 0);
    CHECK_EQUAL(returns, 0);
    end(second, 9);
    CHECK_EQUAL(returns, 1);
    CHECK_EQUAL(last_return.token, 42);
    CHECK_EQUAL(last_return.values[0], pid);
    CHECK_EQUAL(last_return.values[1], 9);
    finish();
}

TEST(waits_are_cancelled_and_end_with_the_last_child)
{
    struct command command;
    start();
    CHECK_EQUAL(wait_for(shell, -1, PROC_WNOHANG, 1, &command), 0);
    CHECK_EQUAL(command.reply.values[0], 0);
    CHECK_EQUAL(wait_for(shell, -1, 0, 43, &command), COMMAND_HELD);
    CHECK(wait_cancel(43));
    CHECK_EQUAL(last_return.status, -E_INTERRUPTED);
    CHECK(!wait_cancel(43));
    CHECK_EQUAL(wait_for(shell, first->pid, 0, 44, &command), COMMAND_HELD);
    CHECK_EQUAL(wait_for(shell, first->pid, 0, 45, &command), COMMAND_HELD);
    end(first, 0); /* one waiter gets it, the other has nobody left */
    CHECK_EQUAL(last_return.token, 45);
    CHECK_EQUAL(last_return.status, -E_NO_CHILD);
    CHECK_EQUAL(wait_for(shell, second->pid, 0, 46, &command), COMMAND_HELD);
    wait_forget(shell);
    CHECK_EQUAL(last_return.token, 46);
    finish();
}

TEST(orphans_are_inits_and_reaped)
{
    start();
    int32_t pid = first->pid;
    shell->ignored = 0;
    end(shell, 0);
    CHECK(first->parent == init);
    end(first, 0);
    CHECK(!process_by_pid(&table, pid));
    finish();
}

TEST(parents_that_ignore_sigchld_leave_no_zombies)
{
    struct command command;
    start();
    int32_t pid = first->pid;
    shell->ignored = SIGNAL_BIT(SIGNAL_CHILD);
    end(first, 0);
    CHECK(!process_by_pid(&table, pid));
    end(second, 0);
    CHECK_EQUAL(wait_for(shell, -1, 0, 1, &command), -E_NO_CHILD);
    finish();
}

TEST(signals_stay_pending_until_taken)
{
    struct proc_siginfo infos[8], info = signal_of(15);
    uint64_t taken;
    start();
    CHECK_EQUAL(signal_kill(&table, shell, first->pid, &info), 0);
    CHECK_EQUAL(kicks, 1);
    info.signal = 10;
    CHECK_EQUAL(signal_kill(&table, shell, first->pid, &info), 0);
    CHECK_EQUAL(signal_kill(&table, shell, first->pid, &info), 0); /* pending once */
    CHECK_EQUAL(signal_take(&table, first, SIGNAL_BIT(15), 0, infos, 8, &taken), 1);
    CHECK_EQUAL(taken, SIGNAL_BIT(15));
    CHECK_EQUAL(infos[0].pid, shell->pid);
    CHECK_EQUAL(signal_take(&table, first, UINT64_MAX, 0, infos, 8, &taken), 1);
    CHECK_EQUAL(infos[0].signal, 10);
    CHECK_EQUAL(first->pending, 0);
    finish();
}

TEST(who_waits_for_signals_by_a_command_is_told_once)
{
    struct proc_siginfo info = signal_of(15);
    struct command command = {.message = {.token = 77}}, later = {.message = {.token = 78}};
    start();
    int before = returns;
    CHECK_EQUAL(signal_hold(first, &command), COMMAND_HELD);
    signal_send(&table, first, &info);
    CHECK_EQUAL(returns, before + 1);
    CHECK(last_return.token == 77 && last_return.status == 0);
    signal_send(&table, first, &info);
    CHECK_EQUAL(returns, before + 1);
    /* A second one takes the place of the first; what is cancelled is told no more. */
    signal_hold(first, &command);
    signal_hold(first, &later);
    CHECK(last_return.token == 77 && last_return.status == -E_INTERRUPTED);
    signal_cancel(&table, 78);
    CHECK(last_return.token == 78 && last_return.status == -E_INTERRUPTED);
    signal_send(&table, first, &info);
    CHECK_EQUAL(returns, before + 3);
    finish();
}

TEST(real_time_signals_queue_in_order)
{
    struct proc_siginfo infos[8], info = {.signal = 40};
    uint64_t taken;
    start();
    for (info.value = 1; info.value <= 3; info.value++)
        CHECK_EQUAL(signal_send(&table, first, &info), 0);
    for (int i = 1; i <= 3; i++) {
        CHECK_EQUAL(signal_take(&table, first, UINT64_MAX, 0, infos, 8, &taken), 1);
        CHECK_EQUAL(infos[0].value, i);
    }
    CHECK_EQUAL(first->pending, 0);
    for (unsigned i = 0; i < SIGNAL_QUEUE_MAX; i++)
        CHECK_EQUAL(signal_send(&table, first, &info), 0);
    CHECK_EQUAL(signal_send(&table, first, &info), -E_AGAIN);
    finish();
}

TEST(default_ignored_signals_are_dropped_unless_caught)
{
    struct proc_siginfo info = signal_of(SIGNAL_CHILD);
    start();
    signal_send(&table, shell, &info);
    CHECK_EQUAL(shell->pending, 0);
    shell->caught = SIGNAL_BIT(SIGNAL_CHILD);
    signal_send(&table, shell, &info);
    CHECK_EQUAL(shell->pending, SIGNAL_BIT(SIGNAL_CHILD));
    first->ignored = SIGNAL_BIT(15); /* perhaps no longer true */
    info.signal = 15;
    signal_send(&table, first, &info);
    CHECK_EQUAL(first->pending, SIGNAL_BIT(15));
    finish();
}

TEST(kill_and_stop_act_by_themselves)
{
    struct command command;
    struct proc_siginfo info = signal_of(SIGNAL_KILL);
    start();
    signal_send(&table, first, &info);
    CHECK_EQUAL(kills, 1);
    signal_send(&table, init, &info);
    CHECK_EQUAL(kills, 1);
    info.signal = SIGNAL_STOP;
    signal_send(&table, first, &info);
    CHECK_EQUAL(suspends, 1);
    CHECK_EQUAL(first->state, PROCESS_STOPPED);
    CHECK_EQUAL(wait_for(shell, -1, PROC_WUNTRACED, 1, &command), 0);
    CHECK_EQUAL(command.reply.values[1], SIGNAL_STOP << 8 | 0x7f);
    info.signal = 15;
    signal_send(&table, first, &info);
    CHECK_EQUAL(kicks, 0); /* not while it is stopped */
    info.signal = SIGNAL_CONTINUE;
    signal_send(&table, first, &info);
    CHECK_EQUAL(resumes, 1);
    CHECK_EQUAL(kicks, 1);
    CHECK_EQUAL(wait_for(shell, -1, PROC_WCONTINUED, 1, &command), 0);
    CHECK_EQUAL(command.reply.values[1], 0xffff);
    finish();
}

TEST(kill_reaches_groups_and_checks_permission)
{
    struct proc_siginfo info = signal_of(15);
    start();
    CHECK_EQUAL(process_set_group(&table, shell, second->pid, first->pid), 0);
    CHECK_EQUAL(signal_kill(&table, shell, -first->pid, &info), 0);
    CHECK(first->pending && second->pending && !shell->pending);
    CHECK_EQUAL(signal_kill(&table, shell, -9999, &info), -E_NO_PROCESS);
    CHECK_EQUAL(signal_kill(&table, shell, 9999, &info), -E_NO_PROCESS);
    CHECK_EQUAL(signal_kill(&table, shell, INT32_MIN, &info), -E_INVALID);
    first->uid = 5;
    CHECK_EQUAL(signal_kill(&table, first, second->pid, &info), -E_PERMISSION);
    info.signal = 65;
    CHECK_EQUAL(signal_kill(&table, shell, first->pid, &info), -E_INVALID);
    finish();
}

TEST(who_a_process_acts_for)
{
    start();
    CHECK_EQUAL(process_set_ids(first, PROC_SAME, 100), 0);
    CHECK_EQUAL(process_set_ids(first, 1000, PROC_SAME), 0);
    CHECK_EQUAL(first->uid, 1000);
    CHECK_EQUAL(first->gid, 100);
    CHECK_EQUAL(process_set_ids(first, 0, PROC_SAME), -E_PERMISSION);
    CHECK_EQUAL(process_set_ids(first, PROC_SAME, 0), -E_PERMISSION);
    CHECK_EQUAL(process_set_ids(first, 1000, 100), 0);
    CHECK_EQUAL(second->uid, 0);
    finish();
}

TEST(groups_and_sessions)
{
    start();
    CHECK_EQUAL(process_set_group(&table, shell, shell->pid, 0),
                -E_PERMISSION); /* leads its session */
    CHECK_EQUAL(process_set_group(&table, first, second->pid, 0),
                -E_NO_PROCESS); /* not its child */
    CHECK_EQUAL(process_set_group(&table, first, 0, 9999), -E_PERMISSION);
    first->executed = true;
    CHECK_EQUAL(process_set_group(&table, shell, first->pid, 0), -E_ACCESS);
    CHECK_EQUAL(process_set_session(&table, first), -E_PERMISSION); /* leads its group */
    struct process *child = add(first);
    CHECK_EQUAL(process_set_session(&table, child), 0);
    CHECK_EQUAL(child->sid, child->pid);
    finish();
}

TEST(orphaned_groups_with_stopped_members_are_hung_up)
{
    struct proc_siginfo stop = signal_of(SIGNAL_STOP);
    start();
    struct process *child = add(first); /* in first's group; its parent is in that group too */
    CHECK(!group_orphaned(&table, first->pgid)); /* first's parent is the shell */
    signal_send(&table, child, &stop);
    int32_t group = first->pgid;
    end(first, 0);
    CHECK(group_orphaned(&table, group));
    group_hang_up(&table, group);
    CHECK_EQUAL(child->state, PROCESS_RUNNING);
    CHECK(child->pending & SIGNAL_BIT(SIGNAL_HANGUP_));
    finish();
}

TEST(alarms_fire_in_order_and_repeat)
{
    uint64_t left, period;
    start();
    alarm_set(&table, first, 500, 0, &left, &period);
    CHECK_EQUAL(left, 0);
    alarm_set(&table, second, 200, 300, &left, &period);
    CHECK_EQUAL(alarm_next(&table), 1200);
    clock_now = 1250;
    alarm_expire(&table);
    CHECK_EQUAL(second->pending, SIGNAL_BIT(SIGNAL_ALARM));
    CHECK_EQUAL(first->pending, 0);
    CHECK_EQUAL(alarm_next(&table), 1500);
    alarm_set(&table, second, 0, 0, &left, &period);
    CHECK_EQUAL(left, 300);
    CHECK_EQUAL(period, 300);
    clock_now = 1600;
    alarm_expire(&table);
    CHECK_EQUAL(first->pending, SIGNAL_BIT(SIGNAL_ALARM));
    CHECK_EQUAL(alarm_next(&table), DEADLINE_NEVER);
    alarm_set(&table, first, UINT64_MAX, 0, &left, &period);
    alarm_forget(&table, first);
    finish();
}

TEST(wait_statuses)
{
    CHECK_EQUAL(wait_status(7 << 8), 7 << 8);
    CHECK_EQUAL(wait_status(9), 9);
    CHECK_EQUAL(wait_status(EXIT_EXCEPTION | 14), SIGNAL_SEGMENT);
    CHECK_EQUAL(wait_status(EXIT_EXCEPTION | 0), SIGNAL_FLOAT);
    CHECK_EQUAL(wait_status(EXIT_EXCEPTION | 6), SIGNAL_ILLEGAL);
    CHECK_EQUAL(wait_status(EXIT_EXCEPTION | 255), SIGNAL_SEGMENT);
}

TEST(pids_are_found_again_and_not_reused_while_named)
{
    start();
    table.last_pid = 4194303 - 1;
    int32_t pid = pid_allocate(&table);
    CHECK_EQUAL(pid, 4194303);
    CHECK_EQUAL(pid_allocate(&table), 300);
    first->pgid = 301;
    CHECK_EQUAL(pid_allocate(&table), 302);
    finish();
}

/* --- procd ends, and the next one finds its records --------------------------------------------------------------- */

static void nobody_ended(struct process *process)
{
    (void)process;
}

static uint64_t restart(void)
{
    wait_forget(shell); /* held commands go with the process */
    wait_forget(init);
    free(table.processes.chunks);
    free(table.signals.chunks);
    uint64_t count = recover_table(&table, HANDLE_NONE);
    recover_processes(&table, nobody_ended);
    recover_done();
    return count;
}

TEST(a_restart_changes_nothing)
{
    struct proc_siginfo infos[4], queued = signal_of(40), usual = signal_of(15);
    uint64_t taken, left, period;
    start();
    int32_t pids[] = {init->pid, shell->pid, first->pid, second->pid};
    first->caught = SIGNAL_BIT(15);
    CHECK_EQUAL(signal_send(&table, first, &usual), 0);
    for (int i = 0; i < 3; i++) {
        queued.value = i;
        CHECK_EQUAL(signal_send(&table, first, &queued), 0);
    }
    alarm_set(&table, second, 500, 7, &left, &period);
    process_stop(&table, second, SIGNAL_TERMINAL_STOP);
    first->started = second->started = true;
    kicks = suspends = 0;
    CHECK_EQUAL(restart(), 4);
    CHECK_EQUAL(suspends, 1);
    CHECK_EQUAL(kicks, 1);
    init = process_by_pid(&table, pids[0]);
    shell = process_by_pid(&table, pids[1]);
    first = process_by_pid(&table, pids[2]);
    second = process_by_pid(&table, pids[3]);
    CHECK(init && shell && first && second && table.init == init);
    CHECK(shell->parent == init && first->parent == shell && second->parent == shell);
    CHECK_EQUAL(first->pgid, first->pid);
    CHECK_EQUAL(first->sid, shell->pid);
    CHECK_EQUAL(second->state, PROCESS_STOPPED);
    CHECK_EQUAL(alarm_next(&table), clock_now + 500);
    CHECK(process_by_badge(&table, 1000 + (uint64_t)first->pid) == first);
    CHECK_EQUAL(signal_take(&table, first, UINT64_MAX, 9, infos, 4, &taken), 2);
    CHECK_EQUAL(infos[0].signal, 15);
    CHECK_EQUAL(infos[1].value, 0);
    CHECK_EQUAL(signal_take(&table, first, UINT64_MAX, 10, infos, 4, &taken), 1);
    CHECK_EQUAL(infos[0].value, 1);
    CHECK(pid_allocate(&table) > pids[3]);
    finish();
}

TEST(a_lost_answer_to_wait_is_given_again)
{
    struct command command = {0};
    start();
    int32_t pid = first->pid, parent = shell->pid;
    end(first, 7 << 8);
    command.message.args[0] = (uint64_t)-1;
    command.message.args[2] = 77;
    CHECK_EQUAL(wait_command(&table, shell, &command), 0);
    CHECK_EQUAL(restart(), 3);
    shell = process_by_pid(&table, parent);
    command.message.args[2] = 78; /* another wait: that end was told */
    command.message.args[1] = PROC_WNOHANG;
    command.reply.values[0] = 0;
    CHECK_EQUAL(wait_command(&table, shell, &command), 0);
    CHECK_EQUAL(command.reply.values[0], 0);
    command.message.args[2] = 77;
    CHECK_EQUAL(wait_command(&table, shell, &command), 0);
    CHECK_EQUAL(command.reply.values[0], pid);
    CHECK_EQUAL(command.reply.values[1], 7 << 8);
    clock_now += INT64_C(11000000000);
    table_settle(&table, clock_now); /* nobody asks any more */
    command.reply.values[0] = 0;
    CHECK_EQUAL(wait_command(&table, shell, &command), 0);
    CHECK_EQUAL(command.reply.values[0], 0);
    finish();
}

TEST(a_lost_answer_to_taking_signals_is_given_again)
{
    struct proc_siginfo infos[4], queued = signal_of(40), usual = signal_of(15);
    uint64_t taken;
    start();
    int32_t pid = first->pid;
    signal_send(&table, first, &usual);
    signal_send(&table, first, &queued);
    CHECK_EQUAL(signal_take(&table, first, UINT64_MAX, 5, infos, 4, &taken), 2);
    restart();
    first = process_by_pid(&table, pid);
    CHECK_EQUAL(signal_take(&table, first, UINT64_MAX, 5, infos, 4, &taken), 2);
    CHECK_EQUAL(infos[0].signal, 15);
    CHECK_EQUAL(infos[1].signal, 40);
    CHECK_EQUAL(taken, SIGNAL_BIT(15) | SIGNAL_BIT(40));
    CHECK_EQUAL(signal_take(&table, first, UINT64_MAX, 6, infos, 4, &taken), 0);
    /* Sent anew after it was taken: it stays over a restart. */
    signal_send(&table, first, &usual);
    restart();
    first = process_by_pid(&table, pid);
    CHECK_EQUAL(signal_take(&table, first, UINT64_MAX, 7, infos, 4, &taken), 1);
    finish();
}

/* An end nobody was told of is told; a slot that was being filled is none. */
TEST(begun_changes_are_finished)
{
    start();
    int32_t pid = first->pid, parent = shell->pid;
    struct process *half = store_alloc(&table.processes);
    half->pid = 555;
    first->status = 9;
    first->state = PROCESS_ZOMBIE; /* and there procd ended */
    shell->caught = SIGNAL_BIT(SIGNAL_CHILD);
    CHECK_EQUAL(restart(), 4);
    shell = process_by_pid(&table, parent);
    first = process_by_pid(&table, pid);
    CHECK(!process_by_pid(&table, 555));
    CHECK(shell->pending & SIGNAL_BIT(SIGNAL_CHILD));
    CHECK_EQUAL(first->state, PROCESS_ZOMBIE);
    CHECK(first->parent == shell);
    CHECK(!process_by_badge(&table, 1000 + (uint64_t)pid));
    finish();
}

/* Whatever lies there: no record is believed, and in the end the state is given up. */
TEST(nonsense_is_survived)
{
    uint64_t seed = 12345;
    for (int round = 0; round < 300; round++) {
        struct proc_siginfo queued = signal_of(40);
        start();
        signal_send(&table, first, &queued);
        for (int i = 0; i < 40; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            size_t area = (seed >> 33) % kept_count;
            size_t length = MIN(kept[area].length, (size_t)8192);
            kept[area].bytes[(seed >> 40) % length] = (uint8_t)(seed >> 56);
        }
        free(table.processes.chunks);
        free(table.signals.chunks);
        recover_table(&table, HANDLE_NONE);
        recover_processes(&table, nobody_ended);
        recover_done();
        process_for_each(process, &table)
        {
            CHECK(process->parent || process == table.init);
            CHECK(process->name[PROCESS_NAME_MAX] == '\0');
        }
        finish();
    }
}
