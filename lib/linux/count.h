/* What has a count: eventfd and timerfd, both the kernel's timer object, so that processes share them. */
#pragma once

#include "lib/linux/file.h"

/* For io.c. 8 bytes; -EINVAL: less room. */
int64_t count_read(struct file *file, uint64_t data, uint64_t length, bool nonblock) MUST_CHECK;
int64_t event_write(struct file *file, uint64_t data, uint64_t length) MUST_CHECK;
