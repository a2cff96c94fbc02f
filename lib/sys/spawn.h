/* Starts a program in a new process: the road for spawners of services and shells (a Linux program's own
 * fork and execve go through the personality and procd).
 *
 *     struct spawn_program program;
 *     spawn_program_open(HANDLE_SELF, "initfs:///sbin/rngd", &program);
 *     struct spawn spawn = {.name = "rngd", .program = program, .image = image, .argv = argv, ...};
 *     result = spawn_start(&spawn, &process);
 *     spawn_program_close(&program);
 *
 * Static ELF programs only (fixed or position-independent); one with an interpreter is -E_NOT_SUPPORTED.
 * Handles given to the child move to it; when spawn_start fails they may be gone too: the caller closes them
 * all, and ignores those it no longer has (handle_drop does).
 */
#pragma once

#include "abi/startup.h"
#include "lib/sys/syscall.h"

struct spawn_program {
    handle_t memory; /* the ELF file lies in it, from offset on (page-aligned) */
    uint64_t offset, size;
    const char *uri; /* the caller's: what AT_EXECFN says */
};

/* Follows links; uri must outlive the program. */
MUST_CHECK int64_t spawn_program_open(handle_t namespace, const char *uri,
                                      struct spawn_program *program);
void spawn_program_close(struct spawn_program *program);

struct spawn_handle {
    const char *name; /* at most STARTUP_NAME_MAX */
    handle_t handle;
};

struct spawn {
    const char *name; /* of the process; cut at PROCESS_NAME_MAX */
    struct spawn_program program;
    handle_t
        image; /* memory: linux.elf, from offset 0 on. Not given to the child unless listed in handles */
    handle_t namespace;       /* the child's; HANDLE_SELF: the caller's own, shared */
    const char *cwd;          /* URI of a directory; NULL: "fs:///" */
    char *const *argv;        /* NULL-terminated, at least one */
    char *const *environment; /* NULL-terminated; NULL: none */
    const struct spawn_handle *handles;
    uint32_t handle_count;
    uint32_t priority;      /* of the first thread: THREAD_PRIORITY's value; 0: fair */
    const uint64_t *limits; /* [QUOTA_COUNT]: an account of its own (quota.h); NULL: account_of's */
    handle_t account_of;    /* of abi_process_create; HANDLE_SELF: the caller */
    uint32_t flags;         /* EXEC_SUSPENDED: the caller resumes by process_control; SPAWN_* */
};

#define SPAWN_SELF 0x100u /* the child is given a handle to itself, "self" */
#define SPAWN_LIMITED \
    0x200u /* neither it nor its children may set a higher priority than `priority` */
#define SPAWN_ORDINARY 0x400u /* no memory from the services' reserve: PROCESS_ORDINARY */

/* 0: *process is the caller's handle to it, all rights. */
MUST_CHECK int64_t spawn_start(const struct spawn *spawn, handle_t *process);

#define SPAWN_STACK_SIZE (UINT64_C(8) << 20)
