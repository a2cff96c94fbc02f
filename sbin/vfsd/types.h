/* Types of file systems that processes of their own serve: the lines for volumes:// in initd's /etc/drivers. */
#pragma once

#include <stdio.h>

#include "lib/base/base.h"

MUST_CHECK bool type_is_served(const char *type);
/* proc(5): as /proc/filesystems has them, and those that lie on no device. */
void types_write(FILE *stream);
