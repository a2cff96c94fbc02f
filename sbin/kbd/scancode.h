/* Scan code set 2 to key events: what a PS/2 keyboard says (IBM PS/2 Technical Reference, Keyboards). Pure. */
#pragma once

#include "lib/base/base.h"

struct scancode {
    uint8_t prefix; /* 0, 0xe0, or 0xe1: of Pause */
    uint8_t skip;   /* bytes of Pause that say nothing new */
    bool release;   /* behind 0xf0 */
};

struct scancode_key {
    uint16_t code; /* evdev's */
    bool down;
};

/* The next byte; true: it completes *key. Unknown codes, and shifts that a keyboard makes up, complete nothing. */
MUST_CHECK bool scancode_decode(struct scancode *scancode, uint8_t byte, struct scancode_key *key);
