/* Unpredictable bytes of this CPU, without any service: RDRAND where there is one, else time-stamp jitter.
 * For seeds and stack canaries of what starts before rng:// does; keys come from rng://. */
#pragma once

#include "lib/base/base.h"

void entropy_collect(uint8_t *bytes, size_t length);
