/* Text on the boot loader's framebuffer, in any true-colour layout of 16, 24 or 32 bits.
 *
 * A picture stands in its place (lib/base/splash.h) until a line is an error. log= or splash=off on the command line leave it out.
 *
 * What is shown is kept as an array of characters, so that the framebuffer, which is slow to read, is only
 * written: scrolling compares the lines and draws the characters that differ. The screen scrolls by a quarter
 * at a time. Lock: the log's; a panic does not lock, and starts with a screen of its own.
 */
#include "kernel/x86_64/screen.h"

#include "kernel/arch.h"
#include "kernel/log.h"
#include "kernel/vmm/heap.h"
#include "lib/base/pixel.h"
#include "lib/base/splash.h"
#include "lib/base/string.h"

#define WIDTH  8u
#define HEIGHT SCREEN_FONT_HEIGHT

static struct {
    struct boot_framebuffer mode;
    volatile uint8_t *pixels; /* NULL: no screen */
    uint8_t *cells;           /* rows * columns characters */
    uint32_t columns, rows, column, row;
    uint32_t ink, paper; /* pixel values */
    bool splash;         /* the picture is shown: text goes to the cells only */
    bool taken;          /* by a service */
} screen;

static uint32_t colour(uint32_t red, uint32_t green, uint32_t blue)
{
    const struct boot_framebuffer *mode = &screen.mode;

    return red >> (8 - mode->red_bits) << mode->red_shift |
           green >> (8 - mode->green_bits) << mode->green_shift |
           blue >> (8 - mode->blue_bits) << mode->blue_shift;
}

static void draw(uint32_t row, uint32_t column, uint8_t character)
{
    uint32_t size = (screen.mode.bits + 7u) / 8;
    uint8_t index = (uint8_t)(character - SCREEN_FONT_FIRST);
    const uint8_t *glyph = screen_font[index < SCREEN_FONT_COUNT ? index : '?' - SCREEN_FONT_FIRST];
    volatile uint8_t *line = screen.pixels + (uint64_t)row * HEIGHT * screen.mode.pitch +
                             (uint64_t)column * WIDTH * size;

    for (uint32_t y = 0; y < HEIGHT; y++, line += screen.mode.pitch) {
        for (uint32_t x = 0; x < WIDTH; x++)
            pixel_put(line + x * size, screen.mode.bits,
                      glyph[y] & 0x80u >> x ? screen.ink : screen.paper);
    }
}

static void set_cell(uint32_t row, uint32_t column, uint8_t character)
{
    uint8_t *cell = &screen.cells[row * screen.columns + column];

    if (*cell == character)
        return;
    *cell = character;
    if (!screen.splash)
        draw(row, column, character);
}

static void clear(void)
{
    uint32_t size = (screen.mode.bits + 7u) / 8;

    for (uint32_t y = 0; y < screen.mode.height; y++) {
        volatile uint8_t *line = screen.pixels + (uint64_t)y * screen.mode.pitch;

        for (uint32_t x = 0; x < screen.mode.width; x++)
            pixel_put(line + x * size, screen.mode.bits, screen.paper);
    }
}

static void cells_clear(void)
{
    memset(screen.cells, ' ', (size_t)screen.rows * screen.columns);
    screen.row = screen.column = 0;
}

/* --- The picture --------------------------------------------------------------------------------------------------- */

static bool splash_wanted(void)
{
    size_t length;
    const char *option = boot_option("splash", &length);
    bool off = option && length == 3 && memcmp(option, "off", 3) == 0;

    return !off && !boot_option("log", &length) && screen.mode.width >= SPLASH_WIDTH &&
           screen.mode.height >= SPLASH_HEIGHT;
}

static void splash_draw(void)
{
    const struct boot_framebuffer *mode = &screen.mode;
    uint32_t size = (mode->bits + 7u) / 8;
    volatile uint8_t *line = screen.pixels +
                             (uint64_t)(mode->height - SPLASH_HEIGHT) / 2 * mode->pitch +
                             (uint64_t)(mode->width - SPLASH_WIDTH) / 2 * size;

    for (uint32_t y = 0; y < SPLASH_HEIGHT; y++, line += mode->pitch) {
        for (uint32_t x = 0; x < SPLASH_WIDTH; x++) {
            uint32_t rgb = splash_pixel(x, y);
            pixel_put(line + x * size, screen.mode.bits,
                      colour(rgb >> 16, rgb >> 8 & 0xff, rgb & 0xff));
        }
    }
}

