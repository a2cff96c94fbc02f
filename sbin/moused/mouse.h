/* A PS/2 mouse (IBM PS/2 Technical Reference, Mouse; Microsoft's IntelliMouse and Explorer extensions). Pure: bytes in, bytes
 * and events out, no device and no time of its own.
 *
 *     mouse_reset(&mouse)                     begins, or begins again; what to send is in mouse.send
 *     mouse_byte(&mouse, byte, now)           what the mouse said; MOUSE_MOVED: mouse.packet is new
 *     mouse_send_next(&mouse)                 the byte to send now, or -1: waiting for an answer, or at work
 *     mouse_late(&mouse, now)                 an answer did not come
 *
 *     RESET --fa aa 00--> PROBE (rates 200 100 80, id 3?; 200 200 80, id 4?) --> SETTING (rate, scale, on) --> STREAMING
 *       ^--- no answer, nonsense, or "aa 00" at any time (it was plugged in): from the start ------------------------|
 */
#pragma once

#include "lib/base/base.h"

#define MOUSE_SCRIPT 24u

struct mouse_packet {
    int16_t x, y;    /* counts; y grows downwards */
    int8_t wheel;    /* positive: away from the user */
    uint8_t buttons; /* bit 0 left, right, middle, side, extra */
};

enum mouse_said { MOUSE_NOTHING, MOUSE_MOVED, MOUSE_READY };

struct mouse {
    uint8_t id; /* 0 plain, 3 with wheel, 4 with five buttons */
    bool streaming;
    uint8_t step;     /* in the script */
    bool sent;        /* the step's byte is on its way */
    uint8_t answers;  /* bytes of it that came */
    int64_t since;    /* when the last byte was sent or came */
    uint8_t bytes[4]; /* of a packet */
    uint8_t count;
    uint8_t last; /* byte while streaming: "aa 00" */
    struct mouse_packet packet;
};

#define MOUSE_PATIENCE (INT64_C(1000) * 1000 * 1000) /* for an answer */
#define MOUSE_GAP      (INT64_C(500) * 1000 * 1000)  /* within a packet */

void mouse_reset(struct mouse *mouse);
int mouse_send_next(struct mouse *mouse, int64_t now);
MUST_CHECK enum mouse_said mouse_byte(struct mouse *mouse, uint8_t byte, int64_t now);
/* Whether it waits for an answer, and that is overdue; then it begins again. */
MUST_CHECK bool mouse_late(struct mouse *mouse, int64_t now);
