/* What keys mean: modifiers, locks, dead keys and repeating, of all keyboards as one. Pure: no device and no clock of its own.
 *
 *     keys_event(&keys, &event)     an event as a driver tells it; true: symbol and modifiers are filled in, hand it on
 *     keys_repeat(&keys, now, &event)   at keys.repeat_at: the key held longest of those pressed last
 *
 *     dead key --> waiting --a symbol--> composed, or that symbol alone
 *     compose  --> waiting --x, y------> what `x as accent` and y, or y as accent and x, make; else nothing
 */
#pragma once

#include "abi/input.h"
#include "sbin/inputd/keymap.h"

struct keys {
    const struct keymap *map;
    uint32_t modifiers, locks; /* held; INPUT_CAPS, INPUT_NUM */
    uint32_t dead;             /* combining character of a dead key, or 0 */
    uint32_t composing;        /* 1: behind the compose key; else its first symbol */
    struct input_event held;   /* what repeats; value 0: nothing does */
    int64_t repeat_at;
};

#define KEYS_REPEAT_DELAY  (INT64_C(400) * 1000 * 1000)
#define KEYS_REPEAT_PERIOD (INT64_C(33) * 1000 * 1000)

/* down: every key of any device, a bit each, with this event already in it. */
void keys_event(struct keys *keys, const uint8_t *down, struct input_event *event);
/* True: *event is the repetition that is due now. */
MUST_CHECK bool keys_repeat(struct keys *keys, int64_t now, struct input_event *event);
int64_t keys_deadline(const struct keys *keys);
/* INPUT_LED_* */
uint32_t keys_lights(const struct keys *keys);
