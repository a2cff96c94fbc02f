/* What a program writes on a console, on its way to libvterm: passed on, and followed where libvterm 0.1.4 does not do what
 * xterm does.
 *
 *     escapes_init(&escapes, vterm)           behind a reset of vterm, and of UTF-8
 *     escapes_write(&escapes, bytes, count)   as vterm_input_write: sequences may come in pieces
 *
 *     DECRC, 1048, 1049    character sets and origin mode are restored too: sent again behind it
 *     DECCOLM              while 40 is set: the margins go, the screen is cleared; the width is what it is
 *     RIS                  leaves the alternate screen, and ends reports of the mouse
 *     DECSTR               is what it says, by other sequences
 *     several modes        of one sequence, of which libvterm sees the first: are sent one by one
 *     parameters           of a control sequence: libvterm has room for 16 and does not look. Those behind ESCAPES_PARAMETERS
 *                          are left out, and digits that would make one greater than it can count
 *     REP                  the last symbol is sent again, a line's width at most: without one libvterm goes on for ever
 *     ASCII                is told to be in all four sets, where libvterm puts UTF-8 and loses what comes in two pieces
 *     UTF-8                symbols are passed on whole; what is none becomes U+FFFD (libvterm would write behind an array)
 *
 * Its states are those of libvterm's parser (src/parser.c), so that both agree on what a sequence is. Pure.
 */
#pragma once

#include <vterm.h>

#include "lib/base/base.h"

#define ESCAPES_PIECE      256u
#define ESCAPES_PARAMETERS 15u /* it looks at one more */

enum escapes_state {
    ESCAPES_TEXT,
    ESCAPES_ESCAPE,  /* behind ESC, and intermediate bytes */
    ESCAPES_LEADER,  /* behind CSI */
    ESCAPES_NUMBERS, /* ... and the first of its parameters */
    ESCAPES_ENDING,  /* ... and the first intermediate byte */
    ESCAPES_STRING,  /* OSC, DCS */
    ESCAPES_STRING_ESCAPE,
};

/* What DECSC saves beside what libvterm does. */
struct escapes_sets {
    char designated[4]; /* G0 to G3, by the final byte of SCS */
    uint8_t left;       /* which of them is in GL */
    bool origin;        /* DECOM */
};

struct escapes {
    VTerm *vterm;
    enum escapes_state state;
    struct escapes_sets now, saved;
    bool columns_allowed; /* mode 40 */
    /* The sequence under way: its intermediate and leading byte (0: none, ESCAPES_SEVERAL: more than one), parameters. */
    uint8_t intermediate, leader;
    uint32_t count;
    bool full; /* further parameters are left out */
    uint32_t parameters[ESCAPES_PARAMETERS];
    /* The symbol under way in UTF-8: its bytes so far, and how many there will be (0: none is). */
    uint8_t symbol[4], symbol_bytes, symbol_length;
    uint8_t last[4], last_length;   /* the symbol that REP repeats; 0: none was written */
    uint8_t waiting[ESCAPES_PIECE]; /* for libvterm */
    uint32_t waiting_count;
};

#define ESCAPES_SEVERAL 0xffu

void escapes_init(struct escapes *escapes, VTerm *vterm);
/* Whether what was written ends within a sequence or a symbol. */
bool escapes_midway(const struct escapes *escapes);
void escapes_write(struct escapes *escapes, const void *bytes, size_t count);
