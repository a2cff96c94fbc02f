/* The line discipline: what a terminal makes of the bytes that come and go (POSIX chapter 11, Linux's n_tty).
 *
 *     device --line_input--> [edit, echo, signals] --line_read--> program
 *     device <--line_output_take-- [output queue] <--line_write-- program
 *
 * Pure: it owns its queues and knows no device, no processes and no time. In canonical mode what is read is whole
 * lines; the line being edited is not readable yet. Queues are rings of LINE_INPUT and LINE_OUTPUT bytes: input that
 * finds no room is dropped (a newline still ends a full line), echo too; writes take as much as fits. A device that
 * can wait asks line_input_room first.
 */
#pragma once

#include "abi/tty.h"
#include "lib/base/base.h"

#define LINE_INPUT  4096u /* Linux's MAX_CANON and n_tty buffer; powers of two */
#define LINE_OUTPUT 16384u

/* Linux's termios flags. */
enum line_input_flag {
    LINE_IGNBRK = 0x1,
    LINE_BRKINT = 0x2,
    LINE_IGNPAR = 0x4,
    LINE_PARMRK = 0x8,
    LINE_INPCK = 0x10,
    LINE_ISTRIP = 0x20,
    LINE_INLCR = 0x40,
    LINE_IGNCR = 0x80,
    LINE_ICRNL = 0x100,
    LINE_IUCLC = 0x200,
    LINE_IXON = 0x400,
    LINE_IXANY = 0x800,
    LINE_IXOFF = 0x1000,
    LINE_IMAXBEL = 0x2000,
    LINE_IUTF8 = 0x4000,
};

enum line_output_flag {
    LINE_OPOST = 0x1,
    LINE_OLCUC = 0x2,
    LINE_ONLCR = 0x4,
    LINE_OCRNL = 0x8,
    LINE_ONOCR = 0x10,
    LINE_ONLRET = 0x20,
    LINE_TABS = 0x1800,
};

enum line_control_flag {
    LINE_SPEED = 0x100f, /* B0 to B4000000 */
    LINE_CSIZE = 0x30,   /* 5, 6, 7, 8 bits */
    LINE_CSTOPB = 0x40,
    LINE_CREAD = 0x80,
    LINE_PARENB = 0x100,
    LINE_PARODD = 0x200,
    LINE_HUPCL = 0x400,
    LINE_CLOCAL = 0x800,
    LINE_CRTSCTS = (int)0x80000000,
};

enum line_local_flag {
    LINE_ISIG = 0x1,
    LINE_ICANON = 0x2,
    LINE_ECHO = 0x8,
    LINE_ECHOE = 0x10,
    LINE_ECHOK = 0x20,
    LINE_ECHONL = 0x40,
    LINE_NOFLSH = 0x80,
    LINE_TOSTOP = 0x100,
    LINE_ECHOCTL = 0x200,
    LINE_ECHOKE = 0x800,
    LINE_IEXTEN = 0x8000,
};

enum line_character {
    LINE_VINTR,
    LINE_VQUIT,
    LINE_VERASE,
    LINE_VKILL,
    LINE_VEOF,
    LINE_VTIME,
    LINE_VMIN,
    LINE_VSWTC,
    LINE_VSTART,
    LINE_VSTOP,
    LINE_VSUSP,
    LINE_VEOL,
    LINE_VREPRINT,
    LINE_VDISCARD,
    LINE_VWERASE,
    LINE_VLNEXT,
    LINE_VEOL2,
};

/* Signals for the foreground group, Linux's numbers. */
enum line_signal { LINE_SIGINT = 2, LINE_SIGQUIT = 3, LINE_SIGTSTP = 20 };

/* What a serial line says beside bytes. */
enum line_error {
    LINE_GOOD,
    LINE_DAMAGED, /* parity or framing */
    LINE_BREAK,
};

#define LINE_FLUSHED_INPUT  0x1u
#define LINE_FLUSHED_OUTPUT 0x2u

struct line {
    struct tty_attributes attributes;
    /* Positions count up for ever; the ring index is the position modulo the size. read <= lines <= end:
     * [read, lines) are complete lines, [lines, end) is being edited (canonical) or simply input (raw). */
    uint8_t input[LINE_INPUT];
    uint8_t delimiter[LINE_INPUT /
                      8]; /* bit: this byte ends a line; a NUL so marked is an end of file */
    uint64_t read, lines, end;
    uint8_t output[LINE_OUTPUT];
    uint64_t output_read, output_end;
    uint32_t column;      /* of the cursor, as far as output tells */
    uint32_t edit_column; /* where the line being edited began */
    bool literal;         /* the next byte is taken as it is (VLNEXT) */
    bool stopped;         /* output is (VSTOP, TCOOFF) */
    bool throttled;       /* the device was sent VSTOP (IXOFF) */
    uint8_t flushed;      /* LINE_FLUSHED_*: since the owner last took note */
};

void line_init(struct line *line);

/* What an owner that ended in the middle of anything left: its queues, if they can be believed; else as line_init. */
void line_recover(struct line *line);

/* One byte from the device. The signal it means for the foreground group, or 0. */
int line_input(struct line *line, uint8_t byte);
/* The same when the device says more of it; of a break the byte means nothing. */
int line_input_error(struct line *line, uint8_t byte, enum line_error error);

/* How many bytes of input would not be dropped for want of a reader. */
size_t line_input_room(const struct line *line);

/* Whether a read would find something: a line (canonical), or `minimum` bytes. */
bool line_readable(const struct line *line, size_t minimum);

/* Bytes a read could return at most (FIONREAD). */
size_t line_pending(const struct line *line);

/* Up to size bytes, in canonical mode at most one line; *end_of_file: an end of file was typed (count is 0 then). */
size_t line_read(struct line *line, uint8_t *buffer, size_t size, bool *end_of_file);

/* Takes as many of the program's bytes as find room: the count. */
size_t line_write(struct line *line, const uint8_t *bytes, size_t count);

/* The next bytes for the device; none while output is stopped. */
size_t line_output_take(struct line *line, uint8_t *buffer, size_t size);
/* The same in two steps: they are still the line's until they are dropped. */
size_t line_output_peek(const struct line *line, uint8_t *buffer, size_t size);
void line_output_drop(struct line *line, size_t count);
size_t line_output_pending(const struct line *line);
size_t line_output_room(const struct line *line);

void line_flush_input(struct line *line);
void line_flush_output(struct line *line);

/* New attributes; a change of canonical mode makes what was typed so far readable, as Linux does. */
void line_set_attributes(struct line *line, const struct tty_attributes *attributes);

/* The speed that control flags (LINE_SPEED) ask for; 0: B0, or no speed. */
uint32_t line_bauds(uint32_t control);

static inline bool line_canonical(const struct line *line)
{
    return line->attributes.local & LINE_ICANON;
}
