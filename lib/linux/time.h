/* Clocks: lib/sys/clock.h reads them; here is what Linux makes of them. */
#pragma once

#include "lib/linux/thread.h"
#include "lib/sys/clock.h"

int64_t clock_offset(void); /* real time minus monotonic */
/* ns of a struct timespec in the program's memory; -errno. Saturates. */
int64_t time_read(uint64_t address, int64_t *ns) MUST_CHECK;
int64_t time_write(uint64_t address, int64_t ns) MUST_CHECK;
/* The same of a struct timeval. */
int64_t timeval_read(uint64_t address, int64_t *ns) MUST_CHECK;
/* The absolute deadline `ns` from now. */
int64_t deadline_in(int64_t ns);
/* Sleeps; 0 or -RESTART_*. */
int64_t sleep_until(int64_t deadline) MUST_CHECK;
