/* A font file of any bytes: whatever glyph is asked for lies within it. */
// sources: sbin/outputd/font.c
#include <stdlib.h>

#include "sbin/outputd/font.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint32_t asked[] = {0, ' ', 'A', '?', 0xe9, 0xfffd, 0x10ffff, UINT32_MAX};
    struct font font;
    if (font_open(&font, data, size) < 0)
        return 0;
    for (size_t i = 0; i < ARRAY_SIZE(asked) + font.table_length; i++) {
        uint32_t symbol =
            i < ARRAY_SIZE(asked) ? asked[i] : font.table[i - ARRAY_SIZE(asked)].symbol;
        bool own;
        const uint8_t *glyph = font_find(&font, symbol, &own);
        if (!glyph)
            glyph = font_replacement(&font);
        if (glyph < data || glyph + font.size > data + size)
            abort();
    }
    font_close(&font);
    return 0;
}
