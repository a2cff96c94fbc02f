/* Report descriptors: see hid.h. */
#include "lib/usb/hid.h"

#include <stdlib.h>

#include "abi/errors.h"

/* Items by tag and type: the upper six bits of their first byte (6.2.2.4, .7, .8). */
enum item {
    ITEM_INPUT = 0x80,
    ITEM_OUTPUT = 0x90,
    ITEM_COLLECTION = 0xa0,
    ITEM_FEATURE = 0xb0,
    ITEM_END_COLLECTION = 0xc0,
    ITEM_USAGE_PAGE = 0x04,
    ITEM_LEAST = 0x14,
    ITEM_MOST = 0x24,
    ITEM_REPORT_SIZE = 0x74,
    ITEM_REPORT_ID = 0x84,
    ITEM_REPORT_COUNT = 0x94,
    ITEM_PUSH = 0xa4,
    ITEM_POP = 0xb4,
    ITEM_USAGE = 0x08,
    ITEM_USAGE_FIRST = 0x18,
    ITEM_USAGE_LAST = 0x28,
    ITEM_LONG = 0xfc,
};

#define MAIN_CONSTANT 0x1u
#define MAIN_VARIABLE 0x2u
#define MAIN_RELATIVE 0x4u

#define BITS_MAX      (HID_REPORT_MAX * 8u)
#define SIZE_MAX_BITS 32u

/* What PUSH keeps. */
struct globals {
    uint16_t page;
    uint8_t report;
    int32_t least;
    uint32_t most; /* signed if least is negative */
    uint8_t most_bytes;
    uint32_t size, count;
};

struct parse {
    struct hid *hid;
    struct globals now, *kept;
    size_t kept_count, kept_room;
    uint32_t depth;  /* of collections */
    uint32_t locals; /* usages since the last main item: behind those of the fields */
    uint32_t first;  /* of a range whose end is not told yet */
    bool first_paged, has_first;
};

struct item_data {
    uint32_t value;
    int32_t number; /* the same, signed */
    uint8_t bytes;
};

/* --- globals --- */

static int64_t globals_push(struct parse *parse)
{
    if (parse->kept_count == parse->kept_room) {
        size_t room = parse->kept_room ? 2 * parse->kept_room : 4;
        struct globals *kept = realloc(parse->kept, room * sizeof(*kept));
        if (!kept)
            return -E_NO_MEMORY;
        parse->kept = kept;
        parse->kept_room = room;
    }
    parse->kept[parse->kept_count++] = parse->now;
    return 0;
}

static int64_t global_item(struct parse *parse, enum item item, const struct item_data *data)
{
    struct globals *now = &parse->now;
    switch ((int)item) {
    case ITEM_USAGE_PAGE:
        now->page = (uint16_t)data->value;
        return 0;
    case ITEM_LEAST:
        now->least = data->number;
        return 0;
    case ITEM_MOST:
        now->most = data->value;
        now->most_bytes = data->bytes;
        return 0;
    case ITEM_REPORT_SIZE:
        now->size = data->value;
        return 0;
    case ITEM_REPORT_COUNT:
        now->count = data->value;
        return 0;
    case ITEM_REPORT_ID:
        if (data->value == 0 || data->value > UINT8_MAX)
            return -E_BAD_FORMAT;
        now->report = (uint8_t)data->value;
        parse->hid->numbered = true;
        return 0;
    case ITEM_PUSH:
        return globals_push(parse);
    case ITEM_POP:
        if (parse->kept_count == 0)
            return -E_BAD_FORMAT;
        *now = parse->kept[--parse->kept_count];
        return 0;
    default:
        return 0; /* units */
    }
}

/* --- usages --- */

/* The page of one that does not name it is that of the main item (6.2.2.8): until then it is 0, which is no page. */
static uint32_t usage_of(const struct item_data *data)
{
    return data->bytes == 4 ? data->value : data->value & 0xffff;
}

static void usage_add(struct parse *parse, uint32_t first, uint32_t last)
{
    struct hid *hid = parse->hid;
    hid->usages[hid->usage_count + parse->locals++] = (struct hid_range){first, last};
}

static int64_t local_item(struct parse *parse, enum item item, const struct item_data *data)
{
    uint32_t usage = usage_of(data);
    switch ((int)item) {
    case ITEM_USAGE:
        usage_add(parse, usage, usage);
        return 0;
    case ITEM_USAGE_FIRST:
        parse->first = usage;
        parse->has_first = true;
        return 0;
    case ITEM_USAGE_LAST:
        if (!parse->has_first || (usage & 0xffff) < (parse->first & 0xffff))
            return -E_BAD_FORMAT;
        parse->has_first = false;
        usage_add(parse, parse->first, (parse->first & 0xffff0000) | (usage & 0xffff));
        return 0;
    default:
        return 0; /* designators, strings, delimiters */
    }
}

static void usages_forget(struct parse *parse)
{
    parse->locals = 0;
    parse->has_first = false;
}

/* They are the field's from now on. */
static void usages_take(struct parse *parse, struct hid_field *field)
{
    struct hid *hid = parse->hid;
    uint32_t page = (uint32_t)parse->now.page << 16;
    field->usages = hid->usage_count;
    field->usage_count = parse->locals;
    for (uint32_t i = 0; i < parse->locals; i++) {
        struct hid_range *range = &hid->usages[hid->usage_count++];
        if (range->first >> 16 == 0)
            *range = (struct hid_range){page | range->first, page | range->last};
    }
}

/* --- main items --- */