void screen_show_text(void)
{
    if (!screen.splash || screen.taken)
        return;
    screen.splash = false;
    clear();
    for (uint32_t at = 0; at < screen.rows * screen.columns; at++)
        if (screen.cells[at] != ' ')
            draw(at / screen.columns, at % screen.columns, screen.cells[at]);
}

/* --- Text ---------------------------------------------------------------------------------------------------------- */

static void new_line(void)
{
    uint32_t shift = screen.rows / 4 > 0 ? screen.rows / 4 : 1;

    screen.column = 0;
    if (++screen.row < screen.rows)
        return;
    screen.row -= shift;
    for (uint32_t row = 0; row < screen.rows; row++) {
        for (uint32_t column = 0; column < screen.columns; column++)
            set_cell(row, column,
                     row + shift < screen.rows
                         ? screen.cells[(row + shift) * screen.columns + column]
                         : ' ');
    }
}

void screen_write(const char *text, size_t length)
{
    for (size_t i = 0; screen.pixels && !screen.taken && i < length; i++) {
        if (text[i] == '\n') {
            new_line();
            continue;
        }
        if (screen.column == screen.columns)
            new_line();
        set_cell(screen.row, screen.column++, (uint8_t)text[i]);
    }
}

/* Layouts that cannot be drawn: palettes, colours of more than 8 bits or beyond the pixel, a pitch that is short. */
static bool usable(const struct boot_framebuffer *mode)
{
    const uint8_t fields[3][2] = {{mode->red_shift, mode->red_bits},
                                  {mode->green_shift, mode->green_bits},
                                  {mode->blue_shift, mode->blue_bits}};

    if (mode->base.value == 0 ||
        (mode->bits != 15 && mode->bits != 16 && mode->bits != 24 && mode->bits != 32))
        return false;
    for (unsigned i = 0; i < 3; i++) {
        if (fields[i][1] == 0 || fields[i][1] > 8 || fields[i][0] + fields[i][1] > mode->bits)
            return false;
    }
    return mode->width >= WIDTH && mode->height >= HEIGHT && mode->width <= 16384 &&
           mode->height <= 16384 && mode->pitch >= mode->width * ((mode->bits + 7u) / 8) &&
           mode->pitch <= 16384 * 8;
}

void screen_start(const struct boot_framebuffer *framebuffer)
{
    static char text[512]; /* of the boot CPU only */
    uint64_t sequence = 0;
    size_t length;

    if (framebuffer->base.value == 0)
        return;
    if (!usable(framebuffer)) {
        log_warning("screen: %ux%u, %u bits, pitch %u: not a layout that can be drawn",
                    framebuffer->width, framebuffer->height, framebuffer->bits, framebuffer->pitch);
        return;
    }
    screen.mode = *framebuffer;
    screen.columns = framebuffer->width / WIDTH;
    screen.rows = framebuffer->height / HEIGHT;
    screen.cells = heap_alloc((size_t)screen.columns * screen.rows);
    volatile uint8_t *pixels =
        arch_map_device(framebuffer->base, (uint64_t)framebuffer->pitch * framebuffer->height,
                        PAGE_WRITE | PAGE_COMBINE);
    if (!screen.cells || !pixels) {
        log_warning("screen: no memory to show text");
        heap_free(screen.cells);
        return;
    }
    screen.pixels = pixels;
    screen.ink = colour(0xc8, 0xc8, 0xc8);
    screen.paper = colour(0, 0, 0);
    clear();
    cells_clear();
    screen.splash = splash_wanted();
    if (screen.splash)
        splash_draw();
    while ((length = log_read(&sequence, text, sizeof(text), LOG_DEBUG)) > 0)
        screen_write(text, length);
    log_info("screen: %ux%u, %u bits, %ux%u characters", framebuffer->width, framebuffer->height,
             framebuffer->bits, screen.columns, screen.rows);
}

void screen_taken(void)
{
    screen.taken = true;
}

void screen_panic(void)
{
    if (!screen.pixels)
        return;
    screen.taken = screen.splash = false;
    screen.ink = colour(0xff, 0xff, 0xff);
    screen.paper = colour(0x80, 0, 0);
    clear();
    cells_clear();
}
