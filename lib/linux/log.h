/* Lines for the system log, and the descriptors 1 and 2 of a process that was given none. */
#pragma once

#include "lib/linux/thread.h"

void log_number(const char *text, uint64_t number);
void log_text(const char *text);
/* The last line of a program that an exception ends; numbers are hexadecimal. */
void log_fault(const char *what, uint64_t rip, uint64_t rsp, uint64_t address);
/* Bytes a program wrote: logged line by line, an unfinished line kept until its end comes or room runs out. -E_FAULT. */
int64_t log_bytes(struct process *process, uint64_t data, uint64_t length) MUST_CHECK;
void log_flush(struct process *process);
