/* Where randomness comes from: the CPU's generators, and the jitter of time itself.
 *
 * Each source appends what it got to a buffer that goes through a hash; none is trusted alone. `bits` is what
 * the source is worth, counted carefully: a hardware generator half a bit per bit, jitter one bit per
 * von Neumann bit over 4.
 */
#pragma once

#include "lib/base/base.h"

struct sample {
    uint8_t bytes[512];
    size_t length;
    unsigned bits; /* of entropy */
};

/* Bits of a CPU's features: which generators there are. For the log. */
#define SOURCE_RDSEED 0x1u
#define SOURCE_RDRAND 0x2u
unsigned sources_present(void);

/* Appends what makes this moment and process different from any other; worth nothing by itself. */
void sample_identity(struct sample *sample);
void sample_hardware(struct sample *sample);

/* Time stamps of memory-bound work, until `bits` more were found or the clock turns out not to jitter. */
void sample_jitter(struct sample *sample, unsigned bits);
