/* The picture of the boot, which tools/splash.py draws: the name, light on black. Whoever owns the screen first shows it, in the
 * middle. */
#pragma once

#include "lib/base/base.h"

#define SPLASH_WIDTH  410u
#define SPLASH_HEIGHT 120u

extern const uint32_t splash_accent; /* from this column on it is in another colour */
extern const uint8_t splash_coverage[SPLASH_HEIGHT][SPLASH_WIDTH / 2];

/* 0xrrggbb */
static inline uint32_t splash_pixel(uint32_t x, uint32_t y)
{
    uint32_t colour = x < splash_accent ? 0xe8e8e8 : 0x4da3ff;
    uint32_t cover = splash_coverage[y][x / 2] >> (x % 2 ? 0 : 4) & 0xfu, result = 0;
    for (uint32_t shift = 0; shift < 24; shift += 8)
        result |= (colour >> shift & 0xff) * cover / 15 << shift;
    return result;
}
