#include "sbin/outputd/font.h"

#include <stdlib.h>
#include <string.h>

#include "abi/errors.h"

#define PSF1_MAGIC     0x0436u
#define PSF1_512       0x01 /* mode: glyphs, else 256 */
#define PSF1_TABLE     0x02
#define PSF1_SEPARATOR 0xffffu
#define PSF1_SEQUENCE  0xfffeu

#define PSF2_MAGIC     0x864ab572u
#define PSF2_TABLE     0x01
#define PSF2_SEPARATOR 0xffu
#define PSF2_SEQUENCE  0xfeu

struct psf1 {
    uint16_t magic;
    uint8_t mode, height;
};

struct psf2 {
    uint32_t magic, version, header, flags, count, size, height, width;
};

struct table {
    struct font_glyph *entries;
    size_t count, room;
};

static bool table_add(struct table *table, uint32_t symbol, uint32_t index)
{
    if (table->count == table->room) {
        size_t room = table->room ? table->room * 2 : 512;
        struct font_glyph *entries = realloc(table->entries, room * sizeof(*entries));
        if (!entries)
            return false;
        table->entries = entries;
        table->room = room;
    }
    bool own = !table->count || table->entries[table->count - 1].index != index;
    table->entries[table->count++] = (struct font_glyph){symbol, index, own};
    return true;
}

/* UTF-16 numbers, 0xffff behind each glyph's; sequences (behind 0xfffe) are for programs that can compose. */
static bool table_read_psf1(struct table *table, const uint8_t *bytes, size_t length,
                            uint32_t count)
{
    uint32_t index = 0;
    bool sequence = false;
    for (size_t at = 0; at + 2 <= length && index < count; at += 2) {
        uint32_t value = bytes[at] | (uint32_t)bytes[at + 1] << 8;
        if (value == PSF1_SEPARATOR) {
            index++;
            sequence = false;
        } else if (value == PSF1_SEQUENCE) {
            sequence = true;
        } else if (!sequence && !table_add(table, value, index)) {
            return false;
        }
    }
    return true;
}

/* A symbol in UTF-8; its length, 0: not one. */
static size_t utf8_read(const uint8_t *bytes, size_t length, uint32_t *symbol)
{
    size_t more = bytes[0] < 0x80 ? 0 : bytes[0] < 0xe0 ? 1 : bytes[0] < 0xf0 ? 2 : 3;
    static const uint8_t masks[] = {0x7f, 0x1f, 0x0f, 0x07};
    if (more >= length || (more && bytes[0] < 0xc0))
        return 0;
    *symbol = bytes[0] & masks[more];
    for (size_t i = 1; i <= more; i++)
        *symbol = *symbol << 6 | (bytes[i] & 0x3f);
    return more + 1;
}

static bool table_read_psf2(struct table *table, const uint8_t *bytes, size_t length,
                            uint32_t count)
{
    uint32_t index = 0, symbol;
    bool sequence = false;
    for (size_t at = 0; at < length && index < count;) {
        if (bytes[at] == PSF2_SEPARATOR || bytes[at] == PSF2_SEQUENCE) {
            sequence = bytes[at] == PSF2_SEQUENCE;
            index += !sequence;
            at++;
            continue;
        }
        size_t used = utf8_read(bytes + at, length - at, &symbol);
        if (used && !sequence && !table_add(table, symbol, index))
            return false;
        at += used ? used : 1;
    }
    return true;
}

static int glyph_compare(const void *left, const void *right)
{
    const struct font_glyph *a = left, *b = right;
    return (a->symbol > b->symbol) - (a->symbol < b->symbol);
}

/* The header's numbers; where the glyphs begin, 0: not such a font. */
static size_t header_read(struct font *font, const uint8_t *file, size_t length, bool *has_table)
{
    struct psf1 one;
    struct psf2 two;
    if (length >= sizeof(one)) {
        memcpy(&one, file, sizeof(one));
        if (one.magic == PSF1_MAGIC) {
            font->width = 8;
            font->height = font->size = one.height;
            font->count = one.mode & PSF1_512 ? 512 : 256;
            *has_table = one.mode & PSF1_TABLE;
            return sizeof(one);
        }
    }
    if (length < sizeof(two))
        return 0;
    memcpy(&two, file, sizeof(two));
    if (two.magic != PSF2_MAGIC || two.header < sizeof(two))
        return 0;
    font->width = two.width;
    font->height = two.height;
    font->size = two.size;
    font->count = two.count;
    *has_table = two.flags & PSF2_TABLE;
    return two.header;
}

int font_open(struct font *font, const uint8_t *file, size_t length)
{
    struct table table = {0};
    bool has_table, read;
    *font = (struct font){0};
    size_t start = header_read(font, file, length, &has_table);
    if (!start || start > length || !has_table || !font->count || !font->width || !font->height ||
        font->width > FONT_SIDE_MAX || font->height > FONT_SIDE_MAX ||
        font->size != font->height * ((font->width + 7) / 8) ||
        font->count > (length - start) / font->size)
        return -E_BAD_FORMAT;
    font->glyphs = file + start;

    const uint8_t *rest = font->glyphs + (size_t)font->count * font->size;
    size_t rest_length = length - (size_t)(rest - file);
    read = start == sizeof(struct psf1) ? table_read_psf1(&table, rest, rest_length, font->count)
                                        : table_read_psf2(&table, rest, rest_length, font->count);
    if (!read || !table.count) {
        free(table.entries);
        return read ? -E_BAD_FORMAT : -E_NO_MEMORY;
    }
    qsort(table.entries, table.count, sizeof(*table.entries), glyph_compare);
    font->table = table.entries;
    font->table_length = table.count;
    return 0;
}

void font_close(struct font *font)
{
    free(font->table);
    *font = (struct font){0};
}

const uint8_t *font_find(const struct font *font, uint32_t symbol, bool *own)
{
    struct font_glyph wanted = {.symbol = symbol};
    const struct font_glyph *found =
        bsearch(&wanted, font->table, font->table_length, sizeof(wanted), glyph_compare);
    *own = found && found->own;
    return found ? font->glyphs + (size_t)found->index * font->size : NULL;
}

const uint8_t *font_replacement(const struct font *font)
{
    bool own;
    const uint8_t *found = font_find(font, 0xfffd, &own);
    if (!found)
        found = font_find(font, '?', &own);
    return found ? found : font->glyphs;
}
