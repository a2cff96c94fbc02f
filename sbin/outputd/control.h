/* What OP_CONTROL asks of a terminal (abi/tty.h), and what terminal.c and control.c share. */
#pragma once

#include "sbin/outputd/session.h"
#include "sbin/outputd/terminal.h"

/* Everything written is at the device: commands that waited for that are carried out and answered. */
void control_drained(struct terminal *terminal);

/* Commands that wait for output end with E_IO; a break under way ends. */
void control_hang_up(struct terminal *terminal);

/* true: a command that waited for output, or a break under way, had the token, and was returned. */
bool control_cancel(struct terminal *terminal, uint64_t token);

/* Until when a break is sent, and its end. */
int64_t control_deadline(const struct terminal *terminal);
void control_expire(struct terminal *terminal, int64_t now);

/* TIOCMGET and its kin, for a device whose lines are so now (TTY_MODEM_*); *wanted: how ours are to be. E_NOT_TERMINAL: another code. */
MUST_CHECK int64_t control_modem(struct command *command, uint32_t now, uint32_t *wanted);

/* The terminal is nobody's any more; who was in the foreground is told (POSIX 11.1.3). */
void control_session_end(struct terminal *terminal);
/* What it is now is what an outputd that comes back begins with. */
void control_keep(struct terminal *terminal);

/* Whether the caller is uid 0. */
bool control_privileged(const struct command *command);

/* Job control for this caller and signal. 0, or what to answer. */
MUST_CHECK int64_t terminal_job_control(struct terminal *terminal, uint64_t badge, int signal,
                                        struct caller *caller);

/* Modes or queues changed: reads may be answered now, output may flow. */
void terminal_changed(struct terminal *terminal);
