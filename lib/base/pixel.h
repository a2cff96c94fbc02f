/* Pixels of a framebuffer: little-endian, 16, 24 or 32 bits. */
#pragma once

#include "lib/base/base.h"

static inline void pixel_put(volatile uint8_t *at, uint32_t bits, uint32_t value)
{
    switch (bits) {
    case 32:
        *(volatile uint32_t *)(volatile void *)at = value;
        break;
    case 24:
        at[0] = (uint8_t)value;
        at[1] = (uint8_t)(value >> 8);
        at[2] = (uint8_t)(value >> 16);
        break;
    default:
        *(volatile uint16_t *)(volatile void *)at = (uint16_t)value;
    }
}
