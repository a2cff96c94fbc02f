/* Names as entries have them: short ones, and long ones in parts. See name.h. */
#include <string.h>

#include "lib/fat/name.h"

#define BASE_LENGTH 8u
#define TYPE_LENGTH 3u

static uint32_t copy_part(uint16_t *units, const char *text, uint32_t length, bool lower)
{
    while (length && text[length - 1] == ' ')
        length--;
    for (uint32_t i = 0; i < length; i++) {
        uint8_t byte = (uint8_t)text[i];
        bool told = byte >= 0x20 && byte < 0x80 &&
                    byte != '/'; /* of a code page that the volume does not name */
        units[i] = !told ? 0xfffd : lower && byte >= 'A' && byte <= 'Z' ? byte + 32 : byte;
    }
    return length;
}

void name_from_short(struct name *name, const struct slot *entry)
{
    char text[SHORT_LENGTH];
    memcpy(text, entry->name, sizeof(text));
    if (text[0] == SLOT_E5)
        text[0] = (char)SLOT_FREE;
    name->length = copy_part(name->units, text, BASE_LENGTH, entry->flags & CASE_LOWER_BASE);
    name->units[name->length] = '.';
    uint32_t type = copy_part(name->units + name->length + 1, text + BASE_LENGTH, TYPE_LENGTH,
                              entry->flags & CASE_LOWER_TYPE);
    if (type)
        name->length += 1 + type;
    if (!name->length)
        name->units[name->length++] = 0xfffd; /* nothing but spaces */
}

/* A unit in a short name; 0: it has none there. */
static char short_char(uint16_t unit)
{
    if (unit >= 'a' && unit <= 'z')
        return (char)(unit - 32);
    return unit < 0x80 && !strchr("+,;=[] .", unit) ? (char)unit : 0;
}

static enum short_kind worse(enum short_kind a, enum short_kind b)
{
    return a > b ? a : b;
}

/* Puts units into the field as far as there is room. */
static enum short_kind put_part(char *field, uint32_t room, const uint16_t *units, uint32_t length)
{
    enum short_kind kind = SHORT_EXACT;
    uint32_t used = 0;
    for (uint32_t i = 0; i < length; i++) {
        char one = short_char(units[i]);
        if (!one || used == room)
            kind = SHORT_LOSSY;
        else if (one != (char)units[i])
            kind = worse(kind, SHORT_FITS);
        if (units[i] == ' ' || units[i] == '.')
            continue;
        if (used < room)
            field[used++] = one ? one : '_';
        if (units[i] >= 0xd800 && units[i] < 0xdc00)
            i++; /* two units, one character */
    }
    return kind;
}

enum short_kind short_basis(const struct name *name, char *basis)
{
    uint32_t start = 0, dot = name->length;
    memset(basis, ' ', SHORT_LENGTH);
    while (start < name->length && (name->units[start] == '.' || name->units[start] == ' '))
        start++;
    while (dot > start && name->units[dot - 1] != '.')
        dot--;
    bool typed = dot > start;
    uint32_t end = typed ? dot - 1 : name->length;
    enum short_kind kind = put_part(basis, BASE_LENGTH, name->units + start, end - start);
    if (typed)
        kind = worse(kind, put_part(basis + BASE_LENGTH, TYPE_LENGTH, name->units + dot,
                                    name->length - dot));
    if (basis[0] == ' ')
        basis[0] = '_'; /* nothing of it can be said */
    return start ? SHORT_LOSSY : kind;
}

void short_number(char *text, const char *basis, uint32_t number)
{
    char digits[8];
    uint32_t count = 0, length = BASE_LENGTH;
    memcpy(text, basis, SHORT_LENGTH);
    do
        digits[count++] = (char)('0' + number % 10);
    while (number /= 10);
    while (length && text[length - 1] == ' ')
        length--;
    length = MIN(length, BASE_LENGTH - 1 - count);
    text[length++] = '~';
    while (count-- > 0)
        text[length++] = digits[count];
}

uint8_t short_sum(const char *text)
{
    uint8_t sum = 0;
    for (uint32_t i = 0; i < SHORT_LENGTH; i++)
        sum = (uint8_t)((sum << 7 | sum >> 1) + (uint8_t)text[i]);
    return sum;
}

/* Where the n-th of a part's 13 units lies. */
static uint8_t *unit_at(const struct slot *slot, uint32_t n)
{
    const uint8_t *at = n < 5    ? slot->units1 + 2 * n
                        : n < 11 ? slot->units2 + 2 * (n - 5)
                                 : slot->units3 + 2 * (n - 11);
    return (uint8_t *)(uintptr_t)at;
}

uint32_t long_slots(const struct name *name)
{
    return (name->length + LONG_UNITS - 1) / LONG_UNITS;
}

/* Behind the name's end is one zero, then ones, where there is room. */
void long_slot(struct slot *slot, const struct name *name, uint32_t order, uint8_t sum)
{
    memset(slot, 0, sizeof(*slot));
    slot->order = (uint8_t)(order | (order == long_slots(name) ? LONG_LAST : 0));
    slot->long_attributes = ATTRIBUTE_LONG;
    slot->sum = sum;
    for (uint32_t i = 0; i < LONG_UNITS; i++) {
        uint32_t at = (order - 1) * LONG_UNITS + i;
        uint16_t unit = at < name->length ? name->units[at] : at == name->length ? 0 : 0xffff;
        memcpy(unit_at(slot, i), &unit, sizeof(unit));
    }
}

bool long_read(struct name *name, const struct slot *slot)
{
    uint32_t order = slot->order & ~LONG_LAST, base = (order - 1) * LONG_UNITS;
    if (!order || order > LONG_SLOTS_MAX)
        return false;
    if (slot->order & LONG_LAST)
        name->length = MIN(order * LONG_UNITS, NAME_UNITS);
    for (uint32_t i = 0; i < LONG_UNITS && base + i < NAME_UNITS; i++) {
        uint16_t unit;
        memcpy(&unit, unit_at(slot, i), sizeof(unit));
        if (unit == 0 && base + i < name->length) {
            name->length = base + i;
            break;
        }
        if (unit == '/')
            unit = 0xfffd; /* a separator for everybody outside */
        name->units[base + i] = unit;
    }
    return name->length != 0;
}
