/* Reading what may be torn. */
#include "sbin/procd/recover.h"

#include <stdio.h>
#include <string.h>

#include "sbin/procd/alarm.h"
#include "sbin/procd/kernel.h"
#include "sbin/procd/signal.h"
#include "sbin/procd/wait.h"

#define TRIES    3u
#define PID_LAST 4194304
#define LIMBO_NS INT64_C(10000000000)
#define STANDARD (SIGNAL_BIT(SIGNAL_REAL_TIME) - 1) /* the signals that do not queue */

struct state {
    uint32_t tries; /* instances that began with this table and served nothing yet */
    int32_t last_pid;
};

static struct state *state;

static bool pid_sound(int32_t pid)
{
    return pid > 0 && pid < PID_LAST;
}

/* --- processes --- */

static bool record_sound(const struct table *table, const struct process *process)
{
    return pid_sound(process->pid) && pid_sound(process->pgid) && pid_sound(process->sid) &&
           process->state <= PROCESS_ZOMBIE && !process_by_pid(table, process->pid);
}

/* Whatever meant something only to the instance before, and whatever a string or a flag must be. */
static void record_reset(struct process *process)
{
    list_init(&process->children);
    list_init(&process->sibling);
    list_init(&process->queue);
    process->holder = 0; /* it comes again */
    process->parent = NULL;
    process->handle = HANDLE_NONE;
    process->name[PROCESS_NAME_MAX] = '\0';
    if (process->state == PROCESS_ZOMBIE)
        process->alarm_at = 0;
    /* signal_take had begun to take these. */
    if (process->taken_by && process->taken_done != process->taken_by) {
        process->pending &= ~(process->taking & STANDARD);
        process->taken_done = process->taken_by;
    }
    process->pending &= STANDARD; /* the others are those that queue */
}

/* The kernel's own view of what the record names. False: another process has that badge. */
static bool record_find(const struct table *table, struct process *process)
{
    struct abi_process_info info;
    if (process->state == PROCESS_ZOMBIE)
        return true;
    if (kernel_find(process, &info)) {
        process->badge = info.id; /* a change of init's instance may be half done */
        process->start_time = info.start_time;
    }
    return !process_by_badge(table, process->badge);
}

static void records_link(struct table *table)
{
    struct process *process;
    for (size_t i = 0; (process = store_next(&table->processes, &i));) {
        bool sound = record_sound(table, process);
        if (sound)
            record_reset(process);
        if (sound && process->told_by && process->state == PROCESS_ZOMBIE) {
            list_append(&table->limbo, &process->sibling);
        } else if (sound && record_find(table, process)) {
            process_link(table, process);
            if (process->pid == INIT_PID)
                table->init = process;
        } else {
            fprintf(stderr, "a record of pid %d makes no sense\n", process->pid);
            store_free(&table->processes, process);
        }
    }
}

/* Nobody is its own forefather: a walk up that does not reach init in as many steps as there are processes is cut. */
static bool reaches_init(const struct table *table, const struct process *process)
{
    for (uint64_t steps = 0; process && steps <= table->count; steps++) {
        if (process == table->init)
            return true;
        process = process_by_pid(table, process->parent_pid);
    }
    return false;
}

static void parents_link(struct table *table)
{
    process_for_each(process, table)
    {
        struct process *parent = process_by_pid(table, process->parent_pid);
        if (process == table->init)
            parent = NULL;
        else if (!parent || parent->state == PROCESS_ZOMBIE || !reaches_init(table, process))
            parent = table->init;
        process_set_parent(process, parent);
        if (process->alarm_at) {
            int64_t at = process->alarm_at;
            uint64_t left, period;
            int64_t now = kernel_now();
            process->alarm_at = 0;
            alarm_set(table, process, at > now ? (uint64_t)(at - now) : 1, process->alarm_period,
                      &left, &period);
        }
    }
}

/* --- queued signals --- */

/* In its owner's order of arrival. */
static void signal_link(struct process *owner, struct pending_signal *pending)
{
    struct list *before = owner->queue.previous;
    while (before != &owner->queue &&
           container_of(before, struct pending_signal, link)->order > pending->order)
        before = before->previous;
    list_insert_before(before->next, &pending->link);
    if (pending->taken_by != owner->taken_by)
        pending->taken_by = 0; /* it had begun to be taken */
    if (!pending->taken_by)
        owner->pending |= SIGNAL_BIT(pending->info.signal);
    owner->order = MAX(owner->order, pending->order);
}

static void signals_link(struct table *table)
{
    struct pending_signal *pending;
    for (size_t i = 0; (pending = store_next(&table->signals, &i));) {
        struct process *owner = process_by_pid(table, pending->owner);
        int32_t signal = pending->info.signal;
        list_init(&pending->link);
        if (owner && owner->state != PROCESS_ZOMBIE && signal >= SIGNAL_REAL_TIME &&
            signal <= SIGNAL_COUNT)
            signal_link(owner, pending);
        else
            store_free(&table->signals, pending);
    }
}

/* --- the whole --- */

static void records_drop(struct table *table)
{
    void *record;
    for (size_t i = 0; (record = store_next(&table->processes, &i));)
        store_free(&table->processes, record);
    for (size_t i = 0; (record = store_next(&table->signals, &i));)
        store_free(&table->signals, record);
}

uint64_t recover_table(struct table *table, handle_t port)
{
    kernel_open(port);
    state = keep_memory(port, KEY_STATE, sizeof(*state));
    if (!table_open(table, port) || !state)
        fprintf(stderr, "no memory for what outlives this process\n");
    if (!state)
        return 0;
    if (state->tries >= TRIES) {
        fprintf(stderr, "what was kept is of no use; begins anew\n");
        records_drop(table);
    }
    state->tries++;
    records_link(table);
    if (!table->init && table->count) { /* nobody could ever take over */
        fprintf(stderr, "what was kept has no init; begins anew\n");
        records_drop(table);
        table->by_pid.root = table->by_badge.root = NULL;
        table->count = 0;
        list_init(&table->limbo);
    }
    parents_link(table);
    signals_link(table);
    table->last_pid = pid_sound(state->last_pid) ? state->last_pid : 0;
    process_for_each(process, table) table->last_pid = MAX(table->last_pid, process->pid);
    table->limbo_end = kernel_now() + LIMBO_NS;
    kernel_forget_strays(table);
    return table->count;
}

/* A zombie: its parent knows, or is told. */
static void end_finish(struct table *table, struct process *process)
{
    if (!process->end_announced)
        parent_notify_end(table, process);
    wait_changed(table, process);
}

void recover_processes(struct table *table, void (*ended)(struct process *process))
{
    struct process *next;
    for (struct process *process = process_first(table); process; process = next) {
        int32_t pid = process->pid;
        if (process->state == PROCESS_ZOMBIE) {
            end_finish(table, process);
        } else if (process->handle == HANDLE_NONE || kernel_watch(process) < 0) {
            ended(process);
        } else if (process->state == PROCESS_STOPPED) {
            kernel_suspend(process);
        } else if (process->started) {
            kernel_resume(process);
            if (process->pending & ~process->blocked)
                kernel_kick(process);
        }
        next = process_above(table, pid); /* ends may have reaped others */
    }
}

void recover_done(void)
{
    if (state)
        state->tries = 0;
}

void recover_note_pid(int32_t pid)
{
    if (state)
        state->last_pid = pid;
}
