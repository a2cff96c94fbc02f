/* A report descriptor, and reports by it: the first two bytes say how long the descriptor is. */
// sources: lib/usb/hid.c lib/usb/hid_input.c lib/usb/hid_keys.c
#include <stdlib.h>
#include <string.h>

#include "lib/usb/hid_input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t down[INPUT_KEYS];

static void check(bool condition)
{
    if (!condition)
        abort();
}

/* A key goes down that was up, and the other way round: whatever is said. */
static void emit(void *context, uint16_t type, uint16_t code, int32_t value)
{
    (void)context;
    switch (type) {
    case INPUT_KEY:
        check(code && code < INPUT_KEYS && down[code] == !value);
        down[code] = (uint8_t)value;
        break;
    case INPUT_REL:
        check(code <= INPUT_REL_WHEEL);
        break;
    case INPUT_ABS:
        check(code <= INPUT_ABS_Y && value >= 0 && value <= INPUT_ABS_MAX);
        break;
    default:
        check(type == INPUT_SYNC && code == 0 && value == 0);
    }
}

static uint8_t *copy_of(const uint8_t *bytes, size_t length)
{
    uint8_t *copy = malloc(length + !length);
    if (length)
        memcpy(copy, bytes, length);
    return copy;
}

static void reports(struct hid_input *input, const uint8_t *data, size_t size)
{
    while (size) {
        size_t length = MIN((size_t)(data[0] % 32), size - 1);
        uint8_t *report = copy_of(data + 1, length);
        hid_input_report(input, report, length, emit, NULL);
        free(report);
        data += 1 + length;
        size -= 1 + length;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hid hid;
    struct hid_input input;
    static uint8_t lights[HID_REPORT_MAX + 1];
    if (size < 2)
        return 0;
    size_t length = MIN((size_t)(data[0] | data[1] << 8) % 512, size - 2);
    uint8_t *descriptor = copy_of(data + 2, length);
    if (hid_parse(descriptor, length, &hid) >= 0) {
        memset(down, 0, sizeof(down));
        check(hid_input_create(&input, &hid) >= 0);
        for (uint32_t i = 0; i < hid.field_count; i++)
            check((hid.fields[i].offset + (uint64_t)hid.fields[i].count * hid.fields[i].size) <=
                  HID_REPORT_MAX * 8);
        reports(&input, data + 2 + length, size - 2 - length);
        check(hid_input_lights(&input, data[0], lights) <= HID_REPORT_MAX + 1);
        hid_input_destroy(&input);
        hid_destroy(&hid);
    }
    free(descriptor);
    return 0;
}
