/* The personality's own memory: paths, descriptors, buffers.
 *
 *     heap_alloc(size)      16-aligned, not cleared; NULL: no memory
 *     heap_free(p)
 *     heap_string(text, length)   a terminated copy
 *     pages_alloc(length), pages_free(address, length)   whole zero pages, for what is big and short-lived
 *
 * Sizes are rounded up to powers of two from 32 bytes on and recycled per size; from half a page on an allocation
 * has pages of its own. One lock (heap.c); a fork takes it with heap_lock so that the child finds it free.
 */
#pragma once

#include "lib/base/base.h"

struct abi_map;

void *heap_alloc(size_t size) MUST_CHECK;
void heap_free(void *pointer);
char *heap_string(const char *text, size_t length) MUST_CHECK;
void *pages_alloc(size_t length) MUST_CHECK;
void pages_free(void *address, size_t length);
/* A mapping where the personality has its own. -E_* */
int64_t pages_map(struct abi_map *map) MUST_CHECK;
void heap_lock(void);
void heap_unlock(void);
