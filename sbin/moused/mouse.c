#include "sbin/moused/mouse.h"

#define RESOLUTION 0xe8
#define GET_ID     0xf2
#define RATE       0xf3
#define ENABLE     0xf4
#define RESET      0xff

#define ACKNOWLEDGED 0xfa
#define PASSED       0xaa

#define FIRST_BUTTONS 0x07
#define ALWAYS        0x08 /* in a packet's first byte */
#define X_NEGATIVE    0x10
#define Y_NEGATIVE    0x20
#define OVERFLOW      0xc0

/* What is sent, and how many bytes come back behind the acknowledgement. The knocks at the door of each extension are its
 * three rates; whoever is not it takes them for rates. */
static const struct {
    uint8_t byte, answers;
} script[] = {
    {RESET, 2},  {RATE, 0}, {200, 0}, {RATE, 0},       {100, 0}, {RATE, 0},   {80, 0},
    {GET_ID, 1}, {RATE, 0}, {200, 0}, {RATE, 0},       {200, 0}, {RATE, 0},   {80, 0},
    {GET_ID, 1}, {RATE, 0}, {100, 0}, {RESOLUTION, 0}, {3, 0},   {ENABLE, 0},
};

void mouse_reset(struct mouse *mouse)
{
    *mouse = (struct mouse){0};
}

int mouse_send_next(struct mouse *mouse, int64_t now)
{
    if (mouse->state != MOUSE_ASKING || mouse->sent)
        return -1;
    mouse->sent = true;
    mouse->answers = 0;
    mouse->since = now;
    return script[mouse->step].byte;
}

/* A byte of an answer; false: not what was asked for, or nothing was. */
static bool answer(struct mouse *mouse, uint8_t byte)
{
    uint8_t index = mouse->answers++;
    if (index == 0)
        return byte == ACKNOWLEDGED;
    if (script[mouse->step].byte == RESET)
        return byte == (index == 1 ? PASSED : 0);
    mouse->id = byte == 3 || byte == 4 ? byte : 0;
    return true;
}

static enum mouse_said setup_byte(struct mouse *mouse, uint8_t byte)
{
    if (!mouse->sent || !answer(mouse, byte)) {
        mouse_reset(mouse);
        return MOUSE_NOTHING;
    }
    if (mouse->answers <= script[mouse->step].answers)
        return MOUSE_NOTHING;
    mouse->sent = false;
    mouse->tries = 0;
    if (++mouse->step < ARRAY_SIZE(script))
        return MOUSE_NOTHING;
    mouse->state = MOUSE_STREAMING;
    return MOUSE_READY;
}

static int16_t movement(uint8_t low, bool negative)
{
    return (int16_t)(low - (negative ? 256 : 0));
}

static void packet_read(struct mouse *mouse)
{
    const uint8_t *bytes = mouse->bytes;
    struct mouse_packet packet = {.buttons = bytes[0] & FIRST_BUTTONS};
    if (!(bytes[0] & OVERFLOW)) {
        packet.x = movement(bytes[1], bytes[0] & X_NEGATIVE);
        packet.y = (int16_t)-movement(bytes[2], bytes[0] & Y_NEGATIVE);
    }
    if (mouse->id == 3)
        packet.wheel = (int8_t) - (int8_t)bytes[3];
    if (mouse->id == 4) {
        int wheel = bytes[3] & 0x0f;
        packet.wheel = (int8_t)(wheel & 8 ? 16 - wheel : -wheel);
        packet.buttons |= (uint8_t)(bytes[3] >> 1 & 0x18);
    }
    mouse->packet = packet;
}

enum mouse_said mouse_byte(struct mouse *mouse, uint8_t byte, int64_t now)
{
    int64_t gap = now - mouse->since;
    mouse->since = now;
    if (mouse->state != MOUSE_STREAMING)
        return setup_byte(mouse, byte);

    uint8_t last = mouse->last;
    mouse->last = byte;
    if (mouse->count <= 1 && last == PASSED && byte == 0) { /* "aa" alone could begin a packet */
        mouse_reset(mouse);
        return MOUSE_NOTHING;
    }
    if (gap > MOUSE_GAP)
        mouse->count = 0;
    if (mouse->count == 0 && !(byte & ALWAYS))
        return MOUSE_NOTHING; /* out of step: until a byte that can be the first */
    mouse->bytes[mouse->count++] = byte;
    if (mouse->count < (mouse->id ? 4 : 3))
        return MOUSE_NOTHING;
    mouse->count = 0;
    packet_read(mouse);
    return MOUSE_MOVED;
}

int64_t mouse_deadline(const struct mouse *mouse)
{
    if (mouse->state == MOUSE_SILENT)
        return mouse->since + MOUSE_PAUSE;
    return mouse->state == MOUSE_ASKING && mouse->sent ? mouse->since + MOUSE_PATIENCE : INT64_MAX;
}

bool mouse_expire(struct mouse *mouse, int64_t now)
{
    uint8_t tries = mouse->state == MOUSE_SILENT ? 0 : mouse->tries + 1;
    if (now < mouse_deadline(mouse))
        return false;
    mouse_reset(mouse);
    mouse->tries = tries;
    if (tries < MOUSE_TRIES)
        return false;
    mouse->state = MOUSE_SILENT;
    mouse->since = now;
    return true;
}
