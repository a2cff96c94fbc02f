/* The memory functions that compilers emit calls to, for freestanding code; and strings with lengths. */
#pragma once

#include "lib/base/base.h"

void *memcpy(void *restrict to, const void *restrict from, size_t length);
void *memmove(void *to, const void *from, size_t length);
void *memset(void *to, int byte, size_t length);
int memcmp(const void *a, const void *b, size_t length);
size_t strlen(const char *text);
