#include "sbin/outputd/screen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sys/error.h"
#include "lib/sys/file.h"

#define FRAMEBUFFER "fb:///0"
#define FONT        "initfs:///usr/share/consolefonts/console.psf"
#define FONT_LIMIT  (UINT64_C(4) << 20)

static uint32_t pixel(const struct fb_mode *mode, uint32_t rgb)
{
    uint32_t red = rgb >> 16 & 0xff, green = rgb >> 8 & 0xff, blue = rgb & 0xff;
    return red >> (8 - mode->red_bits) << mode->red_shift |
           green >> (8 - mode->green_bits) << mode->green_shift |
           blue >> (8 - mode->blue_bits) << mode->blue_shift;
}

static void pixel_put(volatile uint8_t *at, uint32_t bits, uint32_t value)
{
    switch (bits) {
    case 32:
        *(volatile uint32_t *)(volatile void *)at = value;
        break;
    case 24:
        at[0] = (uint8_t)value;
        at[1] = (uint8_t)(value >> 8);
        at[2] = (uint8_t)(value >> 16);
        break;
    default:
        *(volatile uint16_t *)(volatile void *)at = (uint16_t)value;
    }
}

/* One line of a glyph as bits from the left, bit 63 first. */
static uint64_t glyph_line(const struct screen *screen, const uint8_t *glyph, uint32_t y)
{
    uint32_t bytes = (screen->font.width + 7) / 8;
    uint64_t line = 0;
    for (uint32_t i = 0; i < bytes; i++)
        line |= (uint64_t)glyph[y * bytes + i] << (56 - 8 * i);
    return line;
}

static uint64_t cell_line(const struct screen *screen, const struct cell *cell,
                          const uint8_t *glyph, uint32_t y)
{
    uint64_t line = glyph_line(screen, glyph, y);
    if (cell->flags & CELL_BOLD)
        line |= line >> 1;
    if ((cell->flags & CELL_UNDERLINE && y == screen->font.height - 2) ||
        (cell->flags & CELL_STRIKE && y == screen->font.height / 2))
        line = UINT64_MAX;
    return line;
}

static void damage_add(struct screen *screen, uint32_t row, uint32_t column)
{
    bool first = screen->damage.bottom == 0;
    screen->damage.top = first ? row : MIN(screen->damage.top, row);
    screen->damage.left = first ? column : MIN(screen->damage.left, column);
    screen->damage.bottom = MAX(screen->damage.bottom, row + 1);
    screen->damage.right = first ? column + 1 : MAX(screen->damage.right, column + 1);
}

void screen_draw(struct screen *screen, uint32_t row, uint32_t column, const struct cell *cell)
{
    struct cell *shown = &screen->shown[row * screen->columns + column];
    if (memcmp(shown, cell, sizeof(*cell)) == 0)
        return;
    *shown = *cell;
    damage_add(screen, row, column);

    const struct fb_mode *mode = &screen->mode;
    const struct font *font = &screen->font;
    const uint8_t *glyph = font_glyph(font, cell->symbol ? cell->symbol : ' ');
    bool turned = cell->flags & CELL_CURSOR;
    uint32_t ink = pixel(mode, turned ? cell->paper : cell->ink);
    uint32_t paper = pixel(mode, turned ? cell->ink : cell->paper);
    uint32_t size = (mode->bits + 7) / 8;
    volatile uint8_t *at = screen->pixels + (uint64_t)row * font->height * mode->pitch +
                           (uint64_t)column * font->width * size;
    for (uint32_t y = 0; y < font->height; y++, at += mode->pitch) {
        uint64_t line = cell_line(screen, cell, glyph, y);
        for (uint32_t x = 0; x < font->width; x++)
            pixel_put(at + x * size, mode->bits, line << x >> 63 ? ink : paper);
    }
}

void screen_flush(struct screen *screen)
{
    uint32_t width = screen->font.width, height = screen->font.height;
    uint32_t left = screen->damage.left, top = screen->damage.top;
    struct abi_command command = {.op = FB_DAMAGE,
                                  .args = {left * width, top * height,
                                           (screen->damage.right - left) * width,
                                           (screen->damage.bottom - top) * height}};
    if (screen->mode.flags & FB_SHOWS_DAMAGE && screen->damage.bottom)
        sys_ignore(file_command(screen->file, &command));
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
    struct abi_map where = {
        .length = ALIGN_UP(map.values[0] % PAGE_SIZE + length, PAGE_SIZE),
        .offset = ALIGN_DOWN(map.values[0], PAGE_SIZE),
        .memory = map.receive[0],
        .protection = PROT_READ_ | PROT_WRITE_,
        .flags = MAP_SHARED_,
    };
    result = sys_space_map(HANDLE_SELF, &where);
    handle_drop(map.receive[0]);
    if (result < 0)
        return result;
    screen->pixels = (volatile uint8_t *)(uintptr_t)((uint64_t)result + map.values[0] % PAGE_SIZE);
    return 0;
}

static int64_t start(struct screen *screen)
{
    int64_t result = font_load(&screen->font);
    if (result < 0)
        return result;
    result = file_open(HANDLE_SELF, FRAMEBUFFER, OPEN_READ | OPEN_WRITE, &screen->file);
    if (result >= 0)
        result = framebuffer_map(screen);
    if (result < 0)
        return result;
    screen->rows = screen->mode.height / screen->font.height;
    screen->columns = screen->mode.width / screen->font.width;
    screen->shown = calloc((size_t)screen->rows * screen->columns, sizeof(*screen->shown));
    if (!screen->rows || !screen->columns)
        return -E_RANGE;
    if (!screen->shown)
        return -E_NO_MEMORY;
    for (uint32_t i = 0; i < screen->rows * screen->columns; i++)
        screen->shown[i].flags = UINT32_MAX; /* nobody knows what is there */
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
