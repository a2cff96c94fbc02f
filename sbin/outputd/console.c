#include "sbin/outputd/console.h"

#include <stdlib.h>
#include <string.h>

static struct console *of(void *user)
{
    return user;
}

/* --- From the emulator's cells to ours ------------------------------------------------------------------------- */

static uint32_t rgb(const struct console *console, VTermColor colour)
{
    vterm_screen_convert_color_to_rgb(console->cells, &colour);
    return (uint32_t)colour.rgb.red << 16 | (uint32_t)colour.rgb.green << 8 | colour.rgb.blue;
}

static uint32_t flags_of(const VTermScreenCell *from)
{
    return (from->attrs.underline ? CELL_UNDERLINE : 0) | (from->attrs.strike ? CELL_STRIKE : 0) |
           (from->attrs.bold ? CELL_BOLD : 0) | (from->width == 2 ? CELL_LEFT : 0) |
           (from->attrs.dhl == 1 ? CELL_TOP : 0) | (from->attrs.dhl == 2 ? CELL_BOTTOM : 0);
}

/* left: the cell before it, of which this may be the other half. */
static struct cell cell_of(const struct console *console, const VTermScreenCell *from,
                           const struct cell *left)
{
    if (from->chars[0] == (uint32_t)-1 && left) {
        struct cell right = *left;
        right.flags = (right.flags & ~CELL_LEFT) | CELL_RIGHT;
        return right;
    }
    struct cell cell = {
        .symbol = from->chars[0] == (uint32_t)-1 ? 0 : from->chars[0],
        .ink = rgb(console, from->fg),
        .paper = rgb(console, from->bg),
        .flags = flags_of(from),
    };
    for (uint32_t i = 0; i < CELL_MARKS && cell.symbol && from->chars[1 + i]; i++)
        cell.marks[i] = (uint16_t)MIN(from->chars[1 + i], (uint32_t)UINT16_MAX);
    if (from->attrs.reverse) {
        uint32_t ink = cell.ink;
        cell.ink = cell.paper;
        cell.paper = ink;
    }
    return cell;
}

static const struct cell *line_back(const struct console *console, uint32_t back)
{
    return console->lines[(console->line_end - back) % CONSOLE_LINES];
}

/* A cell of a line of double width is drawn as two. */
static void cell_draw_twice(struct screen *screen, uint32_t row, uint32_t column,
                            const struct cell *cell)
{
    struct cell half = *cell;
    half.flags = (cell->flags & ~CELL_RIGHT) | CELL_DOUBLE | CELL_LEFT;
    screen_draw(screen, row, 2 * column, &half);
    half.flags ^= CELL_LEFT | CELL_RIGHT;
    screen_draw(screen, row, 2 * column + 1, &half);
}

/* A row of the emulator's. Whether it is of double width its first cell says: the right half may not know. */
static void row_emulated_draw(struct console *console, uint32_t row, int from)
{
    struct screen *screen = console->screen;
    struct cell cell, *left = NULL;
    bool twice = false;
    for (uint32_t column = 0; column < (twice ? screen->columns / 2 : screen->columns); column++) {
        VTermScreenCell emulated;
        VTermPos position = {.row = from, .col = (int)column};
        vterm_screen_get_cell(console->cells, position, &emulated);
        cell = cell_of(console, &emulated, left);
        left = &cell;
        if (console->cursor_visible && !console->back && console->cursor.row == from &&
            console->cursor.col == (int)column)
            cell.flags |= CELL_CURSOR;
        twice = column ? twice : emulated.attrs.dwl;
        if (twice)
            cell_draw_twice(screen, row, column, &cell);
        else
            screen_draw(screen, row, column, &cell);
    }
}

static void row_draw(struct console *console, uint32_t row)
{
    struct screen *screen = console->screen;
    if (row >= console->back) {
        row_emulated_draw(console, row, (int)(row - console->back));
        return;
    }
    const struct cell *line = line_back(console, console->back - row);
    for (uint32_t column = 0; column < screen->columns; column++)
        screen_draw(screen, row, column, &line[column]);
}

