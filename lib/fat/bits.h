/* A set of numbers below a limit, in which the next member is found in the same few steps whether it is near or far: a bitmap, a
 * bitmap of its words that are not zero, and so on.
 */
#pragma once

#include "lib/base/base.h"

#define BITS_LEVELS 6u
#define BITS_NONE   UINT32_MAX

struct bits {
    uint32_t limit;
    uint32_t levels;
    uint64_t *level[BITS_LEVELS];
};

MUST_CHECK bool bits_create(struct bits *bits, uint32_t limit); /* empty; false: no memory */
void bits_destroy(struct bits *bits);
void bits_add(struct bits *bits, uint32_t number);
void bits_remove(struct bits *bits, uint32_t number);
/* The first member at or above a number; BITS_NONE. */
uint32_t bits_next(const struct bits *bits, uint32_t number);
/* How many members follow each other from a member on, at most `most`. */
uint32_t bits_run(const struct bits *bits, uint32_t number, uint32_t most);

static inline bool bits_has(const struct bits *bits, uint32_t number)
{
    return number < bits->limit && (bits->level[0][number / 64] >> number % 64 & 1);
}
