/* A console of 80x24 on the host, with what it links against: text is put on it, and the cells that would be drawn are looked at. */
#pragma once

#include "sbin/outputd/console.h"

#include "tests/host/fake_session.h"
#include "tests/host/test.h"

#define ROWS    24u
#define COLUMNS 80u
#define ESCAPE  "\x1b"
#define CSI     ESCAPE "["

static struct console console;
static struct terminal_kept *kept;
static struct console_kept *console_kept;
static struct cell cells[ROWS][COLUMNS];
static struct screen screen = {
    .rows = ROWS,
    .columns = COLUMNS,
    .mode = {.width = 640, .height = 384},
    .fonts.font = {.width = 8, .height = 16},
    .shown = &cells[0][0],
};

/* --- What is around it --------------------------------------------------------------------------------------------- */

int64_t syscall_raw(uint32_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
                    uint64_t f)
{
    (void)number, (void)a, (void)b, (void)c, (void)d, (void)e, (void)f;
    return 0;
}

void screen_draw(struct screen *on, uint32_t row, uint32_t column, const struct cell *cell)
{
    CHECK(on == &screen && row < ROWS && column < COLUMNS);
    cells[row][column] = *cell;
}

void screen_turn(struct screen *on, uint32_t which, struct screen_span span)
{
    CHECK(span.first <= span.end && span.end <= ROWS * COLUMNS);
    on->turned[which] = span;
}

void screen_flush(struct screen *on)
{
    (void)on;
}

void command_return(handle_t port, uint64_t token, int64_t status, struct abi_return *reply)
{
    (void)port, (void)token, (void)status, (void)reply;
}

int64_t command_read_exactly(const struct command *command, void *buffer, size_t length)
{
    (void)command, (void)buffer, (void)length;
    return -E_INVALID;
}

void session_signal(int32_t pgid, int signal)
{
    (void)pgid, (void)signal;
}

/* --- Writing and looking ------------------------------------------------------------------------------------------- */

__attribute__((unused)) static void end(struct console *of)
{
    for (uint32_t i = 0; of->lines && i < CONSOLE_LINES; i++)
        free(of->lines[i]);
    free(of->lines);
    if (of->vterm)
        vterm_free(of->vterm);
    *of = (struct console){0};
}

__attribute__((unused)) static void begin(void)
{
    end(&console);
    free(kept);
    free(console_kept);
    kept = calloc(1, sizeof(*kept));
    console_kept = calloc(1, sizeof(*console_kept));
    CHECK(kept && console_kept && console_init(&console, &screen, 1, kept, console_kept));
    console.terminal.line->attributes.output = 0;
    console.terminal.line->attributes.local = 0;
    console_show(&console, true);
}

__attribute__((unused)) static void put(const char *text)
{
    size_t length = strlen(text);
    CHECK_EQUAL(line_write(console.terminal.line, (const uint8_t *)text, length), length);
    console.terminal.device->attend(&console.terminal);
}

__attribute__((format(printf, 1, 2), unused)) static void putf(const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    put(text);
}

/* ASCII of a row without the blanks at its end; '#' for other symbols, nothing for right halves. */
__attribute__((unused)) static const char *row_text(uint32_t row)
{
    static char text[COLUMNS + 1];
    size_t length = 0, end = 0;
    for (uint32_t column = 0; column < COLUMNS; column++) {
        const struct cell *cell = &cells[row][column];
        if (cell->flags & CELL_RIGHT)
            continue;
        text[length++] = cell->symbol < 0x7f ? (char)(cell->symbol ? cell->symbol : ' ') : '#';
        if (text[length - 1] != ' ')
            end = length;
    }
    text[end] = '\0';
    return text;
}

__attribute__((unused)) static void check_row(uint32_t row, const char *want)
{
    CHECK_STRING(row_text(row), want);
}

/* `count` times the character. */
__attribute__((unused)) static const char *run(char character, size_t count)
{
    static char text[COLUMNS + 1];
    memset(text, character, count);
    text[count] = '\0';
    return text;
}

/* What the console answers to whoever asked. */
__attribute__((unused)) static void check_answer(const char *want)
{
    uint8_t got[64];
    bool end;
    size_t count = line_read(console.terminal.line, got, sizeof(got) - 1, &end);
    got[count] = '\0';
    CHECK_STRING((const char *)got, want);
}

__attribute__((unused)) static void check_cursor(uint32_t row, uint32_t column)
{
    for (uint32_t y = 0; y < ROWS; y++)
        for (uint32_t x = 0; x < COLUMNS; x++)
            if (cells[y][x].flags & CELL_CURSOR)
                CHECK(y == row && x == column);
    CHECK(cells[row][column].flags & CELL_CURSOR);
}
