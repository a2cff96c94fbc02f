#include "sbin/outputd/picture.h"

#define FIRST_PICTURE 0x2000u /* code points from here on are punctuation and pictures */

static bool fits(const struct fonts *fonts)
{
    return fonts->font.width == GLYPHS_WIDTH && fonts->font.height == GLYPHS_HEIGHT;
}

static bool two_columns(const struct cell *cell)
{
    return cell->flags & (CELL_LEFT | CELL_RIGHT) && !(cell->flags & CELL_DOUBLE);
}

/* Letters of two scripts may well share a glyph; a box of double lines is none of single ones. */
static bool good_likeness(uint32_t symbol, bool own)
{
    return own || symbol < FIRST_PICTURE;
}

bool picture_plain(const struct fonts *fonts, const struct cell *cell)
{
    bool own;
    if (cell->marks[0] || two_columns(cell))
        return false;
    return !cell->symbol ||
           (font_find(&fonts->font, cell->symbol, &own) && good_likeness(cell->symbol, own));
}

struct picture picture_of(const struct fonts *fonts, const struct cell *cell)
{
    struct picture picture = {.fonts = fonts, .cell = cell};
    uint32_t symbol = cell->symbol ? cell->symbol : ' ';
    bool own = false;
    if (!two_columns(cell))
        picture.glyph = font_find(&fonts->font, symbol, &own);
    if (fits(fonts) && (!picture.glyph || !good_likeness(symbol, own)))
        picture.wide[0] = glyphs_find(&fonts->glyphs, symbol, &picture.columns[0]);
    for (uint32_t i = 0; i < CELL_MARKS && cell->marks[i] && fits(fonts); i++)
        picture.wide[1 + i] = glyphs_find(&fonts->glyphs, cell->marks[i], &picture.columns[1 + i]);
    if (picture.wide[0])
        picture.glyph = NULL;
    else if (!picture.glyph && !(cell->flags & CELL_RIGHT))
        picture.glyph = font_replacement(&fonts->font);
    return picture;
}

/* A line of the font's glyph, from bit 63 on. */
static uint64_t font_line(const struct font *font, const uint8_t *glyph, uint32_t y)
{
    uint32_t bytes = (font->width + 7) / 8;
    uint64_t line = 0;
    for (uint32_t i = 0; i < bytes; i++)
        line |= (uint64_t)glyph[y * bytes + i] << (56 - 8 * i);
    return line;
}

/* Two neighbouring pixels become one. */
static uint32_t squeeze(uint32_t line)
{
    uint32_t result = 0;
    for (uint32_t x = 0; x < 8; x++)
        result |= (line >> (2 * x) & 3 ? 1u : 0u) << x;
    return result;
}

/* One of the glyphs over two columns, 16 bits; where the cell is but one, in the upper 8. */
static uint32_t glyph_line(const uint8_t *glyph, uint32_t columns, bool two_columns, bool mark,
                           uint32_t y)
{
    if (columns == 1)
        return (uint32_t)glyph[y] << (two_columns && mark ? 4 : 8);
    uint32_t line = (uint32_t)glyph[2 * y] << 8 | glyph[2 * y + 1];
    return two_columns ? line : squeeze(line) << 8;
}

static uint64_t twice_as_wide(uint64_t line)
{
    uint64_t result = 0;
    for (uint32_t x = 0; x < 32; x++)
        if (line >> (63 - x) & 1)
            result |= UINT64_C(3) << (62 - 2 * x);
    return result;
}

uint64_t picture_line(const struct picture *picture, uint32_t y)
{
    const struct font *font = &picture->fonts->font;
    uint32_t flags = picture->cell->flags, width = font->width;
    bool halves = flags & (CELL_LEFT | CELL_RIGHT), double_width = flags & CELL_DOUBLE;
    if (flags & (CELL_TOP | CELL_BOTTOM))
        y = y / 2 + (flags & CELL_BOTTOM ? font->height / 2 : 0);
    uint64_t line = picture->glyph ? font_line(font, picture->glyph, y) : 0;
    for (uint32_t i = 0; i < ARRAY_SIZE(picture->wide); i++)
        if (picture->wide[i])
            line |= (uint64_t)glyph_line(picture->wide[i], picture->columns[i],
                                         halves && !double_width, i > 0, y)
                    << 48;
    if (flags & CELL_BOLD)
        line |= line >> 1;
    if ((flags & CELL_UNDERLINE && y == font->height - 2) ||
        (flags & CELL_STRIKE && y == font->height / 2))
        line = UINT64_MAX;
    if (double_width)
        line = twice_as_wide(line);
    return flags & CELL_RIGHT ? line << width : line;
}
