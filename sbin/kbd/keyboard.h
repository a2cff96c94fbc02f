/* A PS/2 keyboard at work: scan codes to events, and commands that it acknowledges byte by byte.
 *
 *     keyboard_start          before interrupts are on: reset, scan code set 2, scanning
 *     keyboard_byte           each byte that comes afterwards: a key, or an answer
 *     keyboard_lights         ED, mask: sent when what was sent before is acknowledged
 *     keyboard_deadline/expired   an acknowledgement that does not come ends the command; the next one is sent
 *
 * A keyboard that says AA by itself was just plugged in: it is set up again.
 */
#pragma once

#include "lib/input/driver.h"
#include "sbin/kbd/controller.h"
#include "sbin/kbd/scancode.h"

#define KEYBOARD_COMMANDS 16u

struct keyboard {
    const struct controller *controller;
    struct input_driver *input;
    struct scancode scancode;
    uint8_t commands[KEYBOARD_COMMANDS]; /* bytes to send; the first is on its way */
    uint32_t command_count;
    uint32_t tries; /* of the first */
    int64_t due;    /* when its acknowledgement is overdue */
    uint32_t mask;  /* of lights */
};

/* False: nothing there that answers as a keyboard does. */
MUST_CHECK bool keyboard_start(struct keyboard *keyboard, const struct controller *controller,
                               struct input_driver *input);
void keyboard_byte(struct keyboard *keyboard, uint8_t byte);
void keyboard_lights(struct keyboard *keyboard, uint32_t mask);
int64_t
keyboard_deadline(const struct keyboard *keyboard); /* DEADLINE_NEVER: nothing is on its way */
void keyboard_expired(struct keyboard *keyboard);
