#include "sbin/outputd/pointer.h"

#include <stdlib.h>
#include <string.h>

#define WHEEL_LINES  3
#define CLICK_NS     INT64_C(400000000)
#define SYMBOL_BYTES 4u /* of UTF-8 */

enum { BUTTON_SELECTS = 1, BUTTON_PASTES, BUTTON_EXTENDS, BUTTON_WHEEL_UP, BUTTON_WHEEL_DOWN };

static const struct screen_span nothing;

static uint32_t row_of(const struct pointer *pointer)
{
    return MIN(pointer->y / pointer->screen->fonts.font.height, pointer->screen->rows - 1);
}

static uint32_t column_of(const struct pointer *pointer)
{
    return MIN(pointer->x / pointer->screen->fonts.font.width, pointer->screen->columns - 1);
}

static uint32_t cell_of(const struct pointer *pointer)
{
    return row_of(pointer) * pointer->screen->columns + column_of(pointer);
}

static void turn(struct pointer *pointer, uint32_t which, struct screen_span span)
{
    screen_turn(pointer->screen, which, span);
    screen_flush(pointer->screen);
}

void pointer_deselect(struct pointer *pointer)
{
    turn(pointer, SCREEN_SELECTION, nothing);
}

void pointer_typed(struct pointer *pointer)
{
    turn(pointer, SCREEN_POINTER, nothing);
    pointer_deselect(pointer);
}

/* --- The text of what is selected ------------------------------------------------------------------------------ */

static size_t symbol_put(char *text, uint32_t symbol)
{
    static const uint8_t marks[] = {0, 0, 0xc0, 0xe0, 0xf0};
    size_t length = symbol < 0x80 ? 1 : symbol < 0x800 ? 2 : symbol < 0x10000 ? 3 : 4;
    for (size_t i = length; i-- > 1; symbol >>= 6)
        text[i] = (char)(0x80 | (symbol & 0x3f));
    text[0] = (char)(marks[length] | symbol);
    return length;
}

static size_t cell_put(char *text, const struct cell *cell)
{
    if (cell->flags & CELL_RIGHT)
        return 0;
    size_t length = symbol_put(text, cell->symbol ? cell->symbol : ' ');
    for (uint32_t i = 0; i < CELL_MARKS && cell->marks[i]; i++)
        length += symbol_put(text + length, cell->marks[i]);
    return length;
}

/* As Linux has it: without the blanks at the end of a row, where a new line begins; a row that is full goes on in the next. */
static size_t text_put(char *text, const struct screen *screen, struct screen_span span)
{
    size_t length = 0, end = 0; /* behind the last that is not blank */
    for (uint32_t i = span.first; i < span.end; i++) {
        bool last = (i + 1) % screen->columns == 0;
        length += cell_put(text + length, &screen->shown[i]);
        if (length && text[length - 1] != ' ')
            end = length;
        if (last && end != length) {
            text[end++] = '\r';
            length = end;
        }
    }
    return length;
}

static void select_cells(struct pointer *pointer, struct screen_span span)
{
    size_t room = (size_t)(span.end - span.first) * (1 + CELL_MARKS) * SYMBOL_BYTES;
    char *text = malloc(room);
    turn(pointer, SCREEN_SELECTION, span);
    if (!text)
        return;
    free(pointer->text);
    pointer->text = text;
    pointer->length = text_put(text, pointer->screen, span);
}

/* --- Selecting ------------------------------------------------------------------------------------------------- */

/* Symbols of two columns as a whole. */
static void select_to(struct pointer *pointer, uint32_t cell)
{
    const struct cell *shown = pointer->screen->shown;
    struct screen_span span = {MIN(pointer->anchor, cell), MAX(pointer->anchor, cell) + 1};
    span.first -= shown[span.first].flags & CELL_RIGHT ? 1 : 0;
    span.end += shown[span.end - 1].flags & CELL_LEFT ? 1 : 0;
    select_cells(pointer, span);
}

static bool word(const struct cell *cell)
{
    static const char others[] = "-./_~";
    uint32_t symbol = cell->symbol;
    return (symbol >= '0' && symbol <= '9') || (symbol >= 'A' && symbol <= 'Z') ||
           (symbol >= 'a' && symbol <= 'z') || symbol >= 0xa0 ||
           (symbol && symbol < 0x80 && strchr(others, (int)symbol));
}

static void select_word(struct pointer *pointer)
{
    const struct screen *screen = pointer->screen;
    struct screen_span span = {pointer->anchor, pointer->anchor + 1};
    uint32_t start = pointer->anchor - pointer->anchor % screen->columns;
    bool inside = word(&screen->shown[pointer->anchor]);
    while (inside && span.first > start && word(&screen->shown[span.first - 1]))
        span.first--;
    while (inside && span.end < start + screen->columns && word(&screen->shown[span.end]))
        span.end++;
    select_cells(pointer, span);
}

