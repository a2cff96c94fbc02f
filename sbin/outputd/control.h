/* What OP_CONTROL asks of a terminal (abi/tty.h), and what terminal.c and control.c share. */
#pragma once

#include "sbin/outputd/session.h"
#include "sbin/outputd/terminal.h"

/* Everything written is at the device: commands that waited for that are carried out and answered. */
void control_drained(struct terminal *terminal);

/* Job control for this caller and signal. 0, or what to answer. */
MUST_CHECK int64_t terminal_job_control(struct terminal *terminal, uint64_t badge, int signal,
                                        struct caller *caller);

/* Modes or queues changed by a command: reads may be answered now, output may flow. */
void terminal_changed(struct terminal *terminal);
