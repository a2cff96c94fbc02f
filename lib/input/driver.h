/* The driver's side of input:// (abi/input.h): events go out, lights come back, and the driver waits for neither.
 *
 *     input_driver_start(&driver, "kbd", lights_changed, context)
 *     input_driver_emit(&driver, INPUT_KEY, code, 1)     any thread; never waits, allocates nothing
 *
 * Two threads: one sends what emit put into a ring, one asks for the lights. Both wait for inputd as long as it takes, so a
 * dead or hanging inputd costs nothing but the events that find no room: whole keys then, since inputd forgets what
 * is held when it hears of a loss (an INPUT_SYNC with value 1).
 */
#pragma once

#include <pthread.h>

#include "abi/input.h"
#include "lib/base/base.h"

#define INPUT_DRIVER_RING 256u

struct input_driver {
    char uri[96];
    void (*lights)(void *context, uint32_t mask); /* on a thread of the library's; may be NULL */
    void *context;
    pthread_mutex_t lock; /* all below */
    pthread_cond_t more;
    struct input_event ring[INPUT_DRIVER_RING];
    uint64_t sent, end; /* numbers of events; [sent, end) lie in the ring */
    bool lost;
};

/* 0, or an errno of pthread_create. */
MUST_CHECK int input_driver_start(struct input_driver *driver, const char *name,
                                  void (*lights)(void *context, uint32_t mask), void *context);

void input_driver_emit(struct input_driver *driver, uint16_t type, uint16_t code, int32_t value);
