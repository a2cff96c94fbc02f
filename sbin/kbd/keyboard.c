#include "sbin/kbd/keyboard.h"

#include <stdio.h>
#include <string.h>

#include "lib/sys/clock.h"
#include "lib/sys/syscall.h"

#define COMMAND_LIGHTS   0xed
#define COMMAND_SCANCODE 0xf0
#define COMMAND_ENABLE   0xf4
#define COMMAND_RESET    0xff

#define SAYS_PASSED       0xaa
#define SAYS_ACKNOWLEDGED 0xfa
#define SAYS_RESEND       0xfe
#define SAYS_OVERRUN      0x00 /* and 0xff: keys were lost */
#define SAYS_ERROR        0xff

#define PATIENCE (INT64_C(500) * 1000 * 1000)
#define RESET_MS 1000
#define TRIES    3u

static bool command(const struct keyboard *keyboard, uint8_t byte)
{
    return controller_ask(keyboard->controller, CONTROLLER_KEYBOARD, byte, NULL, 0, 0);
}

bool keyboard_start(struct keyboard *keyboard, const struct controller *controller,
                    struct input_driver *input)
{
    uint8_t passed = 0;
    *keyboard = (struct keyboard){.controller = controller, .input = input};
    if (!controller_ask(controller, CONTROLLER_KEYBOARD, COMMAND_RESET, &passed, 1, RESET_MS) ||
        passed != SAYS_PASSED)
        return false;
    return command(keyboard, COMMAND_SCANCODE) && command(keyboard, 2) &&
           command(keyboard, COMMAND_ENABLE);
}

/* The first command's byte goes out, until one does. */
static void send_first(struct keyboard *keyboard)
{
    while (keyboard->command_count &&
           !controller_send(keyboard->controller, CONTROLLER_KEYBOARD, keyboard->commands[0])) {
        keyboard->command_count = 0;
        fprintf(stderr, "the keyboard takes no commands\n");
    }
    keyboard->due = clock_monotonic() + PATIENCE;
}

static void push(struct keyboard *keyboard, const uint8_t *bytes, uint32_t count)
{
    bool idle = keyboard->command_count == 0;
    if (KEYBOARD_COMMANDS - keyboard->command_count < count)
        return; /* the last mask is sent when there is room: see done_first */
    memcpy(keyboard->commands + keyboard->command_count, bytes, count);
    keyboard->command_count += count;
    if (idle) {
        keyboard->tries = 0;
        send_first(keyboard);
    }
}

static void done_first(struct keyboard *keyboard)
{
    keyboard->command_count--;
    memmove(keyboard->commands, keyboard->commands + 1, keyboard->command_count);
    keyboard->tries = 0;
    if (keyboard->command_count)
        send_first(keyboard);
}

void keyboard_lights(struct keyboard *keyboard, uint32_t mask)
{
    keyboard->mask = mask & (INPUT_LED_SCROLL | INPUT_LED_NUM | INPUT_LED_CAPS);
    push(keyboard, (uint8_t[]){COMMAND_LIGHTS, (uint8_t)keyboard->mask}, 2);
}

/* It was plugged in, or reset itself. */
static void set_up_again(struct keyboard *keyboard)
{
    keyboard->command_count = 0;
    keyboard->scancode = (struct scancode){0};
    input_driver_emit(keyboard->input, INPUT_SYNC, 0, 1);
    push(keyboard,
         (uint8_t[]){COMMAND_SCANCODE, 2, COMMAND_LIGHTS, (uint8_t)keyboard->mask, COMMAND_ENABLE},
         5);
}

/* A command that fails takes its arguments with it. */
static void give_up(struct keyboard *keyboard)
{
    fprintf(stderr, "the keyboard does not acknowledge %02x\n", keyboard->commands[0]);
    keyboard->command_count = 0;
}

static void send_again(struct keyboard *keyboard)
{
    if (++keyboard->tries < TRIES)
        send_first(keyboard);
    else
        give_up(keyboard);
}

static void key_byte(struct keyboard *keyboard, uint8_t byte)
{
    struct scancode_key key;
    if (!scancode_decode(&keyboard->scancode, byte, &key))
        return;
    input_driver_emit(keyboard->input, INPUT_KEY, key.code, key.down);
    input_driver_emit(keyboard->input, INPUT_SYNC, 0, 0);
}

void keyboard_byte(struct keyboard *keyboard, uint8_t byte)
{
    switch (byte) {
    case SAYS_ACKNOWLEDGED:
        if (keyboard->command_count)
            done_first(keyboard);
        return;
    case SAYS_RESEND:
        if (keyboard->command_count)
            send_again(keyboard);
        return;
    case SAYS_PASSED:
        set_up_again(keyboard);
        return;
    case SAYS_OVERRUN:
    case SAYS_ERROR: /* releases may be among what was lost */
        keyboard->scancode = (struct scancode){0};
        input_driver_emit(keyboard->input, INPUT_SYNC, 0, 1);
        return;
    default:
        key_byte(keyboard, byte);
    }
}

int64_t keyboard_deadline(const struct keyboard *keyboard)
{
    return keyboard->command_count ? keyboard->due : DEADLINE_NEVER;
}

void keyboard_expired(struct keyboard *keyboard)
{
    if (keyboard->command_count && clock_monotonic() >= keyboard->due)
        send_again(keyboard);
}
