/* The mouse on a console of 80x24, cells of 8x16 pixels: where it is shown, what it selects and pastes, and what programs are told. */
// sources: sbin/outputd/pointer.c sbin/outputd/console.c sbin/outputd/console_input.c sbin/outputd/escapes.c
// sources: sbin/outputd/terminal.c sbin/outputd/control.c lib/sys/held.c sbin/outputd/line.c
// libs: vterm
#include "sbin/outputd/pointer.h"
#include "tests/host/fake_console.h"

#define SECOND INT64_C(1000000000)

static struct pointer pointer;
static int64_t now;
static uint32_t modifiers;

static void happens(uint16_t type, uint16_t code, int32_t value)
{
    struct input_event event = {
        .time = now, .type = type, .code = code, .value = value, .modifiers = modifiers};
    pointer_event(&pointer, &console, &event);
}

static void start(void)
{
    begin();
    free(pointer.text);
    pointer_start(&pointer, &screen);
    modifiers = 0;
    memset(screen.turned, 0, sizeof(screen.turned));
}

static void stop(void)
{
    end(&console);
    free(pointer.text);
    pointer.text = NULL;
}

/* To the middle of a cell, as a mouse. */
static void to(uint32_t row, uint32_t column)
{
    happens(INPUT_REL, INPUT_REL_X, (int32_t)(column * 8 + 4) - (int32_t)pointer.x);
    happens(INPUT_REL, INPUT_REL_Y, (int32_t)(row * 16 + 8) - (int32_t)pointer.y);
    happens(INPUT_SYNC, 0, 0);
}

static void press(uint16_t code)
{
    happens(INPUT_KEY, code, 1);
    happens(INPUT_SYNC, 0, 0);
}

static void release(uint16_t code)
{
    happens(INPUT_KEY, code, 0);
    happens(INPUT_SYNC, 0, 0);
}

static void click(uint16_t code)
{
    press(code);
    release(code);
}

static void drag(uint32_t row, uint32_t column, uint32_t to_row, uint32_t to_column)
{
    now += SECOND;
    to(row, column);
    press(INPUT_BUTTON_LEFT);
    to(to_row, to_column);
    release(INPUT_BUTTON_LEFT);
}

static void check_turned(uint32_t which, uint32_t first, uint32_t count)
{
    struct screen_span span = screen.turned[which];
    CHECK_EQUAL(span.end - span.first, count);
    if (count)
        CHECK_EQUAL(span.first, first);
}

static void check_pasted(const char *want)
{
    click(INPUT_BUTTON_MIDDLE);
    check_answer(want);
}

TEST(shown_where_it_is)
{
    start();
    check_turned(SCREEN_POINTER, 0, 0);
    to(3, 7);
    check_turned(SCREEN_POINTER, 3 * COLUMNS + 7, 1);
    happens(INPUT_REL, INPUT_REL_X, -100000);
    happens(INPUT_REL, INPUT_REL_Y, 100000);
    check_turned(SCREEN_POINTER, 3 * COLUMNS + 7, 1); /* the packet is not over */
    happens(INPUT_SYNC, 0, 0);
    check_turned(SCREEN_POINTER, 23 * COLUMNS, 1);
    happens(INPUT_ABS, INPUT_ABS_X, INPUT_ABS_MAX);
    happens(INPUT_ABS, INPUT_ABS_Y, INPUT_ABS_MAX / 2);
    happens(INPUT_SYNC, 0, 0);
    check_turned(SCREEN_POINTER, 11 * COLUMNS + 79, 1);
    happens(INPUT_ABS, INPUT_ABS_X, INT32_MIN);
    happens(INPUT_REL, INPUT_REL_Y, INT32_MIN);
    happens(INPUT_SYNC, 0, 0);
    check_turned(SCREEN_POINTER, 0, 1);
    pointer_typed(&pointer);
    check_turned(SCREEN_POINTER, 0, 0);
    stop();
}

TEST(selects_and_pastes)
{
    start();
    check_pasted("");
    put("one two\r\nthree");
    drag(0, 4, 0, 6);
    check_turned(SCREEN_SELECTION, 4, 3);
    check_pasted("two");
    drag(1, 1, 0, 4); /* backwards, over the end of a row */
    check_turned(SCREEN_SELECTION, 4, COLUMNS - 4 + 2);
    check_pasted("two\nth");
    to(1, 3);
    click(INPUT_BUTTON_RIGHT);
    check_pasted("hre");
    stop();
}

TEST(a_selection_ends)
{
    start();
    put("text");
    drag(0, 0, 0, 3);
    check_turned(SCREEN_SELECTION, 0, 4);
    pointer_deselect(&pointer);
    check_turned(SCREEN_SELECTION, 0, 0);
    check_pasted("text"); /* but is remembered */
    drag(0, 1, 0, 2);
    now += SECOND;
    click(INPUT_BUTTON_LEFT);
    check_turned(SCREEN_SELECTION, 0, 0);
    check_pasted("ex");
    stop();
}

