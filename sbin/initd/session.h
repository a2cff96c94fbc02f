/* The programs on terminals: login shells by /etc/ttys (ttys.h), or the one program that run= on the command line names.
 *
 * Each terminal has a thread: it waits for what the program needs, opens the terminal, starts the program as the
 * leader of a session with that controlling terminal, waits for its end, and begins again (pauses as supervise.h's). An
 * initd that comes back waits for the programs it finds in the roster.
 */
#pragma once

#include <stdio.h>

/* Starts the threads. run: "program,argument,..." instead of the shells; its end turns the machine off. NULL: none. */
void session_start(const char *run);

/* procd is new: enters the programs that run. */
void session_adopt_all(void);

/* Their lines of log:///quotas. */
void session_quotas(FILE *stream);
