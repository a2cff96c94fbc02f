/* tty://: what OP_CONTROL asks of a terminal. args[0] is the code (Linux's ioctl numbers, so that the
 * personality passes them through), args[1] its value where it takes one; structures go through in and out.
 * A file that is no terminal answers E_NOT_TERMINAL. */
#pragma once

#include <stdint.h>

enum tty_control {
    TTY_GET_ATTRIBUTES = 0x5401, /* out: struct tty_attributes */
    TTY_SET_ATTRIBUTES = 0x5402, /* in: struct tty_attributes; at once */
    TTY_SET_ATTRIBUTES_DRAIN = 0x5403,
    TTY_SET_ATTRIBUTES_FLUSH = 0x5404,
    TTY_SEND_BREAK = 0x5409, /* args[1] != 0: drain (tcdrain) */
    TTY_FLOW = 0x540a,
    TTY_FLUSH = 0x540b,       /* args[1]: 0 input, 1 output, 2 both */
    TTY_CONTROLLING = 0x540e, /* becomes the caller's session's terminal */
    TTY_GET_GROUP = 0x540f,   /* value: foreground group */
    TTY_SET_GROUP = 0x5410,   /* in: int32_t */
    TTY_GET_SIZE = 0x5413,    /* out: struct tty_size */
    TTY_SET_SIZE = 0x5414,    /* in */
    TTY_PENDING = 0x541b,     /* value: bytes that can be read */
    TTY_GET_SESSION = 0x5429,
    TTY_EXCLUSIVE = 0x540c, /* nobody but uid 0 opens it any more */
    TTY_SHARED = 0x540d,
    TTY_DETACH = 0x5422,          /* a session leader gives its terminal up */
    TTY_OUTPUT_PENDING = 0x5411,  /* value: bytes that were written and not sent */
    TTY_SEND_BREAK_LONG = 0x5425, /* args[1]: tenths of a second; 0: as TTY_SEND_BREAK */
    TTY_BREAK_ON = 0x5427,
    TTY_BREAK_OFF = 0x5428,
    /* Of serial lines: */
    TTY_MODEM_GET = 0x5415,   /* value: TTY_MODEM_* */
    TTY_MODEM_RAISE = 0x5416, /* in: uint32_t, TTY_MODEM_DTR and RTS */
    TTY_MODEM_DROP = 0x5417,
    TTY_MODEM_SET = 0x5418,
    /* Of the master's side of a pseudo terminal (tty:///ptmx; the other side is tty:///pts/<number>): */
    TTY_PACKET = 0x5420,          /* in: int32_t; each read begins with a byte of TTY_PACKET_* */
    TTY_NUMBER = (int)0x80045430, /* value */
    TTY_LOCK = 0x40045431,        /* in: int32_t; not 0: tty:///pts/<number> cannot be opened */
    TTY_GET_PACKET = (int)0x80045438,
    TTY_GET_LOCK = (int)0x80045439,
};

#define TTY_MODEM_DTR 0x002u
#define TTY_MODEM_RTS 0x004u
#define TTY_MODEM_CTS 0x020u
#define TTY_MODEM_CAR 0x040u
#define TTY_MODEM_RNG 0x080u
#define TTY_MODEM_DSR 0x100u

#define TTY_PACKET_DATA         0x00u
#define TTY_PACKET_FLUSH_INPUT  0x01u
#define TTY_PACKET_FLUSH_OUTPUT 0x02u
#define TTY_PACKET_STOP         0x04u
#define TTY_PACKET_START        0x08u
#define TTY_PACKET_NO_STOP      0x10u
#define TTY_PACKET_DO_STOP      0x20u

struct tty_size {
    uint16_t rows, columns, width, height;
};

/* Linux's struct termios as the kernel has it (the flags' values too). */
struct tty_attributes {
    uint32_t input, output, control, local;
    uint8_t line;
    uint8_t characters[19];
};
