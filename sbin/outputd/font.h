/* Fonts of the console: PC Screen Font 1 and 2 with a Unicode table (kbd's documentation of the format). */
#pragma once

#include "lib/base/base.h"

struct font_glyph {
    uint32_t symbol, index;
    bool own; /* the first symbol that names the glyph: for the others it may be only a likeness */
};

struct font {
    const uint8_t *glyphs; /* in the file's bytes, which must stay */
    uint32_t count, size;  /* of a glyph, in bytes: height lines of (width + 7) / 8 */
    uint32_t width, height;
    struct font_glyph *table; /* by symbol */
    size_t table_length;
};

#define FONT_SIDE_MAX 64u /* pixels */

/* 0, -E_BAD_FORMAT or -E_NO_MEMORY; to be destroyed after 0. */
MUST_CHECK int font_open(struct font *font, const uint8_t *file, size_t length);
void font_close(struct font *font);

/* The glyph of a symbol; NULL: it has none. own: as in the table. */
const uint8_t *font_find(const struct font *font, uint32_t symbol, bool *own);
/* The one shown in place of others: of U+FFFD, or '?', or the first. */
const uint8_t *font_replacement(const struct font *font);
