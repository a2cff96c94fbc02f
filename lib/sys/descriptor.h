/* The native handle behind a Linux descriptor, for programs that use both: the personality's answer to an ioctl of its
 * own. HANDLE_NONE: a bad descriptor, or one without a handle (the log). It stays the descriptor's: copy it. */
#pragma once

#include <sys/ioctl.h>

#include "lib/linux/header.h"

static inline handle_t descriptor_handle(int fd)
{
    int handle = ioctl(fd, PERSONALITY_HANDLE_OF);

    return handle > 0 ? handle : HANDLE_NONE;
}
