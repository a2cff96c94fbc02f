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
};

struct tty_size {
    uint16_t rows, columns, width, height;
};

/* Linux's struct termios as the kernel has it (the flags' values too). */
struct tty_attributes {
    uint32_t input, output, control, local;
    uint8_t line;
    uint8_t characters[19];
};
