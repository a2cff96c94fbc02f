/* serial://: drivers of serial lines; tty:// serves the terminals on them (docs/terminal.md).
 *
 * A driver opens serial:///<name>/<life> (OPEN_READ | OPEN_WRITE): the name says where its device is and is the same when that comes
 * back (1-2:0); the life, in hexadecimal, tells one of the driver's from the next. Its terminal is tty:///usb<number>. Once nobody has
 * opened it for some seconds, or the driver says SERIAL_GONE, the terminal is hung up.
 *
 * What the line received is written (OP_WRITE) as units of uint16_t, numbered from 0 in each life: the offset is the number of the first
 * times the size of one, so what is sent twice, because one of the two came back from a crash, counts once. The command waits while the
 * terminal has no room; the value is how many bytes were taken, of at least one unit.
 *
 * SERIAL_NEXT says what was done and waits for something to do. Bytes to be sent are numbered, too: until the driver says that they
 * are sent they stay the terminal's, and a driver that comes back is given them again.
 */
#pragma once

#include <stdint.h>

#include "abi/ops.h"

enum serial_op {
    SERIAL_GONE =
        OP_PROTOCOL, /* the device is: the terminal is hung up, its file answers E_CLOSED from now on */
    SERIAL_NEXT =
        OP_PROTOCOL_REPLAY, /* args: number behind the last byte sent, the settings in force, settings that the
                                       * device cannot have (0: none); out: struct serial_order, bytes; value: how long all is */
};

/* What is to be done now: the line is to be set so, then the bytes behind this are to be sent. */
struct serial_order {
    uint64_t at;       /* number of the first byte */
    uint64_t settings; /* SERIAL_* */
};

/* Settings, none of which is 0: bauds in the low 32 bits, and */
#define SERIAL_BITS   (UINT64_C(0xf) << 32) /* data bits, 5 to 8 */
#define SERIAL_STOP_2 (UINT64_C(1) << 36)
#define SERIAL_PARITY (UINT64_C(1) << 37)
#define SERIAL_ODD    (UINT64_C(1) << 38)
#define SERIAL_RTS_CTS \
    (UINT64_C(1) << 39) /* the device stops sending while CTS is down, and its peer by RTS */
#define SERIAL_DTR   (UINT64_C(1) << 40)
#define SERIAL_RTS   (UINT64_C(1) << 41)
#define SERIAL_BREAK (UINT64_C(1) << 42) /* as long as it stands there */

#define SERIAL_BITS_SHIFT 32

/* Units: what happened, and in the low bits to which byte. */
#define SERIAL_RECEIVED 0x0000u
#define SERIAL_DAMAGED  0x1000u /* by a wrong parity bit, framing, or bytes lost before it */
#define SERIAL_BROKEN   0x2000u /* a break; no byte */
#define SERIAL_LINES    0x3000u /* the other side's lines are so from now on: TTY_MODEM_* */
#define SERIAL_UNIT     0xf000u
