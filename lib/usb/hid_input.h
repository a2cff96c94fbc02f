/* A HID device's reports as events of input:// (abi/input.h), and the lights of a keyboard. Pure.
 *
 *     hid_input_create(&input, &hid)                        what of the reports is to be looked at; hid is needed no longer
 *     hid_input_report(&input, bytes, length, emit, context)
 *     hid_input_lights(&input, INPUT_LED_CAPS, bytes)       the report that shows them
 *
 * A report says what is held, not what changed; what is emitted are the changes, the packet ends with INPUT_SYNC. Keys are those
 * of arrays (six at a time) and of bitmaps (all). A report that says too many keys are down (rollover) changes none.
 * Movements are emitted as they come, positions when they change, scaled to INPUT_ABS_MAX.
 */
#pragma once

#include "abi/input.h"
#include "lib/usb/hid.h"

struct hid_control;

struct hid_input {
    struct hid_control *controls;
    uint32_t control_count;
    bool numbered;
    uint16_t holder[INPUT_KEYS]; /* the id of the report that holds a key down, + 1; 0: it is up */
    uint8_t now[INPUT_KEYS / 8]; /* while a report is read: the keys it holds */
    uint16_t order[INPUT_KEYS];  /* ... as they come in it */
    uint32_t now_count;
    uint8_t lights_report;  /* its id */
    uint32_t lights_length; /* of the report, bytes; 0: no lights */
    struct {
        uint32_t mask, bit; /* bit: in the report */
    } lights[3];
    uint32_t light_count;
};

typedef void hid_emit(void *context, uint16_t type, uint16_t code, int32_t value);

/* 0 or -E_NO_MEMORY. No controls: it is not a device for input://. */
MUST_CHECK int64_t hid_input_create(struct hid_input *input, const struct hid *hid);
void hid_input_destroy(struct hid_input *input);

/* One report, with its id where reports have one. */
void hid_input_report(struct hid_input *input, const uint8_t *bytes, size_t length, hid_emit *emit,
                      void *context);

/* Into bytes (HID_REPORT_MAX): the output report that lights these; its length, 0: the device has no lights. */
uint32_t hid_input_lights(const struct hid_input *input, uint32_t mask, uint8_t *bytes);
