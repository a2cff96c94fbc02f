/* What a cell of text looks like, line by line: glyphs of the console's font, else of Unifont, with marks over them.
 *
 * A symbol of two columns is drawn by two cells, which know their half. Lines of double width (DECDWL) do the same with one
 * column's glyph, each pixel twice; those of double height (DECDHL) use half of its lines. A glyph that is wider than its
 * cell is squeezed. Pure.
 */
#pragma once

#include "sbin/outputd/font.h"
#include "sbin/outputd/glyphs.h"

#define CELL_MARKS 2u

struct cell {
    uint32_t symbol;            /* 0: nothing, as a space */
    uint16_t marks[CELL_MARKS]; /* combining characters over it; 0: none */
    uint32_t ink, paper;        /* 0xrrggbb */
    uint32_t flags;             /* CELL_* */
};

#define CELL_UNDERLINE 0x01u
#define CELL_STRIKE    0x02u
#define CELL_BOLD      0x04u /* drawn twice, a pixel apart */
#define CELL_CURSOR    0x08u /* ink and paper change places */
#define CELL_LEFT      0x10u /* half of a symbol of two columns */
#define CELL_RIGHT     0x20u
#define CELL_DOUBLE    0x40u /* ... because the line is of double width */
#define CELL_TOP       0x80u /* half of a line of double height */
#define CELL_BOTTOM    0x100u

struct fonts {
    struct font font;
    struct glyphs glyphs; /* used with fonts of their size */
};

/* A cell's pictures, looked up once. */
struct picture {
    const struct fonts *fonts;
    const struct cell *cell;
    const uint8_t *glyph;                /* of the font; NULL: wide[0] */
    const uint8_t *wide[1 + CELL_MARKS]; /* of glyphs, the symbol's and its marks'; NULL: none */
    uint32_t columns[1 + CELL_MARKS];
};

/* Whether nothing but the font's own glyph is needed. */
bool picture_plain(const struct fonts *fonts, const struct cell *cell);

struct picture picture_of(const struct fonts *fonts, const struct cell *cell);

/* Line y: bits from the left, bit 63 first. */
uint64_t picture_line(const struct picture *picture, uint32_t y);
