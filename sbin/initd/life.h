/* The life of something that is started again when it ends: how often, since when, how it ended last. */
#pragma once

#include "lib/base/base.h"

struct life {
    uint64_t starts;
    int64_t started_at; /* ns */
    uint32_t pause_ms;  /* the next pause; 0: the first */
    uint32_t status;    /* of its last end */
    uint32_t let_run;   /* its process was resumed */
    uint32_t over;      /* it ended and is not to be started again */
    uint64_t resets;    /* of a driver: its device's at the start (driver_conf.h) */
};

/* How long to wait before the next start, ms: 10 at first, doubling to 5 s. One who lived for ten times the pause it would be now, or for
 * 10 s, begins anew: so a service that is killed now and then is back at once, and one that cannot live costs little. */
static inline uint32_t life_pause(struct life *life, int64_t now)
{
    const uint32_t first = 10, last = 5000;
    const int64_t times = 10, millisecond = 1000000, long_enough = 10000 * millisecond;
    uint32_t pause = life->pause_ms;
    int64_t lived = now - life->started_at;
    if (pause < first || pause > last || lived >= MIN(times * pause * millisecond, long_enough))
        pause = first;
    life->pause_ms = MIN(pause * 2, last);
    return pause;
}
