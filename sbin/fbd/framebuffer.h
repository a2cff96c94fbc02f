/* What is known of a framebuffer, and outlives fbd; its memory is kept beside it. */
#pragma once

#include "abi/fb.h"
#include "lib/base/base.h"

struct framebuffer {
    struct fb_mode mode;
    uint64_t offset;  /* of the pixels in the memory */
    uint32_t display; /* index of the display that shows it; DISPLAY_LOADER */
    uint32_t output;  /* of its outputs */
};

#define DISPLAY_LOADER UINT32_MAX

/* 32 bits: blue in the lowest byte, then green, red, and one that nobody looks at. */
static inline struct fb_mode mode_of(uint32_t width, uint32_t height, uint32_t flags)
{
    return (struct fb_mode){
        .width = width,
        .height = height,
        .pitch = width * 4,
        .bits = 32,
        .red_shift = 16,
        .red_bits = 8,
        .green_shift = 8,
        .green_bits = 8,
        .blue_bits = 8,
        .flags = flags,
    };
}
