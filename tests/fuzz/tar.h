/* Archives as input. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Makes the checksums right, so that the fuzzer gets past them. */
static inline void checksums_mend(uint8_t *data, size_t size)
{
    for (size_t at = 0; at + 512 <= size; at += 512) {
        unsigned sum = 0;
        if (data[at + 148] != '?')
            continue;
        for (int i = 0; i < 512; i++)
            sum += i >= 148 && i < 156 ? ' ' : data[at + (size_t)i];
        for (int i = 0; i < 6; i++)
            data[at + 148 + (size_t)i] = (uint8_t)('0' + (sum >> (15 - 3 * i) & 7));
        data[at + 154] = 0;
        data[at + 155] = ' ';
    }
}
