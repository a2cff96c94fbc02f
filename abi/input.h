/* input://: keyboards and pointers, merged; for their drivers and for who is typed to.
 *
 * A driver opens input:///device/<name>/<id> (OPEN_READ | OPEN_WRITE; the id tells one life of the driver from the next) and
 * writes events. Its events are numbered from 0: OP_WRITE's offset is the number of the first times the size of an
 * event, so what is sent twice, because one of the two came back from a crash, counts once. OP_READ answers, when they
 * change, with the lights that are to be lit: an event EV_LED whose code is 0 and whose value is the mask of
 * INPUT_LED_*; args[0] is the mask the driver has shown last. Closing the file releases every key the device holds down.
 *
 * A subscriber opens input:///events (OPEN_READ) and reads events at offsets: numbers again, times the size. INPUT_END
 * says where the stream is now. Events go on for ever; the last INPUT_QUEUE can be read, an older offset is answered
 * from the oldest that is there. The value is the offset behind the last event read. A subscriber gets events while it has the focus: the
 * last that took it (INPUT_FOCUS) and has not closed its file; until anybody does, everyone gets them.
 *
 * Types, codes and key numbers are those of Linux's evdev (linux/input-event-codes.h).
 */
#pragma once

#include <stdint.h>

#include "abi/ops.h"

enum input_type {
    INPUT_SYNC = 0,  /* EV_SYN: what came since the last one belongs together */
    INPUT_KEY = 1,   /* value: 0 up, 1 down, 2 repeated */
    INPUT_REL = 2,   /* value: how far */
    INPUT_ABS = 3,   /* value: 0 to INPUT_ABS_MAX */
    INPUT_LED = 0x11 /* to drivers */
};

#define INPUT_ABS_MAX 65535

enum input_code {
    INPUT_REL_X = 0,
    INPUT_REL_Y = 1,
    INPUT_REL_HWHEEL = 6,
    INPUT_REL_WHEEL = 8, /* positive: away from the user */
    INPUT_ABS_X = 0,
    INPUT_ABS_Y = 1,
    INPUT_BUTTON_LEFT = 0x110,
    INPUT_BUTTON_RIGHT,
    INPUT_BUTTON_MIDDLE,
    INPUT_BUTTON_SIDE,
    INPUT_BUTTON_EXTRA,
};

#define INPUT_KEYS 0x300u /* key and button codes are below */

#define INPUT_LED_SCROLL 0x1u
#define INPUT_LED_NUM    0x2u
#define INPUT_LED_CAPS   0x4u

#define INPUT_SHIFT   0x01u
#define INPUT_ALTGR   0x02u
#define INPUT_CONTROL 0x04u
#define INPUT_ALT     0x08u
#define INPUT_META    0x10u
#define INPUT_CAPS    0x20u /* locked */
#define INPUT_NUM     0x40u /* locked */

struct input_event {
    int64_t time; /* ns, CLOCK_MONOTONIC */
    uint16_t type, code;
    int32_t value;
    uint32_t
        symbol; /* to subscribers: what a key means in the key map, a code point; 0: none of its own */
    uint32_t modifiers; /* to subscribers: INPUT_SHIFT, ... as they were */
};

#define INPUT_QUEUE 1024u

enum input_op {
    INPUT_END = OP_PROTOCOL, /* value: the offset of the next event */
    INPUT_FOCUS,             /* this subscriber gets the events from now on */
    INPUT_KEYMAP,            /* in: the name of a key map (file initfs:///etc/keymaps/<name>) */
};
