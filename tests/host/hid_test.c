// sources: lib/usb/hid.c lib/usb/hid_input.c lib/usb/hid_keys.c lib/usb/hid_quirk.c
/* Report descriptors and reports: what QEMU's devices, keyboards with all keys at once, and liars say. */
#include "abi/errors.h"
#include "lib/usb/hid_input.h"
#include "lib/usb/hid_quirk.h"
#include "tests/host/test.h"

static const uint8_t keyboard[] = {/* the boot protocol's (HID 1.11, E.6) */
                                   0x05, 0x01, 0x09, 0x06, 0xa1, 0x01, 0x75, 0x01, 0x95, 0x08, 0x05,
                                   0x07, 0x19, 0xe0, 0x29, 0xe7, 0x15, 0x00, 0x25, 0x01, 0x81, 0x02,
                                   0x95, 0x01, 0x75, 0x08, 0x81, 0x01, 0x95, 0x05, 0x75, 0x01, 0x05,
                                   0x08, 0x19, 0x01, 0x29, 0x05, 0x91, 0x02, 0x95, 0x01, 0x75, 0x03,
                                   0x91, 0x01, 0x95, 0x06, 0x75, 0x08, 0x15, 0x00, 0x25, 0xff, 0x05,
                                   0x07, 0x19, 0x00, 0x29, 0xff, 0x81, 0x00, 0xc0};

static const uint8_t tablet[] = {/* QEMU's: three buttons, two positions, a wheel */
                                 0x05, 0x01, 0x09, 0x02, 0xa1, 0x01, 0x09, 0x01, 0xa1, 0x00, 0x05,
                                 0x09, 0x19, 0x01, 0x29, 0x03, 0x15, 0x00, 0x25, 0x01, 0x95, 0x03,
                                 0x75, 0x01, 0x81, 0x02, 0x95, 0x01, 0x75, 0x05, 0x81, 0x01, 0x05,
                                 0x01, 0x09, 0x30, 0x09, 0x31, 0x15, 0x00, 0x26, 0xff, 0x7f, 0x35,
                                 0x00, 0x46, 0xff, 0x7f, 0x75, 0x10, 0x95, 0x02, 0x81, 0x02, 0x05,
                                 0x01, 0x09, 0x38, 0x15, 0x81, 0x25, 0x7f, 0x35, 0x00, 0x45, 0x00,
                                 0x75, 0x08, 0x95, 0x01, 0x81, 0x06, 0xc0, 0xc0};

static const uint8_t many[] =
    {/* report 1: a bit for each key; report 2: media keys; globals pushed in between */
     0x05, 0x01, 0x09, 0x06, 0xa1, 0x01, 0x85, 0x01, 0x05, 0x07, 0x19, 0x00, 0x29, 0x9f, 0x15, 0x00,
     0x25, 0x01, 0x75, 0x01, 0x95, 0xa0, 0xa4, 0x81, 0x02, 0xc0, 0x05, 0x0c, 0x09, 0x01, 0xa1, 0x01,
     0x85, 0x02, 0x19, 0x00, 0x2a, 0x3c, 0x02, 0x26, 0x3c, 0x02, 0x75, 0x10, 0x95, 0x01, 0x81, 0x00,
     0xc0, 0xb4, 0x05, 0x01, 0x09, 0x06, 0xa1, 0x01, 0x09, 0x04, 0x95, 0x01, 0x81, 0x02, 0xc0};

static struct hid hid;
static struct hid_input input;
static char told[512];

static void emit(void *context, uint16_t type, uint16_t code, int32_t value)
{
    (void)context;
    size_t used = strlen(told);
    snprintf(told + used, sizeof(told) - used, "%u:%u:%d ", type, code, value);
}

static int64_t parse(const void *bytes, size_t length)
{
    uint8_t *copy = malloc(length + !length);
    memcpy(copy, bytes, length);
    int64_t result = hid_parse(copy, length, &hid);
    free(copy);
    return result;
}

static void start(const void *bytes, size_t length)
{
    hid_input_destroy(&input);
    CHECK_EQUAL(parse(bytes, length), 0);
    CHECK_EQUAL(hid_input_create(&input, &hid), 0);
    hid_destroy(&hid);
}

