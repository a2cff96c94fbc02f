/* What pcid tells people: of all functions a line each, of one all that is known. */
#pragma once

#include "lib/base/base.h"

/* Finds the names of vendors, devices and classes. */
void text_start(void);

/* The text of a node that has one (names.h), valid until the thread makes its next; its length. NULL: no memory. */
const char *text_make(uint64_t cookie, size_t *length);
