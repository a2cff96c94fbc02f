/* The table of processes: who is whose parent, in which group and session; zombies until they are waited for.
 *
 * States:   running --process_stopped--> stopped --process_continued--> running
 *           any     --process_exited---> zombie  --process_reap-------> gone
 * A process without a living parent is init's child; init (pid 1) is the first that was adopted. One thread
 * owns the table. A zombie keeps pid, group and session, but no kernel handle.
 *
 * Processes and queued signals are records of a store (store.h): they outlive procd, in whatever state its end found
 * them. Links and the handle's number mean nothing to the next instance, which makes them anew (recover.h).
 */
#pragma once

#include "abi/proc.h"
#include "lib/base/base.h"
#include "lib/base/list.h"
#include "lib/base/rbtree.h"
#include "lib/sys/syscall.h"
#include "sbin/procd/store.h"

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
    uint32_t used;      /* store.h */
    int32_t owner;      /* pid */
    uint64_t order;     /* among its owner's */
    uint64_t taken_by;  /* number of the PROC_SIGNALS that has it; 0: it waits */
    struct proc_siginfo info;
    struct list link;
};

typedef uint8_t flag_t; /* in a record: what a torn one holds is still a value */

struct process {
    uint32_t used; /* store.h */
    struct rb_node by_pid, by_badge;
    struct list children, sibling; /* sibling: in parent->children */
    struct process *parent;        /* NULL: init itself */
    int32_t pid, pgid, sid, parent_pid;
    uint32_t uid, gid;
    uint64_t badge;  /* the kernel's process id */
    handle_t handle; /* HANDLE_NONE once it has exited */
    enum process_state state;
    bool
        kept; /* the kernel starts it again when it ends: the same process to us (process_succeed) */
    flag_t executed; /* since fork: its parent may no longer move it to another group */
    flag_t report_stop, report_continue; /* a change of state that wait has not told yet */
    flag_t started;                      /* it was let run: a fork is done */
    flag_t end_announced;                /* of a zombie: its parent had its SIGCHLD */
    uint64_t forked_by;                  /* number of the PROC_FORK that made it */
    uint64_t
        told_by; /* of a zombie: number of the PROC_WAIT that was told; then it is only there to be told again */
    uint64_t kill_number; /* of its last PROC_KILL */
    uint64_t fork_number; /* of its last PROC_FORK, and the child's pid */
    int32_t fork_pid;
    uint32_t stop_signal;
    uint32_t status; /* of a zombie: Linux's wait status */
    uint64_t cpu_time, start_time;
    char name[PROCESS_NAME_MAX + 1];

    uint64_t ignored, caught, blocked;          /* PROC_MASKS: hints */
    uint64_t pending;                           /* signals; bit n-1 */
    struct proc_siginfo info[SIGNAL_REAL_TIME]; /* of pending standard signals */
    uint64_t taking, taken_by,
        taken_done;    /* signal_take: which, by which PROC_SIGNALS, and the last that was done */
    uint64_t order;    /* of the last queued signal */
    struct list queue; /* struct pending_signal, in order of arrival */

    uint64_t holder; /* token of its PROC_SIGNALS that is held; 0: none is */
    handle_t holder_port;

    struct rb_node by_alarm; /* linked while alarm_at */
    int64_t alarm_at;        /* 0: not set */
    uint64_t alarm_period;
};

struct table {
    struct rb_tree by_pid, by_badge, by_alarm;
    struct process *init;
    /* Retired zombies, by sibling: told in the answer under way; told before that, so the answer is out; told by a
     * procd before this one, whose answer may have been lost. */
    struct list told, answered, limbo;
    int64_t limbo_end; /* when nobody will ask for those in limbo any more */
    int32_t last_pid;
    uint64_t count;
    struct store processes, signals;
};

/* Empty, on what lies there under these keys. False: no memory. */
bool table_open(struct table *table, handle_t port);

enum proc_key { /* of what is kept with proc:// */
                KEY_STATE = 1,
                KEY_PROCESSES = 0x1000000, /* + chunk */
                KEY_SIGNALS = 0x2000000,   /* + chunk */
};

#define KEY_HANDLE (UINT64_C(1) << 32) /* + pid: the process's handle */

struct process *process_by_pid(const struct table *table, int32_t pid);
struct process *process_by_badge(const struct table *table, uint64_t badge);
struct process *process_first(const struct table *table); /* in order of pid */
struct process *process_next(const struct process *process);
struct process *process_above(const struct table *table,
                              int32_t pid); /* the first with a higher pid */

#define process_for_each(item, table) \
    for (struct process *item = process_first(table); item; item = process_next(item))

/* A pid that is no process, group or session. */
int32_t pid_allocate(struct table *table);

/* Puts a record into the trees. */
void process_link(struct table *table, struct process *process);
void process_set_parent(struct process *process, struct process *parent); /* NULL: none */

/* Enters a running process. parent NULL: it becomes init. It inherits group, session, uid and gid, and from a
 * parent's fork the ignored and blocked hints. NULL: no memory. handle becomes the table's. */
struct process *process_enter(struct table *table, struct process *parent, int32_t pid,
                              uint64_t badge, handle_t handle, uint64_t forked_by);

/* Its children are init's from now on; it is a zombie with this status. Groups are the caller's business. */
void process_exited(struct table *table, struct process *process, uint32_t status);

/* Another instance of it runs: what the one before had set and was sent is void, all else stays. */
void process_succeed(struct table *table, struct process *process, uint64_t badge, handle_t handle);

/* A zombie whose status was told to the PROC_WAIT of that number: it is no process any more, but its record stays until
 * table_settle has been called twice, or nobody can have missed the answer. */
void process_retire(struct table *table, struct process *process, uint64_t number);
/* Before each wait for commands. */
void table_settle(struct table *table, int64_t now);

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

/* Whom it acts for, as PROC_SET_IDS. */
MUST_CHECK int64_t process_set_ids(struct process *process, uint32_t uid, uint32_t gid);

/* The Linux wait status that a kernel exit status means: that of a CPU exception becomes its signal's. */
uint32_t wait_status(uint32_t kernel_status);
