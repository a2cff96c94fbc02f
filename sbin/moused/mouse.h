/* A PS/2 mouse (IBM PS/2 Technical Reference, Mouse; Microsoft's IntelliMouse and Explorer extensions). Pure: bytes in, bytes
 * and events out, no device and no time of its own.
 *
 *     mouse_reset(&mouse)                     begins, or begins again
 *     mouse_send_next(&mouse, now)            the byte to send now, or -1: waiting for an answer, at work, or silent
 *     mouse_byte(&mouse, byte, now)           what the mouse said; MOUSE_MOVED: mouse.packet is new
 *     mouse_deadline(&mouse), mouse_expire    an answer did not come
 *
 *     ASKING: reset, fa aa 00; rates 200 100 80, id 3?; 200 200 80, id 4?; rate, scale, on --answered--> STREAMING
 *       ^---- nonsense, or "aa 00" (it was plugged in): from the start --------------------------------------|
 *       |---- MOUSE_TRIES times no answer in time --> SILENT --any byte, or MOUSE_PAUSE later--> ASKING
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
enum mouse_state { MOUSE_ASKING, MOUSE_STREAMING, MOUSE_SILENT };

struct mouse {
    uint8_t id; /* 0 plain, 3 with wheel, 4 with five buttons */
    enum mouse_state state;
    uint8_t tries;    /* that ended without an answer */
    uint8_t step;     /* in the script */
    bool sent;        /* the step's byte is on its way */
    uint8_t answers;  /* bytes of it that came */
    int64_t since;    /* when the last byte was sent or came, or it became silent */
    uint8_t bytes[4]; /* of a packet */
    uint8_t count;
    uint8_t last; /* byte while streaming: "aa 00" */
    struct mouse_packet packet;
};

#define MOUSE_PATIENCE (INT64_C(1000) * 1000 * 1000)      /* for an answer */
#define MOUSE_PAUSE    (INT64_C(60) * 1000 * 1000 * 1000) /* until a silent one is asked again */
#define MOUSE_GAP      (INT64_C(500) * 1000 * 1000)       /* within a packet */
#define MOUSE_TRIES    3u

void mouse_reset(struct mouse *mouse);
int mouse_send_next(struct mouse *mouse, int64_t now);
MUST_CHECK enum mouse_said mouse_byte(struct mouse *mouse, uint8_t byte, int64_t now);
/* When it is to be expired; INT64_MAX: nothing is waited for. */
int64_t mouse_deadline(const struct mouse *mouse);
/* True: it has just become silent. */
MUST_CHECK bool mouse_expire(struct mouse *mouse, int64_t now);
