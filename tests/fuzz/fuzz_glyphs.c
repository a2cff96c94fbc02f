/* A file of glyphs of any bytes: whatever glyph is asked for lies within it. */
// sources: sbin/outputd/glyphs.c
#include <stdlib.h>
#include <string.h>

#include "sbin/outputd/glyphs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ask(const struct glyphs *glyphs, uint32_t symbol, const uint8_t *data, size_t size)
{
    uint32_t columns = 0;
    const uint8_t *glyph = glyphs_find(glyphs, symbol, &columns);
    if (glyph && (columns < 1 || columns > 2 || glyph < data ||
                  glyph + (size_t)GLYPHS_HEIGHT * columns > data + size))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct glyphs glyphs;
    if (glyphs_open(&glyphs, data, size) < 0)
        return 0;
    for (uint32_t symbol = 0; symbol < 256; symbol++)
        ask(&glyphs, symbol, data, size);
    for (uint32_t i = 0; i < glyphs.count; i++) {
        uint32_t ends[2];
        memcpy(ends, data + 8 + 16 * (size_t)i, sizeof(ends));
        for (int32_t beside = -1; beside <= 1; beside++) {
            ask(&glyphs, ends[0] + (uint32_t)beside, data, size);
            ask(&glyphs, ends[1] + (uint32_t)beside, data, size);
        }
    }
    ask(&glyphs, UINT32_MAX, data, size);
    return 0;
}
