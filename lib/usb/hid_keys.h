/* What usages are called on input:// (HID Usage Tables 1.12; evdev's codes). */
#pragma once

#include "lib/base/base.h"

#define HID_PAGE_DESKTOP   0x01u
#define HID_PAGE_KEYBOARD  0x07u
#define HID_PAGE_LEDS      0x08u
#define HID_PAGE_BUTTONS   0x09u
#define HID_PAGE_CONSUMER  0x0cu
#define HID_PAGE_DIGITIZER 0x0du

#define HID_USAGE(page, id) ((uint32_t)(page) << 16 | (id))

#define HID_X        HID_USAGE(HID_PAGE_DESKTOP, 0x30)
#define HID_Y        HID_USAGE(HID_PAGE_DESKTOP, 0x31)
#define HID_WHEEL    HID_USAGE(HID_PAGE_DESKTOP, 0x38)
#define HID_PAN      HID_USAGE(HID_PAGE_CONSUMER, 0x238)
#define HID_ROLLOVER HID_USAGE(HID_PAGE_KEYBOARD, 0x01) /* and the two errors behind it */
#define HID_LED_NUM  HID_USAGE(HID_PAGE_LEDS, 0x01)     /* and caps, scroll */

/* The code of a key or button (INPUT_KEY); 0: it is none. */
uint16_t hid_key(uint32_t usage);
