/* proc://, the POSIX authority: pids, parents, groups, sessions, wait and signals.
 *
 * A process opens "proc://" once; procd knows its callers by their badge (abi_message.caller), so a file
 * inherited by fork serves the child as itself. Signal numbers, wait options and wait statuses are
 * Linux's. A procd that does not know the caller answers E_NO_PROCESS.
 *
 * procd may end with a command in its hands (E_RESTARTED): the caller sends the same command again. What must not happen
 * twice carries a number of the caller's, never 0 and new for each fork, each fetching and each wait that succeeded:
 * with a number it has seen procd answers as it did before. A kill may be carried out twice; what is gone the second
 * time was there the first.
 */
#pragma once

#include <stdint.h>

#include "abi/ops.h"

enum proc_op {
    /* args: number. in: struct abi_fork. procd forks the caller's process by process_fork, records the child, starts it
     * with rdi as given and rsi = its pid; value: pid. */
    PROC_FORK = OP_PROTOCOL,
    PROC_EXEC, /* in: the new program's name. The caller has become another program. */
    PROC_WAIT, /* args: pid as wait4's, WAIT_* options, number; value: pid (0: none yet, WNOHANG), wait status, cpu ns.
                     Held until there is one; E_NO_CHILD. */
    PROC_KILL, /* args: pid as kill's, signal (0: only ask) | caller-supplied si_code << 32, number, si_value. */
    PROC_SIGNALS, /* args: mask of wanted signals (bit n-1), number, PROC_HOLD or 0; value: mask taken; out: struct
                     proc_siginfo per signal taken, lowest first. Taken ones are no longer pending. PROC_HOLD: held while
                     none is pending, then answered with none taken; for who is not to miss a kick. One for a process */
    PROC_IDS, /* args: pid (0: the caller); values: pid | ppid << 32, pgid | sid << 32, uid | gid << 32 */
    PROC_SETPGID, /* args: pid, pgid */
    PROC_SETSID,  /* value: sid */
    PROC_ADOPT, /* send: process handle; args: parent pid or 0, flags PROC_LEADER; value: pid. For spawners. */
    PROC_MASKS, /* args: ignored, caught, blocked signals of the caller: hints for who is worth a kick */
    PROC_STOPPED, /* args: signal. The caller's program was stopped: all threads are suspended until SIGCONT */
    PROC_LIST, /* args: index of the first; out: struct proc_entry...; value: bytes */
    PROC_ALARM, /* args: which (0 real), first ns from now (0: off), period ns; values: what was left, period */
    PROC_TERMINAL, /* For terminals, about the process whose command they hold. args: its badge, the terminal's
                      session and foreground group, signal (0: only ask; SIGTTIN, SIGTTOU). If it is of that session
                      and in another group the signal is sent to its group. values: enum proc_terminal,
                      pid | uid << 32, pgid | sid << 32 */
    PROC_WATCH, /* args: pid; handle: of the process, good for waiting for its end. E_NO_PROCESS: it has ended */
    PROC_SET_IDS, /* args: uid, gid of the caller; PROC_SAME: as it is. E_PERMISSION: a change, and it is not uid 0 */
};

#define PROC_SAME UINT32_MAX

#define PROC_HOLD 0x1u

#define PROC_LEADER 0x1u /* a session and group of its own */

#define PROC_WNOHANG    0x1u
#define PROC_WUNTRACED  0x2u
#define PROC_WCONTINUED 0x8u

enum proc_terminal {
    TERMINAL_ALLOWED, /* go on: in the foreground, of another session, or (SIGTTOU) it does not mind */
    TERMINAL_SIGNALLED, /* answer E_INTERRUPTED: it tries again when it is continued */
    TERMINAL_ORPHANED,  /* answer E_IO: nobody could continue it, or it ignores SIGTTIN */
};

struct proc_siginfo {
    int32_t signal, code, pid, uid;
    int64_t value; /* sigval, or the wait status for SIGCHLD */
};

struct proc_entry {
    uint64_t id; /* the kernel's, as in abi_process_info */
    int32_t pid, ppid, pgid, sid;
    uint32_t state; /* 'R', 'S', 'T', 'Z' */
    uint32_t uid;
    uint64_t cpu_time, start_time, pages;
    char name[32];
};
