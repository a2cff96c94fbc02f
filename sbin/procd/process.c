/* The process table. */
#include "sbin/procd/process.h"

#include <stdlib.h>
#include <string.h>

#define PID_MAX   4194304 /* Linux's on 64-bit machines */
#define PID_AGAIN 300     /* where numbers go on after the last */

#define VECTOR_MASK 0xffu

struct process *process_by_pid(const struct table *table, int32_t pid)
{
    struct rb_node *node = table->by_pid.root;
    while (node) {
        struct process *process = container_of(node, struct process, by_pid);
        if (process->pid == pid)
            return process;
        node = pid < process->pid ? node->left : node->right;
    }
    return NULL;
}

struct process *process_by_badge(const struct table *table, uint64_t badge)
{
    struct rb_node *node = table->by_badge.root;
    while (node) {
        struct process *process = container_of(node, struct process, by_badge);
        if (process->badge == badge)
            return process;
        node = badge < process->badge ? node->left : node->right;
    }
    return NULL;
}

struct process *process_first(const struct table *table)
{
    return rb_entry(rb_first(&table->by_pid), struct process, by_pid);
}

struct process *process_next(const struct process *process)
{
    return rb_entry(rb_next(&process->by_pid), struct process, by_pid);
}

static bool pid_used(const struct table *table, int32_t pid)
{
    if (process_by_pid(table, pid))
        return true;
    process_for_each(process, table) if (process->pgid == pid || process->sid == pid) return true;
    return false;
}

int32_t pid_allocate(struct table *table)
{
    do {
        table->last_pid++;
        if (table->last_pid >= PID_MAX)
            table->last_pid = PID_AGAIN;
    } while (pid_used(table, table->last_pid));
    return table->last_pid;
}

static void pid_insert(struct table *table, struct process *process)
{
    struct rb_node **place = &table->by_pid.root, *parent = NULL;
    while (*place) {
        parent = *place;
        place = process->pid < container_of(parent, struct process, by_pid)->pid ? &parent->left
                                                                                 : &parent->right;
    }
    rb_insert(&table->by_pid, &process->by_pid, parent, place);
}

static void badge_insert(struct table *table, struct process *process)
{
    struct rb_node **place = &table->by_badge.root, *parent = NULL;
    while (*place) {
        parent = *place;
        place = process->badge < container_of(parent, struct process, by_badge)->badge
                    ? &parent->left
                    : &parent->right;
    }
    rb_insert(&table->by_badge, &process->by_badge, parent, place);
}

struct process *process_enter(struct table *table, struct process *parent, int32_t pid,
                              uint64_t badge, handle_t handle)
{
    struct process *process = calloc(1, sizeof(*process));
    if (!process)
        return NULL;
    process->pid = pid;
    process->badge = badge;
    process->handle = handle;
    process->parent = parent;
    list_init(&process->children);
    list_init(&process->sibling);
    list_init(&process->queue);
    if (parent) {
        process->pgid = parent->pgid;
        process->sid = parent->sid;
        process->uid = parent->uid;
        process->gid = parent->gid;
        process->ignored = parent->ignored;
        process->caught = parent->caught;
        process->blocked = parent->blocked;
        memcpy(process->name, parent->name, sizeof(process->name));
        list_append(&parent->children, &process->sibling);
    } else {
        process->pgid = process->sid = pid;
        table->init = process;
    }
    pid_insert(table, process);
    badge_insert(table, process);
    table->count++;
    return process;
}

static void queue_drop(struct process *process)
{
    list_for_each (struct pending_signal, pending, &process->queue, link) {
        list_remove(&pending->link);
        free(pending);
    }
    process->pending = 0;
}

void process_exited(struct table *table, struct process *process, uint32_t status)
{
    struct process *init = table->init;
    handle_drop(process->handle);
    process->handle = HANDLE_NONE;
    process->state = PROCESS_ZOMBIE;
    process->status = status;
    process->report_stop = process->report_continue = false;
    queue_drop(process);
    rb_remove(&table->by_badge, &process->by_badge);
    list_for_each (struct process, child, &process->children, sibling) {
        list_remove(&child->sibling);
        child->parent = process == init ? NULL : init;
        if (child->parent)
            list_append(&init->children, &child->sibling);
    }
}

void process_succeed(struct table *table, struct process *process, uint64_t badge, handle_t handle)
{
    handle_drop(process->handle);
    process->handle = handle;
    rb_remove(&table->by_badge, &process->by_badge);
    process->badge = badge;
    badge_insert(table, process);
    process->state = PROCESS_RUNNING;
    process->ignored = process->caught = process->blocked = 0;
    queue_drop(process);
}

void process_reap(struct table *table, struct process *process)
{
    if (process == table->init)
        table->init = NULL;
    list_remove(&process->sibling);
    rb_remove(&table->by_pid, &process->by_pid);
    table->count--;
    free(process);
}

bool group_exists(const struct table *table, int32_t pgid, int32_t sid)
{
    process_for_each(process, table) if (process->pgid == pgid && process->sid == sid) return true;
    return false;
}

bool group_orphaned(const struct table *table, int32_t pgid)
{
    process_for_each(process, table)
    {
        const struct process *parent = process->parent;
        if (process->pgid != pgid || process->state == PROCESS_ZOMBIE || !parent)
            continue;
        if (parent->pgid != pgid && parent->sid == process->sid)
            return false;
    }
    return true;
}

bool group_has_stopped(const struct table *table, int32_t pgid)
{
    process_for_each(process, table) if (process->pgid == pgid &&
                                         process->state == PROCESS_STOPPED) return true;
    return false;
}

int64_t process_set_group(struct table *table, struct process *caller, int32_t pid, int32_t pgid)
{
    struct process *process = pid ? process_by_pid(table, pid) : caller;
    if (pgid < 0)
        return -E_INVALID;
    if (!process || process->state == PROCESS_ZOMBIE)
        return -E_NO_PROCESS;
    if (process != caller) {
        if (process->parent != caller)
            return -E_NO_PROCESS;
        if (process->sid != caller->sid)
            return -E_PERMISSION;
        if (process->executed)
            return -E_ACCESS;
    }
    if (pgid == 0)
        pgid = process->pid;
    if (process->sid == process->pid)
        return -E_PERMISSION;
    if (pgid != process->pid && !group_exists(table, pgid, process->sid))
        return -E_PERMISSION;
    process->pgid = pgid;
    return 0;
}

int64_t process_set_session(struct table *table, struct process *process)
{
    process_for_each(other, table) if (other->pgid == process->pid) return -E_PERMISSION;
    process->pgid = process->sid = process->pid;
    return 0;
}

uint32_t wait_status(uint32_t kernel_status)
{
    static const uint8_t signals[32] = {
        [0] = SIGNAL_FLOAT,   [1] = SIGNAL_TRAP,  [3] = SIGNAL_TRAP,
        [6] = SIGNAL_ILLEGAL, [8] = SIGNAL_KILL,  [16] = SIGNAL_FLOAT,
        [17] = SIGNAL_BUS,    [18] = SIGNAL_KILL, [19] = SIGNAL_FLOAT,
    };
    if (!(kernel_status & EXIT_EXCEPTION))
        return kernel_status & 0xffff;
    uint32_t vector = kernel_status & VECTOR_MASK;
    uint32_t signal = vector < ARRAY_SIZE(signals) ? signals[vector] : 0;
    return signal ? signal : SIGNAL_SEGMENT;
}
