/* Glyphs of many symbols, 16 pixels high and one or two columns of 8 pixels wide: what the console's font has not got. The file
 * is made by tools/unifont.py; numbers are little endian:
 *
 *     magic, count
 *     count * {first, last, columns, offset}      code points, rising; where in the file the glyph of the first is
 *     glyphs of 16 * columns bytes, line by line, bit 7 leftmost
 */
#pragma once

#include "lib/base/base.h"

#define GLYPHS_MAGIC  0x31494e55u
#define GLYPHS_HEIGHT 16u
#define GLYPHS_WIDTH  8u /* of a column */

struct glyphs {
    const uint8_t *file; /* must stay; NULL: no glyphs */
    uint32_t count;      /* of ranges */
};

/* 0 or -E_BAD_FORMAT. */
MUST_CHECK int glyphs_open(struct glyphs *glyphs, const uint8_t *file, size_t length);

/* The glyph, and how many columns it is wide (1 or 2); NULL: it has none. */
const uint8_t *glyphs_find(const struct glyphs *glyphs, uint32_t symbol, uint32_t *columns);
