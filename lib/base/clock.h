/* The formulas of abi/time.h, for whoever reads the page and for the kernel, which fills it in. */
#pragma once

#include "abi/abi.h"
#include "abi/time.h"
#include "lib/base/base.h"

static inline uint64_t clock_scale(uint64_t cycles, uint64_t factor)
{
    return (uint64_t)((unsigned __int128)cycles * factor >> TIME_SHIFT);
}

/* What clock_scale wants for a counter of hz, at least 10^9 >> (64 - TIME_SHIFT). */
static inline uint64_t clock_factor(uint64_t hz)
{
    const uint64_t ns = 1000000000;
    uint64_t factor = ns / hz, rest = ns % hz;

    for (unsigned bit = 0; bit < TIME_SHIFT; bit++) {
        rest <<= 1;
        factor = factor << 1 | (rest >= hz);
        if (rest >= hz)
            rest -= hz;
    }
    return factor;
}

/* What real time gains at a rate within `passed` ns. */
static inline int64_t clock_gain(int64_t passed, int64_t rate)
{
    return (int64_t)((__int128)passed * rate >> TIME_RATE_SHIFT);
}

/* May be read where somebody writes: what was read is then not used. */
static inline int64_t clock_real_at(const volatile struct abi_time_real *real, int64_t monotonic)
{
    int64_t now = monotonic + real->offset;

    if (unlikely(real->adjusted)) {
        int64_t since = real->since, until = real->until;

        now += clock_gain(MIN(monotonic, until) - since, real->slew) +
               clock_gain(monotonic - since, real->frequency);
    }
    return now;
}
