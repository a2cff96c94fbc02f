/* fb://: framebuffers, fb:///0 and on. Whoever opens one maps it (OP_MAP) and draws; the memory stays mapped while fbd is
 * gone. */
#pragma once

#include <stdint.h>

#include "abi/ops.h"

enum fb_op {
    FB_MODE = OP_PROTOCOL, /* out: struct fb_mode */
    FB_DAMAGE, /* args: x, y, width, height: was drawn. E_RANGE: beyond the framebuffer */
};

#define FB_SHOWS_DAMAGE 0x1u /* only what FB_DAMAGE named is shown */

struct fb_mode {
    uint32_t width, height; /* pixels */
    uint32_t pitch;         /* bytes from line to line */
    uint32_t bits;          /* of a pixel: 15, 16, 24 or 32 */
    uint8_t red_shift, red_bits, green_shift, green_bits, blue_shift, blue_bits;
    uint16_t reserved;
    uint32_t flags; /* FB_* */
};