/* Rows of the emulator's screen [first, end) are to be drawn. */
static void mark(struct console *console, int first, int end)
{
    uint32_t from = first > 0 ? (uint32_t)first : 0, to = end > 0 ? (uint32_t)end : 0;
    console->dirty_first = MIN(console->dirty_first, from);
    console->dirty_end = MAX(console->dirty_end, to);
}

static void mark_all(struct console *console)
{
    mark(console, 0, (int)console->screen->rows);
}

static void draw(struct console *console)
{
    uint32_t rows = console->screen->rows, first = console->dirty_first, end = console->dirty_end;
    if (!console->shown || first >= end)
        return;
    console->dirty_first = UINT32_MAX;
    console->dirty_end = 0;
    if (console->back) { /* the view is another */
        first = 0;
        end = rows;
    }
    for (uint32_t row = first; row < MIN(end, rows); row++)
        row_draw(console, row);
    screen_flush(console->screen);
}

static int damaged(VTermRect rect, void *user)
{
    mark(of(user), rect.start_row, rect.end_row);
    return 1;
}

static int cursor_moved(VTermPos position, VTermPos old, int visible, void *user)
{
    (void)visible;
    of(user)->cursor = position;
    mark(of(user), old.row, old.row + 1);
    mark(of(user), position.row, position.row + 1);
    return 1;
}

static int property_set(VTermProp property, VTermValue *value, void *user)
{
    if (property == VTERM_PROP_CURSORVISIBLE) {
        of(user)->cursor_visible = value->boolean;
        mark(of(user), of(user)->cursor.row, of(user)->cursor.row + 1);
    } else if (property == VTERM_PROP_MOUSE) {
        of(user)->reports = value->number != VTERM_PROP_MOUSE_NONE;
    } else if (property == VTERM_PROP_ALTSCREEN) {
        of(user)->alternate = value->boolean;
    }
    return 1;
}

/* A line leaves at the top. */
static int line_pushed(int count, const VTermScreenCell *cells, void *user)
{
    struct console *console = of(user);
    struct cell **line = &console->lines[console->line_end % CONSOLE_LINES];
    if (!*line)
        *line = calloc(console->screen->columns, sizeof(**line));
    if (!*line)
        return 0;
    for (uint32_t i = 0; i < console->screen->columns && i < (uint32_t)count; i++)
        (*line)[i] = cell_of(console, &cells[i], i ? &(*line)[i - 1] : NULL);
    console->line_end++;
    if (console->back && console->back < MIN(console->line_end, (uint64_t)CONSOLE_LINES))
        console->back++; /* what is looked at stays where it is */
    return 1;
}

static const VTermScreenCallbacks callbacks = {
    .damage = damaged,
    .movecursor = cursor_moved,
    .settermprop = property_set,
    .sb_pushline = line_pushed,
};

/* --- Bytes ----------------------------------------------------------------------------------------------------- */

/* What keys mean, and answers to questions about the terminal. */
static void emulator_says(const char *bytes, size_t length, void *user)
{
    struct console *console = of(user);
    if (!console->replaying && !console->mute)
        terminal_input(&console->terminal, (const uint8_t *)bytes, length);
}

static void history_put(struct console_kept *kept, const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        kept->bytes[(kept->end + i) % CONSOLE_HISTORY] = bytes[i];
    __atomic_store_n(&kept->end, kept->end + count, __ATOMIC_RELEASE);
}

static void emulate(struct console *console, const void *bytes, size_t count)
{
    history_put(console->kept, bytes, count);
    escapes_write(&console->escapes, bytes, count);
}

/* Everything the line discipline has goes to the emulator at once: a console is never busy. */
static void attend(struct terminal *terminal)
{
    struct console *console = container_of(terminal, struct console, terminal);
    uint8_t bytes[1024];
    size_t count;
    if (console->replaying)
        return;
    while ((count = line_output_take(terminal->line, bytes, sizeof(bytes))) > 0) {
        emulate(console, bytes, count);
    }
    vterm_screen_flush_damage(console->cells);
    draw(console);
}

