/* Clocks. The monotonic clock is read from the TSC, scaled as the kernel scales it, without a kernel entry. */
#pragma once

#include "lib/linux/thread.h"

void clock_start(struct process *process, uint64_t tsc_hz);
int64_t clock_monotonic(const struct process *process);
int64_t clock_realtime(const struct process *process); /* ns since 1970 */
int64_t clock_offset(const struct process *process);   /* real time minus monotonic */
/* ns of a struct timespec in the program's memory; -errno. Saturates. */
int64_t time_read(uint64_t address, int64_t *ns) MUST_CHECK;
int64_t time_write(uint64_t address, int64_t ns) MUST_CHECK;
/* The absolute deadline `ns` from now. */
int64_t deadline_in(const struct process *process, int64_t ns);
/* Sleeps; 0 or -RESTART_*. */
int64_t sleep_until(int64_t deadline) MUST_CHECK;
