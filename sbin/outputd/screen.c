#include "sbin/outputd/screen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libdeflate.h>

#include "lib/base/pixel.h"
#include "lib/base/splash.h"
#include "lib/sys/error.h"
#include "lib/sys/file.h"
#include "lib/sys/map.h"

#define FRAMEBUFFER "fb:///0"
#define FONT        "initfs:///usr/share/consolefonts/console.psf"
#define FONT_LIMIT  (UINT64_C(4) << 20)
#define UNIFONT     "initfs:///usr/share/consolefonts/unifont.gz"

static uint32_t pixel(const struct fb_mode *mode, uint32_t rgb)
{
    uint32_t red = rgb >> 16 & 0xff, green = rgb >> 8 & 0xff, blue = rgb & 0xff;
    return red >> (8 - mode->red_bits) << mode->red_shift |
           green >> (8 - mode->green_bits) << mode->green_shift |
           blue >> (8 - mode->blue_bits) << mode->blue_shift;
}

static uint32_t pixel_bytes(const struct screen *screen)
{
    return (screen->mode.bits + 7) / 8;
}

static volatile uint8_t *pixel_at(const struct screen *screen, uint32_t x, uint32_t y)
{
    return screen->pixels + (uint64_t)y * screen->mode.pitch + (uint64_t)x * pixel_bytes(screen);
}

static void damage_add(struct screen *screen, uint32_t row, uint32_t column)
{
    bool first = screen->damage.bottom == 0;
    screen->damage.top = first ? row : MIN(screen->damage.top, row);
    screen->damage.left = first ? column : MIN(screen->damage.left, column);
    screen->damage.bottom = MAX(screen->damage.bottom, row + 1);
    screen->damage.right = first ? column + 1 : MAX(screen->damage.right, column + 1);
}

/* --- Unifont, when it is needed ------------------------------------------------------------------------------------ */

/* gzip's last word is the length. */
static int64_t glyphs_unpack(struct screen *screen)
{
    const uint8_t *packed = screen->packed;
    uint32_t length;
    if (screen->packed_length < sizeof(length))
        return -E_BAD_FORMAT;
    memcpy(&length, packed + screen->packed_length - sizeof(length), sizeof(length));
    uint8_t *file = length <= FONT_LIMIT ? malloc(length) : NULL;
    struct libdeflate_decompressor *inflate = libdeflate_alloc_decompressor();
    int64_t result = file && inflate ? 0 : -E_NO_MEMORY;
    if (result >= 0 && libdeflate_gzip_decompress(inflate, packed, screen->packed_length, file,
                                                  length, NULL) != LIBDEFLATE_SUCCESS)
        result = -E_BAD_FORMAT;
    if (result >= 0)
        result = glyphs_open(&screen->fonts.glyphs, file, length);
    if (inflate)
        libdeflate_free_decompressor(inflate);
    if (result < 0)
        free(file);
    return result;
}

static void glyphs_need(struct screen *screen, const struct cell *cell)
{
    if (!screen->packed || picture_plain(&screen->fonts, cell))
        return;
    int64_t result = glyphs_unpack(screen);
    if (result < 0)
        fprintf(stderr, "%s: %s\n", UNIFONT, error_text(result));
    screen->packed = NULL;
}

/* --- Drawing ------------------------------------------------------------------------------------------------------- */

/* Turned twice, by the cursor and the pointer perhaps, is as it was. */
static bool turned(const struct screen *screen, uint32_t index)
{
    bool result = screen->shown[index].flags & CELL_CURSOR;
    for (uint32_t i = 0; i < SCREEN_SPANS; i++)
        result ^= index >= screen->turned[i].first && index < screen->turned[i].end;
    return result;
}

static void cell_paint(struct screen *screen, uint32_t row, uint32_t column)
{
    const struct cell *cell = &screen->shown[row * screen->columns + column];
    damage_add(screen, row, column);
    glyphs_need(screen, cell);

    const struct fb_mode *mode = &screen->mode;
    const struct font *font = &screen->fonts.font;
    struct picture picture = picture_of(&screen->fonts, cell);
    bool turn = turned(screen, row * screen->columns + column);
    uint32_t ink = pixel(mode, turn ? cell->paper : cell->ink);
    uint32_t paper = pixel(mode, turn ? cell->ink : cell->paper);
    uint32_t size = pixel_bytes(screen);
    volatile uint8_t *at = pixel_at(screen, column * font->width, row * font->height);
    for (uint32_t y = 0; y < font->height; y++, at += mode->pitch) {
        uint64_t line = picture_line(&picture, y);
        for (uint32_t x = 0; x < font->width; x++)
            pixel_put(at + x * size, mode->bits, line << x >> 63 ? ink : paper);
    }
}

void screen_draw(struct screen *screen, uint32_t row, uint32_t column, const struct cell *cell)
{
    struct cell *shown = &screen->shown[row * screen->columns + column];
    if (memcmp(shown, cell, sizeof(*cell)) == 0)
        return;
    *shown = *cell;
    cell_paint(screen, row, column);
}

void screen_turn(struct screen *screen, uint32_t which, struct screen_span span)
{
    struct screen_span old = screen->turned[which];
    screen->turned[which] = span;
    for (uint32_t i = MIN(old.first, span.first); i < MAX(old.end, span.end); i++)
        if ((i >= old.first && i < old.end) != (i >= span.first && i < span.end))
            cell_paint(screen, i / screen->columns, i % screen->columns);
}

