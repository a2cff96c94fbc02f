/* Random bytes: from rng:// where the process may name it, else from the CPU. */
#pragma once

#include "lib/linux/thread.h"

/* Into the program's memory; the count, or -errno (-ENOSYS: there is no source). Not `patient`: a service that does
 * not answer soon (it is stopped, or being restarted) is -EAGAIN, so that no program's start hangs on it. */
int64_t random_read(struct thread *thread, uint64_t address, uint64_t length,
                    bool patient) MUST_CHECK;
/* In a forked child, which must not give out what its parent does. */
void random_forget(struct process *process);
/* 16 bytes for AT_RANDOM, from the best source that needs no service. */
void random_seed(uint8_t bytes[16]);