static const char *report(const void *bytes, size_t length)
{
    uint8_t *copy = malloc(length + !length);
    memcpy(copy, bytes, length);
    told[0] = '\0';
    hid_input_report(&input, copy, length, emit, NULL);
    free(copy);
    return told;
}

#define START(bytes) start(bytes, sizeof(bytes))
#define REPORT(...)  report((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

TEST(a_keyboard)
{
    START(keyboard);
    CHECK_STRING(REPORT(0, 0, 4, 0, 0, 0, 0, 0), "1:30:1 0:0:0 ");
    CHECK_STRING(REPORT(0, 0, 4, 0, 0, 0, 0, 0), "");
    CHECK_STRING(REPORT(2, 0, 4, 5, 0, 0, 0, 0), "1:42:1 1:48:1 0:0:0 "); /* shift before the key */
    CHECK_STRING(REPORT(0, 0, 6, 0, 0, 0, 0, 0), "1:30:0 1:42:0 1:48:0 1:46:1 0:0:0 ");
    CHECK_STRING(REPORT(0, 0, 1, 1, 1, 1, 1, 1), ""); /* too many keys: nothing is known */
    CHECK_STRING(REPORT(0, 0, 0, 0, 0, 0, 0, 0), "1:46:0 0:0:0 ");
    CHECK_STRING(REPORT(1), "1:29:1 0:0:0 "); /* a short report lets go of what it does not name */
    CHECK_STRING(report("", 0), "1:29:0 0:0:0 ");
}

TEST(its_lights)
{
    uint8_t bytes[HID_REPORT_MAX];
    START(keyboard);
    CHECK_EQUAL(hid_input_lights(&input, INPUT_LED_CAPS | INPUT_LED_SCROLL, bytes), 1);
    CHECK_EQUAL(bytes[0], 6);
    CHECK_EQUAL(hid_input_lights(&input, INPUT_LED_NUM, bytes), 1);
    CHECK_EQUAL(bytes[0], 1);
    START(tablet);
    CHECK_EQUAL(hid_input_lights(&input, INPUT_LED_NUM, bytes), 0);
}

TEST(a_tablet)
{
    START(tablet);
    CHECK_STRING(REPORT(0, 0, 0, 0xff, 0x7f, 0), "3:0:0 3:1:65535 0:0:0 ");
    CHECK_STRING(REPORT(0, 0, 0, 0xff, 0x7f, 0), ""); /* where it was */
    CHECK_STRING(REPORT(1, 0xff, 0x3f, 0, 0, 0xff), "3:0:32766 3:1:0 2:8:-1 1:272:1 0:0:0 ");
    CHECK_STRING(REPORT(6, 0, 0x80, 0, 0, 1),
                 "2:8:1 1:272:0 1:273:1 1:274:1 0:0:0 "); /* out of bounds: unchanged */
}

/* As the PenPartner's quirk has it read. */
static const char *pen_report(const struct hid_quirk *quirk, uint8_t bytes[7])
{
    quirk->amend(bytes, 7);
    return report(bytes, 7);
}

#define PEN(...) pen_report(quirk, (uint8_t[7]){__VA_ARGS__})

TEST(a_pen)
{
    const struct hid_quirk *quirk = hid_quirk_find(0x056a, 0x0000);
    CHECK(quirk && !hid_quirk_find(0x056a, 0x0001) && !hid_quirk_find(0x0627, 0x0000));
    start(quirk->descriptor, quirk->length);
    CHECK(input.numbered);
    CHECK_STRING(PEN(2, 0, 0, 0xc4, 0x0e, 0, 0x81),
                 "3:0:0 3:1:65535 0:0:0 "); /* -127: in the air */
    CHECK_STRING(PEN(2, 0xb0, 0x13, 0, 0, 0, 0), "3:0:65535 3:1:0 1:272:1 0:0:0 ");
    CHECK_STRING(PEN(2, 0xb0, 0x13, 0, 0, 0, 0xb0), "1:272:0 0:0:0 "); /* -80: hardly */
    CHECK_STRING(PEN(2, 0xb0, 0x13, 0, 0, 0x40, 0x81), "1:273:1 0:0:0 ");
    CHECK_STRING(PEN(2, 0xb0, 0x13, 0, 0, 0x20, 0x7f), "1:273:0 1:274:1 0:0:0 ");
    CHECK_STRING(PEN(2, 0xb0, 0x13, 0, 0, 0x01, 0x81),
                 "1:274:0 0:0:0 ");             /* the tip's bit is ours */
    CHECK_STRING(PEN(1, 1, 0, 0, 0, 0, 0), ""); /* of another mode */
    uint8_t brief[] = {2, 0xb0, 0x13};
    quirk->amend(brief, sizeof(brief));
    CHECK_STRING(report(brief, sizeof(brief)), "");
}

