/* initd's side of proc://: it is pid 1, and enters every process it starts.
 *
 * Used by the supervisor's thread and the terminals' threads; each command has a deadline, so that a procd that
 * hangs delays its callers only by that much.
 */
#pragma once

#include "abi/proc.h"
#include "lib/base/base.h"
#include "lib/sys/syscall.h"

/* procd serves (again): enters initd itself unless it is known, and says which signals it wants. True: what runs can be
 * entered now. */
bool posix_connect(handle_t self);

/* A file on proc:// for a new process to keep as "proc"; HANDLE_NONE: there is none yet. */
handle_t posix_file(void);

/* Enters a process; flags: PROC_LEADER. Its pid, or -E_*. */
MUST_CHECK int64_t posix_adopt(handle_t process, uint32_t flags);

/* Processes that are no programs: the system's own, by the kernel's ids. */
struct posix_spared {
    uint64_t *ids;
    size_t count;
};

/* Adds one; HANDLE_NONE: nothing. Not added, for want of memory, means to be ended like a program. */
void posix_spare(struct posix_spared *spared, handle_t process);

/* The others that live, each sent a signal (0: none); how many, or -E_*. */
MUST_CHECK int64_t posix_programs(const struct posix_spared *spared, int signal);

/* Who is told of signals sent to initd, bit n-1 for n, by a thread here. Before the first posix_connect. */
void posix_receive(void (*function)(uint64_t signals));

#define POSIX_SIGHUP      1
#define POSIX_SIGKILL     9
#define POSIX_SIGUSR1     10
#define POSIX_SIGUSR2     12
#define POSIX_SIGTERM     15
#define POSIX_SIGCHLD     17
#define POSIX_SIGCONT     18
#define POSIX_BIT(signal) BIT((signal)-1)