/* So many pixels from there on are as they are to be shown. */
static void show(const struct screen *screen, uint32_t x, uint32_t y, uint32_t width,
                 uint32_t height)
{
    struct abi_command command = {.op = FB_DAMAGE, .args = {x, y, width, height}};
    if (screen->mode.flags & FB_SHOWS_DAMAGE)
        sys_ignore(file_command(screen->file, &command));
}

/* [x, right) of the lines [y, bottom) */
static void blacken(struct screen *screen, uint32_t x, uint32_t y, uint32_t right, uint32_t bottom)
{
    for (; y < bottom; y++)
        for (uint32_t at = x; at < right; at++)
            pixel_put(pixel_at(screen, at, y), screen->mode.bits, 0);
}

/* What the cells leave over, at the right and below. */
static void margins_blacken(struct screen *screen)
{
    uint32_t right = screen->columns * screen->fonts.font.width;
    uint32_t bottom = screen->rows * screen->fonts.font.height;
    blacken(screen, right, 0, screen->mode.width, screen->mode.height);
    blacken(screen, 0, bottom, right, screen->mode.height);
    show(screen, 0, 0, screen->mode.width, screen->mode.height);
}

void screen_splash(struct screen *screen)
{
    const struct fb_mode *mode = &screen->mode;
    blacken(screen, 0, 0, mode->width, mode->height);
    if (mode->width < SPLASH_WIDTH || mode->height < SPLASH_HEIGHT)
        return;
    uint32_t left = (mode->width - SPLASH_WIDTH) / 2, top = (mode->height - SPLASH_HEIGHT) / 2;
    for (uint32_t y = 0; y < SPLASH_HEIGHT; y++)
        for (uint32_t x = 0; x < SPLASH_WIDTH; x++)
            pixel_put(pixel_at(screen, left + x, top + y), mode->bits,
                      pixel(mode, splash_pixel(x, y)));
    show(screen, 0, 0, mode->width, mode->height);
}

void screen_flush(struct screen *screen)
{
    uint32_t width = screen->fonts.font.width, height = screen->fonts.font.height;
    uint32_t left = screen->damage.left, top = screen->damage.top;
    if (screen->damage.bottom)
        show(screen, left * width, top * height, (screen->damage.right - left) * width,
             (screen->damage.bottom - top) * height);
    screen->damage.bottom = 0;
}

static int64_t font_load(struct font *font)
{
    char *bytes;
    size_t length;
    int64_t result = file_load(HANDLE_SELF, FONT, FONT_LIMIT, &bytes, &length);
    if (result < 0)
        return result;
    result = font_open(font, (const uint8_t *)bytes, length); /* its bytes stay for good */
    if (result < 0)
        free(bytes);
    return result;
}

/* Mapped as it lies in the archive, so that it costs nothing until a symbol needs it. */
static int64_t unifont_map(struct screen *screen)
{
    const void *bytes;
    uint64_t size;
    int64_t result = file_map(HANDLE_SELF, UNIFONT, &bytes, &size);
    if (result < 0)
        return result;
    screen->packed = bytes;
    screen->packed_length = size;
    return 0;
}

static int64_t framebuffer_map(struct screen *screen)
{
    struct abi_command mode = {
        .op = FB_MODE, .out = (uintptr_t)&screen->mode, .out_length = sizeof(screen->mode)};
    int64_t result = file_command(screen->file, &mode);
    if (result < 0)
        return result;

    uint64_t length = (uint64_t)screen->mode.pitch * screen->mode.height;
    struct abi_command map = {.op = OP_MAP, .args = {0, length, PROT_READ_ | PROT_WRITE_}};
    result = file_command(screen->file, &map);
    if (result >= 0 && !map.receive_count)
        result = -E_IO;
    if (result < 0)
        return result;
    result = memory_map(map.receive[0], map.values[0], length, PROT_READ_ | PROT_WRITE_);
    handle_drop(map.receive[0]);
    if (result < 0)
        return result;
    screen->pixels = (volatile uint8_t *)(uintptr_t)result;
    return 0;
}

static int64_t start(struct screen *screen)
{
    int64_t result = font_load(&screen->fonts.font);
    if (result < 0)
        return result;
    result = file_open(HANDLE_SELF, FRAMEBUFFER, OPEN_READ | OPEN_WRITE, &screen->file);
    if (result >= 0)
        result = framebuffer_map(screen);
    if (result < 0)
        return result;
    screen->rows = screen->mode.height / screen->fonts.font.height;
    screen->columns = screen->mode.width / screen->fonts.font.width;
    screen->shown = calloc((size_t)screen->rows * screen->columns, sizeof(*screen->shown));
    if (!screen->rows || !screen->columns)
        return -E_RANGE;
    if (!screen->shown)
        return -E_NO_MEMORY;
    for (uint32_t i = 0; i < screen->rows * screen->columns; i++)
        screen->shown[i].flags = UINT32_MAX; /* nobody knows what is there */
    margins_blacken(screen);
    result = unifont_map(screen);
    if (result < 0)
        fprintf(stderr, "%s: %s\n", UNIFONT, error_text(result));
    return 0;
}

bool screen_start(struct screen *screen)
{
    *screen = (struct screen){.file = HANDLE_NONE};
    int64_t result = start(screen);
    if (result < 0)
        fprintf(stderr, "no screen: %s\n", error_text(result));
    return result >= 0;
}
