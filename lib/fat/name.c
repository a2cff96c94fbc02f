/* Names and their comparison. See name.h; short.c has the entries' forms. */
#include "lib/fat/name.h"

#include <string.h>

#include "abi/errors.h"

static const struct capitals {
    uint16_t first, last;
    int16_t step;
    int32_t distance;
} capitals[] = {
#define CAPITALS(first, last, step, distance) {first, last, step, distance},
#include "lib/fat/capitals.def"
#undef CAPITALS
};

static uint16_t capital(uint16_t unit)
{
    if (unit < 0x80)
        return unit >= 'a' && unit <= 'z' ? (uint16_t)(unit - 32) : unit;
    size_t low = 0, high = ARRAY_SIZE(capitals);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (capitals[middle].last < unit)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == ARRAY_SIZE(capitals) || unit < capitals[low].first ||
        (unit - capitals[low].first) % capitals[low].step)
        return unit;
    return (uint16_t)(unit + capitals[low].distance);
}

/* One character; its bytes, or 0: this is not UTF-8. */
static size_t decode(const uint8_t *text, size_t length, uint32_t *code)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t bytes = text[0] < 0x80   ? 1
                   : text[0] < 0xc0 ? 0
                   : text[0] < 0xe0 ? 2
                   : text[0] < 0xf0 ? 3
                   : text[0] < 0xf8 ? 4
                                    : 0;
    if (!bytes || bytes > length)
        return 0;
    *code = bytes == 1 ? text[0] : text[0] & (0x7fu >> bytes);
    for (size_t i = 1; i < bytes; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
        *code = *code << 6 | (text[i] & 0x3f);
    }
    bool surrogate = *code >= 0xd800 && *code < 0xe000;
    return *code < least[bytes] || *code > 0x10ffff || surrogate ? 0 : bytes;
}

int64_t name_from_utf8(struct name *name, const char *text, size_t length)
{
    while (length && (text[length - 1] == '.' || text[length - 1] == ' '))
        length--;
    name->length = 0;
    for (size_t at = 0; at < length;) {
        uint32_t code;
        size_t bytes = decode((const uint8_t *)text + at, length - at, &code);
        if (!bytes || code < 0x20 || code == 0x7f ||
            (code < 0x80 && strchr("\"*/:<>?\\|", (int)code)))
            return -E_INVALID;
        if (name->length + 1 + (code > 0xffff) > NAME_UNITS)
            return -E_TOO_LONG;
        if (code > 0xffff)
            name->units[name->length++] = (uint16_t)(0xd7c0 + (code >> 10));
        name->units[name->length++] =
            code > 0xffff ? (uint16_t)(0xdc00 | (code & 0x3ff)) : (uint16_t)code;
        at += bytes;
    }
    return name->length ? 0 : -E_INVALID;
}

static char *encode(char *text, uint32_t code)
{
    if (code < 0x80) {
        *text++ = (char)code;
        return text;
    }
    uint32_t more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    *text++ = (char)((0xff00u >> (more + 1) & 0xff) | code >> 6 * more);
    while (more-- > 0)
        *text++ = (char)(0x80 | (code >> 6 * more & 0x3f));
    return text;
}

uint32_t name_to_utf8(const struct name *name, char *text)
{
    char *at = text;
    for (uint32_t i = 0; i < name->length; i++) {
        uint32_t code = name->units[i];
        bool high = code >= 0xd800 && code < 0xdc00;
        if (high && i + 1 < name->length && (name->units[i + 1] & 0xfc00) == 0xdc00)
            code = 0x10000 + ((code & 0x3ff) << 10) + (name->units[++i] & 0x3ff);
        else if (code >= 0xd800 && code < 0xe000)
            code = 0xfffd;
        at = encode(at, code);
    }
    *at = '\0';
    return (uint32_t)(at - text);
}

uint32_t name_hash(const struct name *name)
{
    uint32_t hash = 2166136261u;
    for (uint32_t i = 0; i < name->length; i++)
        hash = (hash ^ capital(name->units[i])) * 16777619u;
    return hash ^ hash >> 15;
}

bool name_same(const struct name *a, const struct name *b)
{
    if (a->length != b->length)
        return false;
    for (uint32_t i = 0; i < a->length; i++)
        if (a->units[i] != b->units[i] && capital(a->units[i]) != capital(b->units[i]))
            return false;
    return true;
}

bool name_identical(const struct name *a, const struct name *b)
{
    return a->length == b->length && !memcmp(a->units, b->units, a->length * sizeof(uint16_t));
}
