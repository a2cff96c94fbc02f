/* The two structures everything here works on.
 *
 * struct thread is the thread's block: what kernel and personality share (struct abi_block), then the
 * personality's own. It lies at the top of the thread's personality stack; entry.S passes its address to every
 * handler. struct process is what all threads of a process share; it is reached through thread->process only, so
 * that two processes can run in one memory (vfork).
 *
 * Area of a thread, PERSONALITY_AREA_SIZE bytes: [guard page, unmapped][stack][page of struct thread].
 *
 * Locks (lock.h), in the order they are taken: process->lock, then the heap's. process->lock guards the descriptor
 * table, the thread list, actions and pending signals, cwd, brk, random bytes. No native call that waits is made with it held.
 */
#pragma once

#include "abi/abi.h"
#include "abi/startup.h"
#include "lib/base/base.h"
#include "lib/linux/linux_abi.h"
#include "lib/linux/lock.h"
#include "lib/linux/offsets.h"

struct process;
struct slot;
struct queued_signal; /* signal.c */

enum thread_life {
    THREAD_FREE, /* its area may be used again */
    THREAD_RUNS,
    THREAD_ENDING, /* left, maybe still on its stack: the kernel makes it THREAD_FREE */
};

struct thread {
    /* struct abi_block */
    uint64_t rip, rflags, rsp;
    uint32_t kick;
    uint32_t reserved;
    struct abi_frame frame; /* the program's registers, always */
    /* entry.S */
    uint64_t number;
    uint32_t full;

    int32_t tid;          /* 0: the process's pid */
    uint64_t wait_number; /* of the wait under way; 0: the next is a new one */
    struct process *process;
    uint64_t mask;         /* blocked signals, bit n - 1 */
    uint64_t pending;      /* sent to this thread */
    uint64_t restore_mask; /* sigsuspend, ppoll: what mask was */
    bool restore_mask_set;
    bool restart_deadline_set;
    int64_t restart_deadline; /* of a sleep that is begun anew */
    struct linux_stack_t altstack;
    uint64_t clear_tid;
    uint64_t set_tid; /* where a new thread or child puts its tid; 0: nowhere */
    uint64_t robust_list;
    uint64_t fs_base, gs_base; /* as last set; without FSGSBASE the truth */
    handle_t handle;           /* HANDLE_NONE: the first thread */
    enum thread_life life;
    struct thread *next;       /* process->threads */
    struct signal_info *infos; /* of pending ones, by signal; NULL until one was sent */
    char name[16];
};

_Static_assert(offsetof(struct thread, rip) == offsetof(struct abi_block, rip), "");
_Static_assert(offsetof(struct thread, rflags) == offsetof(struct abi_block, rflags), "");
_Static_assert(offsetof(struct thread, rsp) == offsetof(struct abi_block, rsp), "");
_Static_assert(offsetof(struct thread, kick) == offsetof(struct abi_block, kick), "");
_Static_assert(offsetof(struct thread, frame) == offsetof(struct abi_block, frame), "");
_Static_assert(offsetof(struct thread, number) == offsetof(struct abi_block, personality), "");
#define THREAD_OFFSET(field, value) \
    _Static_assert(offsetof(struct thread, field) == (value), #field)
THREAD_OFFSET(rip, THREAD_RIP);
THREAD_OFFSET(rflags, THREAD_RFLAGS);
THREAD_OFFSET(rsp, THREAD_RSP);
THREAD_OFFSET(kick, THREAD_KICK);
THREAD_OFFSET(number, THREAD_NUMBER);
THREAD_OFFSET(full, THREAD_FULL);
THREAD_OFFSET(frame.r15, FRAME_R15);
THREAD_OFFSET(frame.rdi, FRAME_RDI);
THREAD_OFFSET(frame.rip, FRAME_RIP);
THREAD_OFFSET(frame.rflags, FRAME_RFLAGS);
THREAD_OFFSET(frame.rsp, FRAME_RSP);
#undef THREAD_OFFSET
_Static_assert(sizeof(struct thread) <= PAGE_SIZE, "a thread's block is one page");

#define RANDOM_POOL 256u

struct fs_table;

/* fs://'s mounts (mounts.h). */
struct mount_table {
    const struct fs_table *table; /* NULL: none */
    uint64_t length;              /* mapped */
    handle_t names;               /* what its targets are in */
    bool asked;
};

struct process {
    struct lock lock;
    struct mount_table mounts;

    /* Set at the start (and for a forked child), then only read. */
    handle_t proc;  /* file on proc://; HANDLE_NONE: serverless */
    handle_t image; /* pristine personality image, for spawners; HANDLE_NONE if not given */
    int32_t pid;    /* 0: not asked for yet */
    uint64_t features, xsave_size, xsave_mask;

    int32_t parent; /* valid if ids_known; a kick makes it unknown (the parent may have gone) */
    uint32_t uid, gid;
    uint32_t ids_known;
    uint32_t group_count; /* supplementary groups, in force by lock */
    uint32_t *groups;     /* on the heap */

    struct slot *slots;
    uint32_t slot_count;
    uint32_t slot_hint; /* no free slot below */
    uint32_t umask;
    char *cwd;        /* canonical URI of a directory, on the heap */
    char *executable; /* canonical URI */
    uint64_t brk_start, brk_end;
    struct linux_rlimit limits[LINUX_RLIMIT_COUNT];
    handle_t rng;
    uint32_t random_left; /* of `random`, from its start; what is given out is zeroed */
    uint8_t
        random[RANDOM_POOL]; /* fetched from rng:// for small requests; a child starts without */

    struct action actions[LINUX_SIGNALS + 1]; /* by signal; [0] unused */
    uint64_t pending;                         /* taken from procd, not delivered yet */
    uint64_t hinted_ignored, hinted_caught;   /* what procd was told */
    uint64_t awaited; /* signals some thread has asked rt_sigtimedwait for */
    struct signal_info infos[LINUX_SIGNALS + 1]; /* of pending ones below SIGRTMIN */
    struct queued_signal *queue;                 /* pending real-time ones, oldest first */

    struct thread *threads;
    uint32_t thread_count;   /* that run */
    struct thread *survivor; /* exec: every other thread leaves when it is kicked */
    int64_t start_time;

    uint64_t unknown_logged[CALLS_LIMIT / 64];
    uint32_t log_length;
    char log_line[240];
};

NORETURN void personality_resume(struct thread *thread);

/* The caller's block, found from the stack it runs on. For what is not handed a thread (lock.c). */
static inline struct thread *thread_current(void)
{
    uint64_t stack = (uint64_t)__builtin_frame_address(0);

    return (struct thread *)(ALIGN_DOWN(stack, PERSONALITY_AREA_SIZE) + PERSONALITY_BLOCK);
}