static int64_t most_of(const struct globals *now)
{
    if (now->least >= 0)
        return now->most;
    return now->most_bytes == 1   ? (int8_t)now->most
           : now->most_bytes == 2 ? (int16_t)now->most
                                  : (int32_t)now->most;
}

static int64_t field_add(struct parse *parse, enum hid_kind kind, uint32_t flags)
{
    const struct globals *now = &parse->now;
    struct hid *hid = parse->hid;
    uint32_t *bits = &hid->bits[kind][now->report];
    uint64_t length = (uint64_t)now->size * now->count;
    if (parse->depth == 0 || length > BITS_MAX - *bits)
        return -E_BAD_FORMAT;
    struct hid_field field = {
        .kind = kind,
        .report = now->report,
        .size = (uint8_t)now->size,
        .variable = flags & MAIN_VARIABLE,
        .relative = flags & MAIN_RELATIVE,
        .offset = *bits,
        .count = now->count,
        .least = now->least,
        .most = most_of(now),
    };
    *bits += (uint32_t)length;
    if (flags & MAIN_CONSTANT || length == 0)
        return 0;
    if (now->size > SIZE_MAX_BITS)
        return 0; /* bytes of the maker's own */
    usages_take(parse, &field);
    hid->fields[hid->field_count++] = field;
    return 0;
}

static int64_t main_item(struct parse *parse, enum item item, const struct item_data *data)
{
    int64_t result = 0;
    switch ((int)item) {
    case ITEM_INPUT:
        result = field_add(parse, HID_INPUT, data->value);
        break;
    case ITEM_OUTPUT:
        result = field_add(parse, HID_OUTPUT, data->value);
        break;
    case ITEM_FEATURE:
        result = field_add(parse, HID_FEATURE, data->value);
        break;
    case ITEM_COLLECTION:
        parse->depth++;
        break;
    case ITEM_END_COLLECTION:
        result = parse->depth ? 0 : -E_BAD_FORMAT;
        parse->depth -= parse->depth != 0;
        break;
    }
    usages_forget(parse);
    return result;
}

/* --- items --- */

static int64_t item_parse(struct parse *parse, uint8_t head, const struct item_data *data)
{
    enum item item = (enum item)(head & 0xfc);
    switch (head >> 2 & 3) {
    case 0:
        return main_item(parse, item, data);
    case 1:
        return global_item(parse, item, data);
    case 2:
        return local_item(parse, item, data);
    default:
        return -E_BAD_FORMAT;
    }
}

/* Moves *at behind the item. */
static int64_t item_next(struct parse *parse, const uint8_t *bytes, size_t length, size_t *at)
{
    static const uint8_t sizes[] = {0, 1, 2, 4};
    uint8_t head = bytes[(*at)++];
    size_t left = length - *at;
    if ((head & 0xfc) == ITEM_LONG) { /* its length, its tag, and what nobody has defined */
        if (left < 2 || left - 2 < bytes[*at])
            return -E_BAD_FORMAT;
        *at += 2u + bytes[*at];
        return 0;
    }
    struct item_data data = {.bytes = sizes[head & 3]};
    if (left < data.bytes)
        return -E_BAD_FORMAT;
    for (uint8_t i = 0; i < data.bytes; i++)
        data.value |= (uint32_t)bytes[*at + i] << 8 * i;
    data.number = data.bytes == 1   ? (int8_t)data.value
                  : data.bytes == 2 ? (int16_t)data.value
                                    : (int32_t)data.value;
    *at += data.bytes;
    return item_parse(parse, head, &data);
}

/* A field takes an item, and so does each range of usages: there are no more of either than bytes. */
int64_t hid_parse(const uint8_t *bytes, size_t length, struct hid *hid)
{
    *hid = (struct hid){.fields = calloc(length + 1, sizeof(*hid->fields)),
                        .usages = calloc(length + 1, sizeof(*hid->usages))};
    struct parse parse = {.hid = hid};
    int64_t result = hid->fields && hid->usages ? 0 : -E_NO_MEMORY;
    for (size_t at = 0; result >= 0 && at < length;)
        result = item_next(&parse, bytes, length, &at);
    if (result >= 0 && parse.depth)
        result = -E_BAD_FORMAT;
    free(parse.kept);
    if (result < 0)
        hid_destroy(hid);
    return result;
}

void hid_destroy(struct hid *hid)
{
    free(hid->fields);
    free(hid->usages);
    *hid = (struct hid){0};
}

/* --- reports --- */

uint32_t hid_field_usage(const struct hid *hid, const struct hid_field *field, uint32_t index)
{
    const struct hid_range *ranges = hid->usages + field->usages;
    for (uint32_t i = 0; i < field->usage_count; i++) {
        uint32_t count = ranges[i].last - ranges[i].first + 1;
        if (index < count)
            return ranges[i].first + index;
        index -= count;
    }
    return field->variable && field->usage_count ? ranges[field->usage_count - 1].last : 0;
}

bool hid_value(const struct hid_field *field, uint32_t index, const uint8_t *bytes, size_t length,
               int64_t *value)
{
    uint64_t bits = 0, at = field->offset + (uint64_t)index * field->size;
    if (index >= field->count || at + field->size > (uint64_t)length * 8)
        return false;
    for (uint64_t byte = at / 8; byte <= (at + field->size - 1) / 8; byte++)
        bits |= (uint64_t)bytes[byte] << 8 * (byte - at / 8);
    bits = bits >> at % 8 & ((UINT64_C(1) << field->size) - 1);
    *value = (int64_t)bits;
    if (field->least < 0 && bits >> (field->size - 1))
        *value -= INT64_C(1) << field->size;
    return *value >= field->least && *value <= field->most;
}
