/* A console: a terminal on the screen, by way of libvterm's emulation of xterm.
 *
 *     bytes of the line discipline --attend--> escapes --> vterm --damage--> cells --> screen, if this console is shown
 *     keys, mouse --console_input.c--> vterm --> bytes for the line discipline (terminal_input)
 *
 * The last bytes written lie in kept memory and are given to vterm again by an outputd that comes back, so the picture is
 * there again; what the emulator would answer to them is dropped. Lines that scroll off the top are kept for
 * Shift-PageUp. One thread.
 */
#pragma once

#include <vterm.h>

#include "abi/input.h"
#include "sbin/outputd/escapes.h"
#include "sbin/outputd/screen.h"
#include "sbin/outputd/terminal.h"

#define CONSOLE_HISTORY (256u << 10) /* bytes; a power of two */
#define CONSOLE_LINES   2000u        /* that scrolled off */

struct console_kept {
    uint64_t end; /* bytes ever written */
    uint8_t bytes[CONSOLE_HISTORY];
};

struct console {
    struct terminal terminal;
    struct console_kept *kept;
    struct screen *screen;
    VTerm *vterm;
    struct escapes escapes; /* before it */
    VTermScreen *cells;
    VTermPos cursor;
    bool cursor_visible, shown;
    bool reports;                    /* a program wants to know of the mouse */
    bool alternate;                  /* the alternate screen is on */
    bool replaying, mute;            /* what the emulator says goes nowhere */
    uint32_t dirty_first, dirty_end; /* rows to draw */
    struct cell **lines;             /* a ring of CONSOLE_LINES, each screen->columns long */
    uint64_t line_end;               /* lines ever scrolled off */
    uint32_t back;                   /* how many lines the view is scrolled back */
};

/* False: no memory. */
MUST_CHECK bool console_init(struct console *console, struct screen *screen, handle_t port,
                             struct terminal_kept *terminal_kept, struct console_kept *kept);
/* To the screen, or away from it. */
void console_show(struct console *console, bool shown);
/* So many lines further back into what scrolled off, as far as there are any; below 0: forth. */
void console_look_back(struct console *console, int32_t lines);
/* Lines of the log, between what programs write; false: a program has the screen, or the terminal's ear, for itself now. */
bool console_print(struct console *console, const char *text, size_t length);

/* --- console_input.c */

/* A key was pressed (value not 0). False: one that means nothing by itself. */
bool console_key(struct console *console, const struct input_event *event);

/* Whether the mouse is the program's (modes 1000, 1002, 1003). Then it is told, as far as it asked for it, of movements to a cell, and
 * of buttons: 1 to 3 from the left, 4 and 5 are the wheel's. Else both do nothing that is seen. */
bool console_reports(const struct console *console);
void console_mouse_moved(struct console *console, uint32_t row, uint32_t column,
                         uint32_t modifiers);
void console_mouse_button(struct console *console, uint32_t button, bool down, uint32_t modifiers);

/* As if typed, between marks where the program asked for them (mode 2004). */
void console_paste(struct console *console, const char *text, size_t length);