TEST(rows_that_go_on)
{
    start();
    putf("%sx  y\r\n\r\nz", run('a', 80));
    drag(0, 78, 3, 0);
    check_pasted("aax  y\n\nz");
    stop();
}

TEST(words_and_lines)
{
    start();
    put("  /etc/ttys: a line  ");
    to(0, 5);
    click(INPUT_BUTTON_LEFT);
    click(INPUT_BUTTON_LEFT);
    check_turned(SCREEN_SELECTION, 2, 9);
    check_pasted("/etc/ttys");
    click(INPUT_BUTTON_LEFT);
    check_turned(SCREEN_SELECTION, 0, COLUMNS);
    check_pasted("  /etc/ttys: a line\n");
    click(INPUT_BUTTON_LEFT); /* and begins anew */
    check_turned(SCREEN_SELECTION, 0, 0);
    now += SECOND;
    click(INPUT_BUTTON_LEFT);
    check_turned(SCREEN_SELECTION, 0, 0);
    stop();
}

TEST(symbols_of_all_sizes)
{
    start();
    put("a\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80"
        "e\xcc\x81"
        "b");
    drag(0, 3, 0, 4); /* from the right half of one to the left half of the other */
    check_pasted("\xe4\xb8\xad\xf0\x9f\x98\x80");
    drag(0, 0, 0, 7);
    check_pasted("a\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80"
                 "e\xcc\x81"
                 "b");
    stop();
}

TEST(pasted_between_marks)
{
    start();
    put("text" CSI "?2004h");
    drag(0, 0, 0, 3);
    check_pasted(CSI "200~text" CSI "201~");
    stop();
}

TEST(the_wheel_looks_back)
{
    start();
    for (int line = 0; line < 100; line++)
        putf("line %d\r\n", line);
    happens(INPUT_REL, INPUT_REL_WHEEL, 2);
    check_row(22, "line 93");
    happens(INPUT_REL, INPUT_REL_WHEEL, -1);
    check_row(22, "line 96");
    happens(INPUT_REL, INPUT_REL_WHEEL, INT32_MIN);
    check_row(22, "line 99");
    stop();
}

TEST(programs_are_told)
{
    start();
    put(CSI "?1006;1000h");
    to(4, 9);
    check_answer("");
    click(INPUT_BUTTON_LEFT);
    check_answer(CSI "<0;10;5M" CSI "<0;10;5m");
    modifiers = INPUT_CONTROL;
    click(INPUT_BUTTON_RIGHT);
    check_answer(CSI "<18;10;5M" CSI "<18;10;5m");
    modifiers = 0;
    click(INPUT_BUTTON_MIDDLE);
    check_answer(CSI "<1;10;5M" CSI "<1;10;5m");
    happens(INPUT_REL, INPUT_REL_WHEEL, 1);
    happens(INPUT_REL, INPUT_REL_WHEEL, -1);
    check_answer(CSI "<64;10;5M" CSI "<65;10;5M");
    check_turned(SCREEN_SELECTION, 0, 0);
    put(CSI "?1000l");
    click(INPUT_BUTTON_LEFT);
    check_answer("");
    stop();
}

TEST(programs_are_told_of_movements)
{
    start();
    put(CSI "?1002h" CSI "?1006h");
    to(1, 1);
    check_answer("");
    press(INPUT_BUTTON_LEFT);
    to(1, 2);
    to(1, 2);
    release(INPUT_BUTTON_LEFT);
    to(1, 3);
    check_answer(CSI "<0;2;2M" CSI "<32;3;2M" CSI "<0;3;2m");
    put(CSI "?1003h");
    to(2, 3);
    check_answer(CSI "<35;4;3M");
    put(CSI "?1003l");
    to(2, 4);
    check_answer("");
    stop();
}

/* With shift the mouse is the person's; and so it is where the view is not the program's. */
TEST(not_told)
{
    start();
    put("text" CSI "?1000h" CSI "?1006h");
    modifiers = INPUT_SHIFT;
    drag(0, 0, 0, 3);
    modifiers = 0;
    check_turned(SCREEN_SELECTION, 0, 4);
    check_answer("");
    press(INPUT_BUTTON_LEFT);
    check_answer(CSI "<0;4;1M");
    put(CSI "?1000l");
    release(INPUT_BUTTON_LEFT); /* nobody is told, and it is not down for who asks next */
    put(CSI "?1002h");
    to(5, 5);
    check_answer("");
    put(ESCAPE "c"); /* reset */
    click(INPUT_BUTTON_RIGHT);
    check_answer("");
    stop();
}

/* Nobody reads: reports are whole or not there. */
TEST(reports_that_find_no_room)
{
    static uint8_t got[LINE_INPUT];
    bool end;
    start();
    put(CSI "?1003h" CSI "?1006h");
    for (uint32_t i = 0; i < 1000; i++)
        to(i % ROWS, i % COLUMNS);
    size_t count = line_read(console.terminal.line, got, sizeof(got), &end);
    CHECK(count > LINE_INPUT / 2 && got[count - 1] == 'M');
    to(1, 1);
    check_answer(CSI "<35;2;2M");
    stop();
}
