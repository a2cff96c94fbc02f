#include "sbin/outputd/glyphs.h"

#include <string.h>

#include "abi/errors.h"

struct header {
    uint32_t magic, count;
};

struct range {
    uint32_t first, last, columns, offset;
};

static struct range range_at(const uint8_t *file, uint32_t index)
{
    struct range range;
    memcpy(&range, file + sizeof(struct header) + index * sizeof(range), sizeof(range));
    return range;
}

static bool range_sound(const struct range *range, size_t length)
{
    if (range->first > range->last || range->columns < 1 || range->columns > 2)
        return false;
    uint64_t bytes = ((uint64_t)range->last - range->first + 1) * GLYPHS_HEIGHT * range->columns;
    return range->offset <= length && bytes <= length - range->offset;
}

int glyphs_open(struct glyphs *glyphs, const uint8_t *file, size_t length)
{
    struct header header;
    uint64_t next = 0;
    *glyphs = (struct glyphs){0};
    if (length < sizeof(header))
        return -E_BAD_FORMAT;
    memcpy(&header, file, sizeof(header));
    if (header.magic != GLYPHS_MAGIC ||
        header.count > (length - sizeof(header)) / sizeof(struct range))
        return -E_BAD_FORMAT;
    for (uint32_t i = 0; i < header.count; i++) {
        struct range range = range_at(file, i);
        if (range.first < next || !range_sound(&range, length))
            return -E_BAD_FORMAT;
        next = (uint64_t)range.last + 1;
    }
    *glyphs = (struct glyphs){file, header.count};
    return 0;
}

const uint8_t *glyphs_find(const struct glyphs *glyphs, uint32_t symbol, uint32_t *columns)
{
    uint32_t low = 0, high = glyphs->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        struct range range = range_at(glyphs->file, middle);
        if (symbol < range.first) {
            high = middle;
        } else if (symbol > range.last) {
            low = middle + 1;
        } else {
            *columns = range.columns;
            return glyphs->file + range.offset +
                   (size_t)(symbol - range.first) * GLYPHS_HEIGHT * range.columns;
        }
    }
    return NULL;
}
