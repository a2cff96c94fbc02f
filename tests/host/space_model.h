/* Spaces and memory objects against a model that is too simple to be wrong: an array of pages per space.
 *
 *     model_run(next, context)    operations until next() has no more numbers; true: all as the model says
 *
 * What an operation does is decided by the numbers `next` gives: random ones (space_test.c), or a fuzzer's bytes
 * (fuzz_space.c). Frames and heap are compared at the end, when every space and object is gone; allocations fail
 * now and then, and what fails must have changed nothing. Aborts on a difference.
 */
#pragma once

#include "lib/base/base.h"

/* False: no more. */
typedef bool model_next(void *context, uint32_t *number);

/* The most huge pages that were mapped at a time, since it was set to 0. */
extern uint64_t model_huge_most;

void model_run(model_next *next, void *context);
