/* Counts at one frequency into counts at another, by one multiplication.
 *
 * The factor is a 64-bit number with `shift` bits behind the point, as many as fit, so the error is below one part
 * in 2^62 of the result (at most 2^63 of the factor). Products are 128 bits: no count overflows on the way.
 */
#pragma once

#include "lib/base/base.h"

struct scale {
    uint64_t factor;
    uint32_t shift;
};

/* from, to: Hz, not 0, below 2^40. */
static inline struct scale scale_make(uint64_t from, uint64_t to)
{
    struct scale scale = {0, 0};
    uint64_t whole = to / from, rest = to % from;

    /* Long division, a bit at a time, until the factor's top bit but one is set. */
    scale.factor = whole;
    while (scale.factor < BIT(62) && scale.shift < 96) {
        rest <<= 1;
        scale.factor = scale.factor << 1 | (rest >= from);
        if (rest >= from)
            rest -= from;
        scale.shift++;
    }
    return scale;
}

/* UINT64_MAX where the result does not fit. */
static inline uint64_t scale_apply(struct scale scale, uint64_t count)
{
    unsigned __int128 product = (unsigned __int128)count * scale.factor >> scale.shift;

    return product > UINT64_MAX ? UINT64_MAX : (uint64_t)product;
}
