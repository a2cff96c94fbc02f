/* tty:///serial: the terminal on the first serial port. */
#pragma once

#include "sbin/outputd/terminal.h"

#define SERIAL_LINE_KEY 1 /* of the port's interrupt, as a notification */

extern struct terminal serial_terminal;

/* Without the hardware, or the right to it, output is lost and nothing is ever typed. */
void serial_line_start(handle_t port, struct terminal_kept *kept);
void serial_line_interrupt(void);
