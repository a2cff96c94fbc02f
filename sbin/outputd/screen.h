/* The screen: cells of text on fb:///0, in any true-colour layout of 15 to 32 bits.
 *
 *     screen_start(&screen)                   false: there is none
 *     screen_draw(&screen, row, column, cell)
 *
 * What is shown is kept as an array of cells, so that the framebuffer, which is slow to read, is only written, and only where
 * something changed: a scroll draws the cells that differ. One thread.
 */
#pragma once

#include "abi/fb.h"
#include "lib/sys/syscall.h"
#include "sbin/outputd/picture.h"

/* Cells whose ink and paper change places, whatever is written there: [first, end) of the rows one behind the other. */
struct screen_span {
    uint32_t first, end;
};

enum { SCREEN_POINTER, SCREEN_SELECTION, SCREEN_SPANS };

struct screen {
    struct fb_mode mode;
    struct fonts fonts;
    const void
        *packed; /* Unifont as it lies in the archive, until a symbol needs it; NULL: no more */
    size_t packed_length;
    volatile uint8_t *pixels;
    struct cell *shown; /* rows * columns */
    struct screen_span turned[SCREEN_SPANS];
    uint32_t rows, columns;
    struct {
        uint32_t top, left, bottom, right;
    } damage; /* cells that were drawn since the last flush; bottom 0: none */
    handle_t file;
};

/* Reports on stderr why there is none. */
MUST_CHECK bool screen_start(struct screen *screen);
void screen_draw(struct screen *screen, uint32_t row, uint32_t column, const struct cell *cell);
/* Turns these cells instead of those before. To be seen after a flush. */
void screen_turn(struct screen *screen, uint32_t which, struct screen_span span);
/* The picture of the boot, alone on the screen. */
void screen_splash(struct screen *screen);
/* What was drawn since the last time is to be seen. */
void screen_flush(struct screen *screen);