TEST(all_keys_at_once)
{
    uint8_t bytes[21] = {1};
    START(many);
    memset(bytes + 1, 0xff, 20);
    report(bytes, sizeof(bytes));
    unsigned down = 0;
    for (const char *at = told; (at = strstr(at, ":1 ")); at++)
        down++;
    CHECK(down >= 30);
    bytes[1] = 0xef; /* all but A */
    CHECK_STRING(report(bytes, sizeof(bytes)), "1:30:0 0:0:0 ");
    CHECK_STRING(REPORT(2, 0xe9, 0), ""); /* held by the other report already */
    CHECK_STRING(REPORT(2, 0x23, 2), "1:172:1 0:0:0 ");
    CHECK_STRING(REPORT(2, 0, 0), "1:172:0 0:0:0 ");
    CHECK_STRING(REPORT(3, 1, 1), "");
}

TEST(push_and_pop)
{
    CHECK_EQUAL(parse(many, sizeof(many)), 0);
    CHECK(hid.numbered);
    CHECK_EQUAL(hid.field_count, 3);
    CHECK_EQUAL(hid.fields[2].report, 1); /* as before the push */
    CHECK_EQUAL(hid.fields[2].offset, 160);
    CHECK_EQUAL(hid.fields[2].most, 1);
    CHECK_EQUAL(hid_report_length(&hid, HID_INPUT, 1), 22);
    CHECK_EQUAL(hid_report_length(&hid, HID_INPUT, 3), 0);
    hid_destroy(&hid);
}

TEST(signs)
{
    static const uint8_t said[] = {0xa1, 1,  0x16, 0, 0xf8, 0x26, 0xff, 7,
                                   0x75, 12, 0x95, 2, 0x81, 6,    0xc0};
    static const uint8_t bytes[] = {0xff, 0x0f, 0x80, 0};
    int64_t value;
    CHECK_EQUAL(parse(said, sizeof(said)), 0);
    CHECK(hid_value(&hid.fields[0], 0, bytes, 3, &value));
    CHECK_EQUAL(value, -1);
    CHECK(hid_value(&hid.fields[0], 1, bytes, 3, &value));
    CHECK_EQUAL(value, -2048);
    CHECK(!hid_value(&hid.fields[0], 1, bytes, 2, &value));
    CHECK(!hid_value(&hid.fields[0], 2, bytes, 4, &value));
    CHECK_EQUAL(hid_field_usage(&hid, &hid.fields[0], 0), 0);
    hid_destroy(&hid);
}

#define REFUSED(...)                                                                           \
    CHECK_EQUAL(parse((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})), \
                -E_BAD_FORMAT)

TEST(what_is_refused)
{
    REFUSED(0xa1, 1);                   /* a collection that does not end */
    REFUSED(0xc0);                      /* one that did not begin */
    REFUSED(0x75, 8, 0x95, 1, 0x81, 2); /* a field outside of any */
    REFUSED(0xa1);                      /* an item that is cut off */
    REFUSED(0xfe, 4, 0, 1);             /* a long one, too */
    REFUSED(0xb4);                      /* popped, but not pushed */
    REFUSED(0x85, 0);                   /* the id that means none */
    REFUSED(0x19, 5, 0x29, 4);          /* a range backwards */
    REFUSED(0x29, 4);                   /* ... without a beginning */
    REFUSED(0xa1, 1, 0x75, 32, 0x96, 0x01, 0x04, 0x81, 2, 0xc0); /* 1025 words */
    REFUSED(0xa1, 1, 0x77, 0xff, 0xff, 0xff, 0xff, 0x97, 0xff, 0xff, 0xff, 0xff, 0x81, 2, 0xc0);
    CHECK_EQUAL(parse("", 0), 0); /* nothing is no error: a device without controls */
    hid_destroy(&hid);
}
