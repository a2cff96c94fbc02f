/* The process table. */
#include "sbin/procd/process.h"

#include <string.h>

#include "sbin/procd/kernel.h"

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

struct process *process_above(const struct table *table, int32_t pid)
{
    struct rb_node *node = table->by_pid.root;
    struct process *best = NULL;
    while (node) {
        struct process *process = container_of(node, struct process, by_pid);
        if (process->pid > pid)
            best = process;
        node = process->pid > pid ? node->left : node->right;
    }
    return best;
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

bool table_open(struct table *table, handle_t port)
{
    *table = (struct table){0};
    list_init(&table->told);
    list_init(&table->answered);
    list_init(&table->limbo);
    return store_open(&table->processes, port, KEY_PROCESSES, sizeof(struct process)) &&
           store_open(&table->signals, port, KEY_SIGNALS, sizeof(struct pending_signal));
}

void process_link(struct table *table, struct process *process)
{
    pid_insert(table, process);
    if (process->state != PROCESS_ZOMBIE)
        badge_insert(table, process);
    table->count++;
}

void process_set_parent(struct process *process, struct process *parent)
{
    list_remove(&process->sibling);
    process->parent = parent;
    process->parent_pid = parent ? parent->pid : 0;
    if (parent)
        list_append(&parent->children, &process->sibling);
}

struct process *process_enter(struct table *table, struct process *parent, int32_t pid,
                              uint64_t badge, handle_t handle, uint64_t forked_by)
{
    struct process *process = store_alloc(&table->processes);
    if (!process)
        return NULL;
    process->pid = pid;
    process->badge = badge;
    process->handle = handle;
    process->forked_by = forked_by;
    list_init(&process->children);
    list_init(&process->sibling);
    list_init(&process->queue);
    process_set_parent(process, parent);
    if (parent) {
        process->pgid = parent->pgid;
        process->sid = parent->sid;
        process->uid = parent->uid;
        process->gid = parent->gid;
        process->ignored = parent->ignored;
        process->caught = parent->caught;
        process->blocked = parent->blocked;
        memcpy(process->name, parent->name, sizeof(process->name));
    } else {
        process->pgid = process->sid = pid;
        table->init = process;
    }
    kernel_keep(process);
    process_link(table, process);
    store_commit(process);
    return process;
}

static void queue_drop(struct table *table, struct process *process)
{
    process->pending = 0;
    list_for_each (struct pending_signal, pending, &process->queue, link) {
        list_remove(&pending->link);
        store_free(&table->signals, pending);
    }
}

void process_exited(struct table *table, struct process *process, uint32_t status)
{
    struct process *init = table->init;
    process->status = status;
    process->state = PROCESS_ZOMBIE;
    kernel_forget(process);
    process->report_stop = process->report_continue = false;
    queue_drop(table, process);
    rb_remove(&table->by_badge, &process->by_badge);
    list_for_each (struct process, child, &process->children, sibling)
        process_set_parent(child, process == init ? NULL : init);
}

void process_succeed(struct table *table, struct process *process, uint64_t badge, handle_t handle)
{
    kernel_forget(process);
    process->handle = handle;
    kernel_keep(process);
    rb_remove(&table->by_badge, &process->by_badge);
    process->badge = badge;
    badge_insert(table, process);
    process->state = PROCESS_RUNNING;
    process->ignored = process->caught = process->blocked = 0;
    queue_drop(table, process);
}

void process_retire(struct table *table, struct process *process, uint64_t number)
{
    __atomic_store_n(&process->told_by, number ? number : 1, __ATOMIC_RELEASE);
    list_remove(&process->sibling);
    rb_remove(&table->by_pid, &process->by_pid);
    table->count--;
    list_append(&table->told, &process->sibling);
}

static void retired_free(struct table *table, struct list *list)
{
    list_for_each (struct process, process, list, sibling) {
        list_remove(&process->sibling);
        store_free(&table->processes, process);
    }
}

void table_settle(struct table *table, int64_t now)
{
    retired_free(table, &table->answered);
    list_splice(&table->answered, &table->told);
    if (!list_empty(&table->limbo) && now >= table->limbo_end)
        retired_free(table, &table->limbo);
}

void process_reap(struct table *table, struct process *process)
{
    if (process == table->init)
        table->init = NULL;
    list_remove(&process->sibling);
    rb_remove(&table->by_pid, &process->by_pid);
    table->count--;
    store_free(&table->processes, process);
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

int64_t process_set_ids(struct process *process, uint32_t uid, uint32_t gid)
{
    bool other =
        (uid != PROC_SAME && uid != process->uid) || (gid != PROC_SAME && gid != process->gid);
    if (other && process->uid != 0)
        return -E_PERMISSION;
    process->gid = gid == PROC_SAME ? process->gid : gid;
    process->uid = uid == PROC_SAME ? process->uid : uid;
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
