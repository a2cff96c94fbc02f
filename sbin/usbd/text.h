/* Files for people, and for whoever reads `devices`. */
#pragma once

#include "sbin/usbd/names.h"

void text_start(void);
/* Until the next call. NULL: no memory. */
const char *text_make(const struct name *name, size_t *length);
