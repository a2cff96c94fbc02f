/* ITIMER_REAL and alarm(2): one per process, all in a tree by their time; the service loop waits for the first. */
#pragma once

#include "sbin/procd/process.h"

/* Sets (first 0: stops) the process's alarm; what was left of the old one and its period. */
void alarm_set(struct table *table, struct process *process, uint64_t first, uint64_t period,
               uint64_t *left, uint64_t *old_period);

void alarm_forget(struct table *table, struct process *process);

/* When the next one is due; DEADLINE_NEVER: none. */
int64_t alarm_next(const struct table *table);

/* SIGALRM for every alarm that is due. */
void alarm_expire(struct table *table);
