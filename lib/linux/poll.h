/* Readiness as programs ask for it: events of poll, which those of epoll are too. */
#pragma once

#include "lib/linux/file.h"

/* What of `wanted` is so without waiting for the handle; and whether there is a handle to wait for. */
int16_t poll_now(const struct file *file, int16_t wanted) MUST_CHECK;
bool poll_waits(const struct file *file) MUST_CHECK;
/* The signals to wait for, and what they mean. */
uint32_t poll_signals(const struct file *file, int16_t wanted) MUST_CHECK;
int16_t poll_events(uint32_t signals, const struct file *file, int16_t wanted) MUST_CHECK;
/* A deadline `ns` from now (negative: never), or the one of the call that is begun anew; and what makes it so. */
int64_t poll_deadline(struct thread *thread, int64_t ns) MUST_CHECK;
int64_t poll_restartable(struct thread *thread, int64_t result, int64_t deadline) MUST_CHECK;
/* A mask for the time of the call. */
int64_t poll_mask_begin(struct thread *thread, uint64_t mask_at, uint64_t size) MUST_CHECK;
void poll_mask_end(struct thread *thread, int64_t result);
