/* What a terminal needs of procd: who a caller is, and signals to groups.
 *
 * Questions are answered while a command waits, with a short deadline, so that a procd that hangs or restarts
 * cannot hold the terminal: then the caller is taken for a foreground process. Signals are sent by a thread of
 * their own, in order, so that typing ^C never waits for anyone.
 */
#pragma once

#include "abi/proc.h"
#include "lib/sys/syscall.h"

struct caller {
    int32_t pid, pgid, sid;
    uint32_t uid;
    bool known; /* procd answered; else all of the above is 0 */
};

void session_start(void);

/* Asks about the process with this badge; with a signal (SIGTTIN, SIGTTOU) procd applies job control for a
 * terminal of that session and foreground group, and the verdict says what to answer. */
enum proc_terminal session_check(uint64_t badge, int32_t session, int32_t foreground, int signal,
                                 struct caller *caller);

/* A signal to a process group (below 0: to the process of that number), soon; 0: to nobody. */
void session_signal(int32_t pgid, int signal);

/* To hear of the end of a session's leader: *leader shows SIGNAL_EXITED then. E_NO_PROCESS: it has ended. */
MUST_CHECK int64_t session_leader(int32_t session, handle_t *leader);

/* Whether a process of that number lives (pid > 0), or a group (pid < 0); true when procd does not say. */
bool session_exists(int32_t pid);
