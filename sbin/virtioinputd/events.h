/* What a virtio-input device says (Virtual I/O Device 1.2, 5.8), as input:// wants it. Pure.
 *
 * Types and codes are evdev's on both sides. A device has told beforehand which codes it has; others are dropped, so whatever
 * it says is within the bounds of abi/input.h. Positions are scaled to INPUT_ABS_MAX.
 */
#pragma once

#include "abi/input.h"
#include "lib/base/base.h"

#define EVENTS_AXES 64u
#define EVENTS_BITS (INPUT_KEYS / 8) /* bytes; no type has more codes */

/* In the device's memory. */
struct events_event {
    uint16_t type, code;
    uint32_t value;
};

struct events {
    uint8_t keys[EVENTS_BITS], movements[EVENTS_BITS], positions[EVENTS_BITS], lights[EVENTS_BITS];
    struct {
        int32_t least, most;
    } axes[EVENTS_AXES]; /* of positions */
};

/* False: nothing for input://. */
MUST_CHECK bool events_translate(const struct events *events, const struct events_event *said,
                                 struct input_event *event);

#define EVENTS_LIGHTS 3u

/* The events that show these lights (INPUT_LED_*), of those that the device has; how many, at most EVENTS_LIGHTS. */
MUST_CHECK uint32_t events_lights(const struct events *events, uint32_t mask,
                                  struct events_event *said);
