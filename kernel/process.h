/* Processes: a space, a handle table and a namespace, and the threads that run with them.
 *
 *     process_new(account, space, handles, namespace, &process)
 *     process_end(process, status)     kills every thread; the last one out closes handles, leaves the space
 *
 * Who has made one completes it and lets it join its account (account_join), before anybody else can reach it.
 *
 * ALIVE --process_end--> ENDING --last thread gone--> EXITED (SIGNAL_EXITED). A process without threads is ended at
 * once. The object lives on, for its status, while handles name
 * it. A process that nobody can bring to run any more (no handle to it or to a thread of it anywhere but with others of the
 * kind, and each of its threads, if it has any, suspended) is ended: whoever forked it may have died before it was resumed.
 * Lock: process->lock (RANK_PROCESS): threads, state, name, personality.
 */
#pragma once

#include "kernel/cpu.h"
#include "kernel/object.h"

struct account;
struct handle_table;
struct namespace;
struct port;
struct space;

enum process_state { PROCESS_ALIVE, PROCESS_ENDING, PROCESS_DONE };

struct process {
    struct object object; /* OBJECT_PROCESS; object.id is the badge */
    struct lock lock;
    struct space *space; /* NULL once exited */
    struct handle_table *handles;
    struct account *account; /* for life; NULL: the system's own (account.h). A reference */
    struct account
        *held; /* the one that ends with it, or NULL; fixed before it has a handle. A reference */
    struct list member;       /* account->members */
    struct namespace *names;  /* NULL once exited */
    struct list threads;      /* struct thread.sibling */
    struct list stopped_link; /* circle.c */
    struct list
        servers; /* struct server.process_link (ipc/port.h): the ports it accepts on; process->lock */
    uint32_t thread_count;
    enum process_state state;
    bool started; /* has or had a thread, or is being filled by process_exec */
    bool ran;     /* one of its threads has been in user mode */
    uint32_t status;
    uint32_t priority_limit; /* what its threads may set, PRIORITY_*; fixed before it runs */
    bool system; /* its memory may come from the reserve (vmm/frame.h); fixed before it runs */
    uint64_t cpu_time; /* of threads that ended */
    uint64_t start_time;
    struct abi_personality personality;
    struct port *exceptions; /* told of them (ipc/exceptions.c): a reference; NULL once exited */
    void *arch_ports;        /* I/O permission bitmap, arch */
    uint64_t fail_countdown; /* fail.h */
    char name[PROCESS_NAME_MAX + 1];
};

static inline struct process *process_of(struct object *object)
{
    return container_of(object, struct process, object);
}

/* space NULL: a new one; handles NULL: an empty table, else the process takes it over. E_QUOTA. */
int process_new(struct account *account, struct space *space, struct handle_table *handles,
                struct namespace *names, struct process **process) MUST_CHECK;
/* A copy that has no thread yet: space copied on write (share: the same), handles duplicated. */
int process_copy(struct process *parent, bool share, struct process **child) MUST_CHECK;
void process_set_name(struct process *process, const char *name, size_t length);
/* NULL once it exited. The caller puts it. */
struct space *process_space_get(struct process *process);
struct namespace *process_names_get(struct process *process); /* likewise */
/* Takes a reference of its own. E_NO_PROCESS: it exited. */
int process_set_names(struct process *process, struct namespace *names) MUST_CHECK;
/* The process's own names, for changing: a copy of its own if it shares them. The caller puts them. */
int process_own_names(struct process *process, struct namespace **names) MUST_CHECK;
/* What account it is of, or holds; a reference. */
struct account *process_account_get(const struct process *process);
void process_end(struct process *process, uint32_t status);
/* The last handle to it or to a thread is gone, or a thread is about to be parked. */
void process_end_unreachable(struct process *process);
/* Each of its threads, if it has any, is suspended; it is not ending. */
bool process_suspended(struct process *process);
/* ... and each is parked already, or sleeps in the call it was in. */
bool process_stopped(struct process *process);
void process_thread_gone(struct thread *thread); /* called by thread_exit, on the dying thread */
void process_thread_reaped(struct process *process, bool last);
