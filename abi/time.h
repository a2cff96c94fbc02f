/* Time: the page that tells it to every program, and what time:// and clock:// serve.
 *
 * The page lies at TIME_PAGE in every process, readable, and nobody can unmap it. lib/sys/clock.h reads it:
 *
 *     monotonic = base + ((cycles - cycles_base) * factor >> TIME_SHIFT)         cycles: RDTSC behind LFENCE
 *     real      = monotonic + offset + ((MIN(monotonic, until) - since) * slew >> TIME_RATE_SHIFT)
 *                                    + ((monotonic - since) * frequency >> TIME_RATE_SHIFT)
 *
 * A factor of 0: this machine's counter is not to be trusted, ask the kernel (clock_get). Factor and bases never change. Real
 * time does: the one in use is real[sequence & 1], and whoever finds another sequence behind his reading than before it reads
 * again. Nobody ever waits for who sets it: the one in use is complete.
 *
 * Who holds a resource of RESOURCE_CLOCK sets real time by clock_set. That is timed, for those who can name clock://.
 */
#pragma once

#include <stdint.h>

#include "abi/ops.h"

#define TIME_PAGE UINT64_C(0xffffd00000000000)

#define TIME_SHIFT      56u
#define TIME_RATE_SHIFT 48u

/* A cache line each. */
struct abi_time_real {
    int64_t offset;    /* ns since 1970 minus monotonic */
    uint64_t adjusted; /* 0: slew and frequency are 0 */
    int64_t since, until;
    int64_t slew, frequency; /* how much faster than monotonic time, in 2^-TIME_RATE_SHIFT */
    uint64_t reserved[2];
};

struct abi_time {
    uint64_t factor, cycles_base, base;
    uint32_t sequence;
    uint32_t steps; /* how often real time was stepped; 0: nobody knows what time it is */
    uint64_t reserved[4];
    struct abi_time_real real[2];
};

#define TIME_RATE_MAX (INT64_C(1) << (TIME_RATE_SHIFT - 10)) /* of either, up or down: 976 ppm */
#define TIME_REAL_MAX \
    INT64_C(8223372036000000000) /* 2230: the clock may still go on for three decades */

/* clock_set */
#define CLOCK_STEP \
    1u /* real time was value when monotonic time was time, which is not in the future; ends a slew */
#define CLOCK_SLEW      2u /* the slew is value for the next time ns */
#define CLOCK_FREQUENCY 3u /* the frequency is value; time: 0 */

/* What time:// and clock:// serve: `now` (ISO 8601, UTC), `zone` (the name of the local time zone), `localtime` (a link to its
 * rules), `rtc` (what the clock of the machine says). Who can name clock:// may also write to `now` and `zone` there, and
 * send these on its root: */
enum clock_op {
    CLOCK_OP_STEP = OP_PROTOCOL, /* args: ns since 1970, the monotonic time when it was that */
    CLOCK_OP_SHIFT,              /* args: ns to step by */
    CLOCK_OP_SLEW,               /* args: ns to slew by, in place of what is left of the last one */
    CLOCK_OP_FREQUENCY, /* args: how much faster real time is to run from now on, in 2^-16 ppm */
};

#define TIME_SLEW_PPM      500 /* how fast */
#define TIME_FREQUENCY_MAX (INT64_C(500) << 16)
