/* HID devices that do not say what their reports mean: what is known of them all the same. Pure.
 *
 *     quirk = hid_quirk_find(vendor, product)           NULL: it says so itself
 *     hid_parse(quirk->descriptor, quirk->length, &hid) in place of its own
 *     the feature report `mode` is set, the input report `report` asked for once
 *     quirk->amend(bytes, length)                       each report, before it is read
 */
#pragma once

#include "lib/base/base.h"

#define HID_QUIRK_MODE_SIZE 2u

struct hid_quirk {
    uint16_t vendor, product;
    uint16_t length;                   /* of the descriptor */
    uint8_t report, report_length;     /* what it sends in the mode: id, bytes with it */
    uint8_t mode[HID_QUIRK_MODE_SIZE]; /* its id first */
    const uint8_t *descriptor;         /* of reports as they are when they were amended */
    void (*amend)(uint8_t *bytes, size_t length);
};

const struct hid_quirk *hid_quirk_find(uint16_t vendor, uint16_t product);
