/* The table of processes: who is whose parent, in which group and session; zombies until they are waited for.
 *
 * States:   running --process_stopped--> stopped --process_continued--> running
 *           any     --process_exited---> zombie  --process_reap-------> gone
 * A process without a living parent is init's child; init (pid 1) is the first that was adopted. One thread
 * owns the table. A zombie keeps pid, group and session, but no kernel handle.
 */
#pragma once

#include "abi/proc.h"
#include "lib/base/base.h"
#include "lib/base/list.h"
#include "lib/base/rbtree.h"
#include "lib/sys/syscall.h"

#define INIT_PID 1

#define SIGNAL_COUNT       64
#define SIGNAL_BIT(signal) BIT((signal)-1)

/* Linux's numbers: this program is compared with Linux's behaviour, whatever it is compiled on. */
enum signal_number {
    SIGNAL_HANGUP_ = 1,
    SIGNAL_QUIT = 3,
    SIGNAL_ILLEGAL = 4,
    SIGNAL_TRAP = 5,
    SIGNAL_ABORT = 6,
    SIGNAL_BUS = 7,
    SIGNAL_FLOAT = 8,
    SIGNAL_KILL = 9,
    SIGNAL_SEGMENT = 11,
    SIGNAL_ALARM = 14,
    SIGNAL_CHILD = 17,
    SIGNAL_CONTINUE = 18,
    SIGNAL_STOP = 19,
    SIGNAL_TERMINAL_STOP = 20,
    SIGNAL_TERMINAL_IN = 21,
    SIGNAL_TERMINAL_OUT = 22,
    SIGNAL_URGENT = 23,
    SIGNAL_CPU_LIMIT = 24,
    SIGNAL_FILE_LIMIT = 25,
    SIGNAL_WINDOW = 28,
    SIGNAL_SYSTEM = 31,
    SIGNAL_REAL_TIME = 32, /* this one and above queue */
};

enum process_state { PROCESS_RUNNING, PROCESS_STOPPED, PROCESS_ZOMBIE };

struct pending_signal { /* a queued real-time signal */
    struct list link;
    struct proc_siginfo info;
};

struct process {
    struct rb_node by_pid, by_badge;
    struct list children, sibling; /* sibling: in parent->children */
    struct process *parent;        /* NULL: init itself */
    int32_t pid, pgid, sid;
    uint32_t uid, gid;
    uint64_t badge;  /* the kernel's process id */
    handle_t handle; /* HANDLE_NONE once it has exited */
    enum process_state state;
    bool
        kept; /* the kernel starts it again when it ends: the same process to us (process_succeed) */
    bool executed; /* since fork: its parent may no longer move it to another group */
    bool report_stop, report_continue; /* a change of state that wait has not told yet */
    uint32_t stop_signal;
    uint32_t status; /* of a zombie: Linux's wait status */
    uint64_t cpu_time, start_time;
    char name[PROCESS_NAME_MAX + 1];

    uint64_t ignored, caught, blocked;          /* PROC_MASKS: hints */
    uint64_t pending;                           /* signals; bit n-1 */
    struct proc_siginfo info[SIGNAL_REAL_TIME]; /* of pending standard signals */
    struct list queue;                          /* struct pending_signal, in order of arrival */

    struct rb_node by_alarm; /* linked while alarm_at */
    int64_t alarm_at;        /* 0: not set */
    uint64_t alarm_period;
};

struct table {
    struct rb_tree by_pid, by_badge, by_alarm;
    struct process *init;
    int32_t last_pid;
    uint64_t count;
};

struct process *process_by_pid(const struct table *table, int32_t pid);
struct process *process_by_badge(const struct table *table, uint64_t badge);
struct process *process_first(const struct table *table); /* in order of pid */
struct process *process_next(const struct process *process);

#define process_for_each(item, table) \
    for (struct process *item = process_first(table); item; item = process_next(item))

/* A pid that is no process, group or session. */
int32_t pid_allocate(struct table *table);

/* Enters a running process. parent NULL: it becomes init. It inherits group, session, uid and gid, and from a
 * parent's fork the ignored and blocked hints. NULL: no memory. handle becomes the table's. */
struct process *process_enter(struct table *table, struct process *parent, int32_t pid,
                              uint64_t badge, handle_t handle);

/* Its children are init's from now on; it is a zombie with this status. Groups are the caller's business. */
void process_exited(struct table *table, struct process *process, uint32_t status);

/* Another instance of it runs: what the one before had set and was sent is void, all else stays. */
void process_succeed(struct table *table, struct process *process, uint64_t badge, handle_t handle);

/* Forgets a zombie; frees it. */
void process_reap(struct table *table, struct process *process);

bool group_exists(const struct table *table, int32_t pgid, int32_t sid);

/* POSIX 3.269: no member (zombies aside) has a parent in another group of the same session. */
bool group_orphaned(const struct table *table, int32_t pgid);
bool group_has_stopped(const struct table *table, int32_t pgid);

/* setpgid(2) with the checks of POSIX: 0 or -E_*. */
MUST_CHECK int64_t process_set_group(struct table *table, struct process *caller, int32_t pid,
                                     int32_t pgid);
/* setsid(2). */
MUST_CHECK int64_t process_set_session(struct table *table, struct process *process);

/* The Linux wait status that a kernel exit status means: that of a CPU exception becomes its signal's. */
uint32_t wait_status(uint32_t kernel_status);