static void select_line(struct pointer *pointer)
{
    uint32_t columns = pointer->screen->columns;
    uint32_t start = pointer->anchor - pointer->anchor % columns;
    select_cells(pointer, (struct screen_span){start, start + columns});
}

static void select_begin(struct pointer *pointer, int64_t time)
{
    uint32_t cell = cell_of(pointer);
    bool again = cell == pointer->anchor && time - pointer->clicked < CLICK_NS;
    pointer->clicks = again ? pointer->clicks % 3 + 1 : 1;
    pointer->clicked = time;
    pointer->anchor = cell;
    pointer->selecting = pointer->clicks == 1;
    if (pointer->clicks == 1)
        pointer_deselect(pointer);
    else if (pointer->clicks == 2)
        select_word(pointer);
    else
        select_line(pointer);
}

/* --- Events ---------------------------------------------------------------------------------------------------- */

static uint32_t moved_by(uint32_t at, int32_t by, uint32_t size)
{
    int64_t to = (int64_t)at + by;
    return to < 0 ? 0 : to >= size ? size - 1 : (uint32_t)to;
}

/* 0 to INPUT_ABS_MAX over so many pixels, each of which has the same share. */
static uint32_t scaled(int32_t value, uint32_t size)
{
    uint64_t at = (uint64_t)MIN(MAX(value, 0), INPUT_ABS_MAX);
    return (uint32_t)(at * size / (INPUT_ABS_MAX + 1));
}

static bool reported(const struct console *console, const struct input_event *event)
{
    return console_reports(console) && !(event->modifiers & INPUT_SHIFT);
}

static void moved(struct pointer *pointer, struct console *console, const struct input_event *event)
{
    uint32_t cell = cell_of(pointer);
    pointer->moved = false;
    turn(pointer, SCREEN_POINTER, (struct screen_span){cell, cell + 1});
    if (pointer->selecting && cell != pointer->anchor)
        select_to(pointer, cell);
    else if (!pointer->selecting && reported(console, event))
        console_mouse_moved(console, row_of(pointer), column_of(pointer), event->modifiers);
}

static void button(struct pointer *pointer, struct console *console, uint32_t which,
                   const struct input_event *event)
{
    moved(pointer, console, event);
    if (which == BUTTON_SELECTS && pointer->selecting && !event->value) {
        pointer->selecting = false;
        return;
    }
    if (reported(console, event) || !event->value) {
        console_mouse_button(console, which, event->value, event->modifiers);
        return;
    }
    if (which == BUTTON_SELECTS)
        select_begin(pointer, event->time);
    else if (which == BUTTON_EXTENDS)
        select_to(pointer, cell_of(pointer));
    else if (pointer->length)
        console_paste(console, pointer->text, pointer->length);
}

static void wheel(struct pointer *pointer, struct console *console, const struct input_event *event)
{
    uint32_t which = event->value > 0 ? BUTTON_WHEEL_UP : BUTTON_WHEEL_DOWN;
    if (reported(console, event)) {
        console_mouse_button(console, which, true, event->modifiers);
        return;
    }
    pointer_deselect(pointer);
    console_look_back(console, WHEEL_LINES * MIN(MAX(event->value, -16), 16));
}

static void axis(struct pointer *pointer, struct console *console, const struct input_event *event)
{
    const struct fb_mode *mode = &pointer->screen->mode;
    bool relative = event->type == INPUT_REL;
    if (relative && event->code == INPUT_REL_WHEEL) {
        wheel(pointer, console, event);
        return;
    }
    _Static_assert(INPUT_REL_X == INPUT_ABS_X && INPUT_REL_Y == INPUT_ABS_Y, "one switch for both");
    switch (event->code) {
    case INPUT_REL_X:
        pointer->x = relative ? moved_by(pointer->x, event->value, mode->width)
                              : scaled(event->value, mode->width);
        break;
    case INPUT_REL_Y:
        pointer->y = relative ? moved_by(pointer->y, event->value, mode->height)
                              : scaled(event->value, mode->height);
        break;
    default:
        return;
    }
    pointer->moved = true;
}

void pointer_event(struct pointer *pointer, struct console *console,
                   const struct input_event *event)
{
    switch (event->type) {
    case INPUT_REL:
    case INPUT_ABS:
        axis(pointer, console, event);
        break;
    case INPUT_SYNC:
        if (pointer->moved)
            moved(pointer, console, event);
        break;
    case INPUT_KEY:
        if (event->code == INPUT_BUTTON_LEFT)
            button(pointer, console, BUTTON_SELECTS, event);
        else if (event->code == INPUT_BUTTON_MIDDLE)
            button(pointer, console, BUTTON_PASTES, event);
        else if (event->code == INPUT_BUTTON_RIGHT)
            button(pointer, console, BUTTON_EXTENDS, event);
        break;
    default:
        break;
    }
}

void pointer_start(struct pointer *pointer, struct screen *screen)
{
    *pointer = (struct pointer){
        .screen = screen, .x = screen->mode.width / 2, .y = screen->mode.height / 2};
}
