/* The mouse of the seat: the cell that is shown turned, what is selected, and what buttons and the wheel mean.
 *
 *     a program wants reports (console_reports), and shift is not down     it is told
 *     else, as gpm has it:   button 1 drags, or clicks two or three times      selects: from there to here, a word, a line
 *                            button 3                                          as far as here instead
 *                            button 2                                          pastes what was selected last
 *                            the wheel                                         looks at what scrolled off
 *
 * Moved by relative and absolute pointers. A selection is of what is seen: text that scrolls or changes takes it away, and what was
 * selected is remembered. One thread.
 */
#pragma once

#include "sbin/outputd/console.h"

struct pointer {
    struct screen *screen;
    uint32_t x, y;   /* pixels */
    bool moved;      /* since the last INPUT_SYNC */
    bool selecting;  /* button 1 is down */
    uint32_t anchor; /* where it went down: number of the cell, row by row */
    uint32_t clicks; /* how often there, one soon after the other */
    int64_t clicked; /* when, last */
    char *text;      /* UTF-8: what was selected last */
    size_t length;
};

void pointer_start(struct pointer *pointer, struct screen *screen);

/* INPUT_REL, INPUT_ABS, INPUT_SYNC and buttons, for the console that is shown. */
void pointer_event(struct pointer *pointer, struct console *console,
                   const struct input_event *event);

/* Somebody types: nothing is selected, and the mouse is not shown before it moves. */
void pointer_typed(struct pointer *pointer);
/* What is shown may be another. */
void pointer_deselect(struct pointer *pointer);