static const struct terminal_device device = {.attend = attend};

static void history_replay(struct console *console)
{
    const struct console_kept *kept = console->kept;
    uint64_t from = kept->end > CONSOLE_HISTORY ? kept->end - CONSOLE_HISTORY : 0;
    while (from < kept->end) {
        uint64_t start = from % CONSOLE_HISTORY;
        uint64_t count = MIN(kept->end - from, CONSOLE_HISTORY - start);
        escapes_write(&console->escapes, kept->bytes + start, count);
        from += count;
    }
}

bool console_print(struct console *console, const char *text, size_t length)
{
    const char *end = text + length, *line = text;
    if (console->alternate || escapes_midway(&console->escapes))
        return false;
    if (console->cursor.col)
        emulate(console, "\r\n", 2);
    for (const char *at = text; at < end; at++)
        if (*at == '\n') {
            emulate(console, line, (size_t)(at - line));
            emulate(console, "\r\n", 2);
            line = at + 1;
        }
    emulate(console, line, (size_t)(end - line));
    vterm_screen_flush_damage(console->cells);
    draw(console);
    return true;
}

/* The sixteen colours: readable on black, each. Bold ones are of the bright half. */
static void colours_set(struct console *console)
{
    static const uint32_t palette[16] = {0x000000, 0xd05050, 0x50a850, 0xc0a040, 0x5080e0, 0xb068c8,
                                         0x40a8b8, 0xc8c8c8, 0x808080, 0xff7070, 0x78d878, 0xf0d870,
                                         0x80b0ff, 0xe098f0, 0x70d8e8, 0xffffff};
    VTermState *state = vterm_obtain_state(console->vterm);
    for (int i = 0; i < 16; i++) {
        VTermColor colour;
        vterm_color_rgb(&colour, (uint8_t)(palette[i] >> 16), (uint8_t)(palette[i] >> 8),
                        (uint8_t)palette[i]);
        vterm_state_set_palette_color(state, i, &colour);
    }
    vterm_state_set_bold_highbright(state, 1);
}

bool console_init(struct console *console, struct screen *screen, handle_t port,
                  struct terminal_kept *terminal_kept, struct console_kept *kept)
{
    *console = (struct console){.kept = kept,
                                .screen = screen,
                                .cursor_visible = true,
                                .replaying = true,
                                .dirty_first = UINT32_MAX};
    terminal_init(&console->terminal, port, terminal_kept, &device);
    console->terminal.size = (struct tty_size){
        .rows = (uint16_t)screen->rows,
        .columns = (uint16_t)screen->columns,
        .width = (uint16_t)screen->mode.width,
        .height = (uint16_t)screen->mode.height,
    };
    console->lines = calloc(CONSOLE_LINES, sizeof(*console->lines));
    console->vterm = vterm_new((int)screen->rows, (int)screen->columns);
    if (!console->lines || !console->vterm)
        return false;
    vterm_set_utf8(console->vterm, 1);
    vterm_output_set_callback(console->vterm, emulator_says, console);
    console->cells = vterm_obtain_screen(console->vterm);
    vterm_screen_set_callbacks(console->cells, &callbacks, console);
    vterm_screen_enable_altscreen(console->cells, 1);
    vterm_screen_set_damage_merge(console->cells, VTERM_DAMAGE_SCREEN);
    colours_set(console);
    vterm_screen_reset(console->cells, 1);
    escapes_init(&console->escapes, console->vterm);
    history_replay(console);
    console->replaying = false;
    attend(&console->terminal);
    return true;
}

void console_look_back(struct console *console, int32_t lines)
{
    int64_t most = (int64_t)MIN(console->line_end, (uint64_t)CONSOLE_LINES - 1);
    int64_t back = MIN((int64_t)console->back + lines, most);
    back = MAX(back, INT64_C(0));
    if (back == console->back)
        return;
    console->back = (uint32_t)back;
    mark_all(console);
    draw(console);
}

void console_show(struct console *console, bool shown)
{
    console->shown = shown;
    mark_all(console);
    draw(console);
}
