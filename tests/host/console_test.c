/* A console of 80x24, as programs write on it and people see it: the cells that would be drawn, as text. The first part does what
 * vttest's menus 1, 2, 4 and 8 do (cursor movements, screen features, double-sized lines, VT102). */
// sources: sbin/outputd/console.c sbin/outputd/console_input.c sbin/outputd/escapes.c sbin/outputd/terminal.c sbin/outputd/control.c lib/sys/held.c sbin/outputd/line.c
// libs: vterm
#include "tests/host/fake_console.h"

/* --- Cursor movements ---------------------------------------------------------------------------------------------- */

/* vttest's first screen: a frame of stars and pluses, and one of Es around the middle, by every way to move. */
TEST(frame_by_cursor_movements)
{
    begin();
    put(ESCAPE "#8"); /* all Es */
    putf(CSI "9;10H" CSI "1J" CSI "18;60H" CSI "0J" CSI "1K" CSI "9;71H" CSI "0K");
    for (int row = 10; row <= 16; row++)
        putf(CSI "%d;10H" CSI "1K" CSI "%d;71H" CSI "0K", row, row);
    putf(CSI "17;30H" CSI "2K");
    for (int column = 1; column <= 80; column++)
        putf(CSI "%d;%df*" CSI "%d;%df*", 24, column, 1, column);
    put(CSI "2;2H");
    for (int row = 2; row <= 23; row++)
        put("+" CSI "1D" ESCAPE "D");
    put(CSI "23;79H");
    for (int row = 23; row >= 2; row--)
        put("+" CSI "1D" ESCAPE "M");
    put(CSI "2;1H");
    for (int row = 2; row <= 23; row++)
        putf("*" CSI "%d;80H*" CSI "10D" ESCAPE "E", row);
    put(CSI "2;10H" CSI "42D" CSI "2C");
    for (int column = 3; column <= 78; column++)
        put("+" CSI "0C" CSI "2D" CSI "1C");
    put(CSI "23;70H" CSI "42C" CSI "2D");
    for (int column = 78; column >= 3; column--)
        put("+" CSI "1D" CSI "1C" CSI "0D\b");

    check_row(0, run('*', 80));
    check_row(23, run('*', 80));
    char plus[COLUMNS + 1], sides[COLUMNS + 1], middle[COLUMNS + 1];
    snprintf(plus, sizeof(plus), "*%s*", run('+', 78));
    snprintf(sides, sizeof(sides), "*+%76s+*", "");
    snprintf(middle, sizeof(middle), "*+%8s%s%8s+*", "", run('E', 60), "");
    check_row(1, plus);
    check_row(22, plus);
    check_row(2, sides);
    check_row(8, middle);
    check_row(15, middle);
    check_row(17, sides);
}

TEST(the_cursor_stops_at_the_edges)
{
    begin();
    put(CSI "99;99H");
    check_cursor(23, 79);
    put(CSI "99A" CSI "99D");
    check_cursor(0, 0);
    put(CSI "99B" CSI "99C\b");
    check_cursor(23, 78);
    put(CSI "H\ba");
    check_row(0, "a");
}

TEST(control_characters_inside_sequences)
{
    begin();
    put("A" CSI "2\bC"
        "B" CSI "\r3C"
        "C" CSI "1\vA"
        "D");
    check_row(0, "A BCD");
}

TEST(leading_zeros)
{
    begin();
    put(CSI "00000000004;000000001HX");
    check_row(3, "X");
}

/* --- Screen features ----------------------------------------------------------------------------------------------- */

TEST(wrapping)
{
    begin();
    for (int i = 0; i < 170; i++)
        put("*");
    check_row(0, run('*', 80));
    check_row(2, run('*', 10));
    put(CSI "?7l" CSI "5;1H");
    for (int i = 0; i < 90; i++)
        put("x");
    put("y");
    char row[COLUMNS + 1];
    snprintf(row, sizeof(row), "%sy", run('x', 79));
    check_row(4, row);
    check_row(5, "");
}

TEST(the_last_column_waits)
{
    begin();
    put(CSI "1;80HA\b" CSI "1D");
    check_cursor(0, 77);
    put(CSI "3;80HB\r\nC");
    check_row(3, "C");
}

TEST(tab_stops)
{
    begin();
    put(CSI "3g");
    for (int column = 1; column <= 78; column += 3)
        putf(CSI "1;%dH" ESCAPE "H", column);
    put(CSI "1;4H" CSI "0g" CSI "1;1H\tx\ty");
    check_row(0, "      x  y");
}

TEST(scrolling_in_margins)
{
    begin();
    for (int row = 1; row <= 24; row++)
        putf(CSI "%d;1Hrow %d", row, row);
    put(CSI "12;13r" CSI "?6h" CSI "24B");
    for (int line = 1; line <= 10; line++)
        putf("\r\nline %d", line);
    check_row(10, "row 11");
    check_row(11, "line 9");
    check_row(12, "line 10");
    check_row(13, "row 14");
    put(CSI "1;1HX" CSI "?6l" CSI "1;1HY" CSI "r");
    check_row(11, "Xine 9");
    check_row(0, "Yow 1");
    put(CSI "12;13r" CSI "12;1H" ESCAPE "M");
    check_row(11, "");
    check_row(12, "Xine 9");
}

TEST(save_and_restore)
{
    begin();
    put(CSI "5;5H" CSI "7m" ESCAPE "7" CSI "m" CSI "20;20H" ESCAPE "8"
            "A");
    CHECK_EQUAL(cells[4][4].symbol, 'A');
    CHECK(cells[4][4].ink < cells[4][4].paper);
}

TEST(attributes)
{
    begin();
    put("n" CSI "1mb" CSI "4mu" CSI "0;9ms" CSI "0;7mr" CSI "0;31mc" CSI "38;2;1;2;3mt" CSI
        "38;5;196mp");
    CHECK_EQUAL(cells[0][0].flags, 0);
    CHECK_EQUAL(cells[0][1].flags, CELL_BOLD);
    CHECK_EQUAL(cells[0][2].flags, CELL_BOLD | CELL_UNDERLINE);
    CHECK_EQUAL(cells[0][3].flags, CELL_STRIKE);
    CHECK_EQUAL(cells[0][4].ink, cells[0][0].paper);
    CHECK_EQUAL(cells[0][4].paper, cells[0][0].ink);
    CHECK_EQUAL(cells[0][5].ink, 0xd05050);
    CHECK_EQUAL(cells[0][6].ink, 0x010203);
    CHECK_EQUAL(cells[0][7].ink, 0xff0000);
}

TEST(columns_that_stay)
{
    begin();
    put("text" CSI "?3h");
    check_row(0, "text");
    put(CSI "5;10r" CSI "?40h" CSI "?6h" CSI "?3h");
    check_cursor(0, 0);
    check_row(0, "");
    put(CSI "24;80Hx\r\ny" CSI "?40l" CSI "?3l");
    check_row(23, "y");
}

TEST(several_modes_at_once)
{
    begin();
    put("text" CSI "?25;7;1049h" CSI "Hvi" CSI "?7;25;1049l" CSI "1;80Hab");
    check_row(1, "");
    CHECK_EQUAL(cells[0][79].symbol, 'b');
    CHECK_EQUAL(cells[0][3].symbol, 't');
    put(CSI "1;1H" CSI "20;4h"
            "a\nb");
    check_row(0, "atext");
    check_row(1, "b");
}

TEST(soft_reset)
{
    begin();
    put("text" CSI "5;10r" CSI "?6h" CSI "?25l" CSI "4h" ESCAPE "(0" CSI "7m" CSI "2;3H" CSI "!p");
    check_cursor(5, 2);
    put("q" CSI "1;2Hx" CSI "24;1H\n");
    check_row(4, "  q");
    check_row(0, "");
    CHECK(cells[4][2].ink > cells[4][2].paper);
}

/* libvterm would write behind its array. */
TEST(more_parameters_than_there_is_room_for)
{
    begin();
    put(CSI);
    for (int i = 0; i < 1000; i++)
        put("1;");
    put("31m" CSI);
    for (int i = 0; i < 1000; i++)
        put("9:");
    putf("m" CSI "99999999999999999999C" CSI "7D" CSI "0%sm", ";;;;;;;;;;;;;31");
    put("x");
    CHECK_EQUAL(cells[0][72].symbol, 'x');
    CHECK_EQUAL(cells[0][72].ink, 0xd05050);
}

TEST(the_whole_screen_reversed)
{
    begin();
    put("a");
    struct cell before = cells[0][0];
    put(CSI "?5h");
    CHECK_EQUAL(cells[0][0].ink, before.paper);
    CHECK_EQUAL(cells[10][10].paper, before.ink);
    put(CSI "?5l");
    CHECK_EQUAL(cells[0][0].ink, before.ink);
}

/* --- Characters ---------------------------------------------------------------------------------------------------- */

TEST(line_drawing_set)
{
    begin();
    put(ESCAPE "(0lqk" ESCAPE "(Bq" ESCAPE ")0\x0ex\x0fx");
    CHECK_EQUAL(cells[0][0].symbol, 0x250c);
    CHECK_EQUAL(cells[0][1].symbol, 0x2500);
    CHECK_EQUAL(cells[0][2].symbol, 0x2510);
    CHECK_EQUAL(cells[0][3].symbol, 'q');
    CHECK_EQUAL(cells[0][4].symbol, 0x2502);
    CHECK_EQUAL(cells[0][5].symbol, 'x');
}

static void check_symbols(uint32_t row, uint32_t column, const uint32_t *want, size_t count)
{
    for (size_t i = 0; i < count; i++)
        CHECK_EQUAL(cells[row][column + i].symbol, want[i]);
}

/* vttest's menu 3, and what programs of line drawing do around a DECSC. */
TEST(sets_saved_and_restored)
{
    begin();
    put(ESCAPE "(0" ESCAPE ")B" ESCAPE "7" ESCAPE "(B\x0e" ESCAPE "8qq\x0eq");
    check_symbols(0, 0, (const uint32_t[]){0x2500, 0x2500, 'q'}, 3);
    put("\x0f" ESCAPE "(B" CSI "3;1H" ESCAPE "7\x0e" ESCAPE ")0q" ESCAPE "8q");
    check_symbols(2, 0, (const uint32_t[]){'q'}, 1);
    put(ESCAPE "(0" CSI "?1049h" ESCAPE "(Bq" CSI "?1049l" CSI "5;1Hq");
    check_symbols(4, 0, (const uint32_t[]){0x2500}, 1);
    put(ESCAPE "+0" ESCAPE "o" CSI "?1048h" ESCAPE "+B\x0f" ESCAPE "(B" CSI "?1048l" CSI "7;1Hq");
    check_symbols(6, 0, (const uint32_t[]){0x2500}, 1);
    put(ESCAPE "c"
               "q" ESCAPE "8"
               "q");
    check_symbols(0, 0, (const uint32_t[]){'q'}, 1);
}

TEST(origin_mode_saved_and_restored)
{
    begin();
    put(CSI "5;10r" CSI "?6h" CSI "2;3H" ESCAPE "7" CSI "?6l" CSI "20;20H" ESCAPE "8");
    check_cursor(5, 2);
    put(CSI "1;1HX");
    check_row(4, "X");
}

/* Sequences come in pieces, are broken off, stand in strings; sets change inside. */
TEST(sequences_in_pieces)
{
    static const char text[] = ESCAPE "(0" ESCAPE "7" ESCAPE "(B" CSI "?10" ESCAPE "8q" CSI "1\x0e"
                                      "C\x0fq" ESCAPE "]0;" ESCAPE "(B" ESCAPE "\\q" CSI "?6"
                                      "\x18hq" CSI "1?6hq";
    begin();
    for (size_t i = 0; i < sizeof(text) - 1; i++)
        put((const char[]){text[i], '\0'});
    check_symbols(0, 0, (const uint32_t[]){0x2500, 0, 0x2500, 'q', 'h', 'q', '6', 'h', 'q'}, 9);
}

/* Without anything to repeat libvterm goes on for ever. */
TEST(repeating)
{
    begin();
    put(CSI "b" CSI "5ba" CSI "2b" CSI "?3b");
    check_row(0, "aaa");
    put(ESCAPE "c" CSI "b\xc3\xa9" CSI "1;1b");
    check_symbols(0, 0, (const uint32_t[]){0xe9, 0xe9}, 2);
    put(ESCAPE "c-" CSI "99999b");
    CHECK_EQUAL(cells[0][79].symbol, '-');
    CHECK_EQUAL(cells[1][0].symbol, '-');
    check_row(2, "");
}

TEST(symbols_in_pieces)
{
    begin();
    put("a\xe4");
    put("\xb8\xad"
        "b\xc3");
    put("\xa9");
    check_symbols(0, 0, (const uint32_t[]){'a', 0x4e2d, 0x4e2d, 'b', 0xe9}, 5);
    put(ESCAPE "c"
               "a\xe4");
    put("\xb8\xad");
    check_symbols(0, 0, (const uint32_t[]){'a', 0x4e2d}, 2);
}

/* libvterm would write behind an array; a C1 control has the width -1 there. */
TEST(what_is_no_symbol)
{
    begin();
    put("a\xc0");
    put("b\xe4\xb8");
    put("c\x80\xed\xa0\x80\xc2\x81" CSI "1;1H"
        "\xf5");
    const uint32_t no = 0xfffd;
    check_symbols(0, 0, (const uint32_t[]){no, no, 'b', no, 'c', no, no, no, no, no, no}, 11);
}

TEST(double_size)
{
    begin();
    put(ESCAPE "#6wide\r\n" ESCAPE "#3tall\r\n" ESCAPE "#4tall\r\n" ESCAPE "#5one");
    for (uint32_t column = 0; column < 8; column++) {
        const struct cell *cell = &cells[0][column];
        CHECK_EQUAL(cell->symbol, "wide"[column / 2]);
        CHECK_EQUAL(cell->flags & (CELL_DOUBLE | CELL_LEFT | CELL_RIGHT),
                    CELL_DOUBLE | (column % 2 ? CELL_RIGHT : CELL_LEFT));
    }
    CHECK(cells[1][0].flags & CELL_TOP && cells[2][0].flags & CELL_BOTTOM);
    CHECK_EQUAL(cells[3][0].flags, 0);
    putf(CSI "5;1H%s\r" ESCAPE "#6", run('x', 40));
    check_row(4, run('x', 40));
}

TEST(wide_symbols_and_marks)
{
    begin();
    put("\xe4\xb8\xad"
        "e\xcc\x81\xcc\xa3x" CSI "1;1H");
    CHECK_EQUAL(cells[0][0].symbol, 0x4e2d);
    CHECK_EQUAL(cells[0][0].flags, CELL_LEFT | CELL_CURSOR);
    CHECK_EQUAL(cells[0][1].symbol, 0x4e2d);
    CHECK_EQUAL(cells[0][1].flags, CELL_RIGHT | CELL_CURSOR);
    CHECK_EQUAL(cells[0][2].symbol, 'e');
    CHECK_EQUAL(cells[0][2].marks[0], 0x301);
    CHECK_EQUAL(cells[0][2].marks[1], 0x323);
    CHECK_EQUAL(cells[0][3].symbol, 'x');
    for (int i = 0; i < 79; i++)
        put("\n");
    CHECK_EQUAL(console.line_end, 56);
}

/* --- VT102 --------------------------------------------------------------------------------------------------------- */

TEST(lines_inserted_and_deleted)
{
    begin();
    for (int row = 0; row < 24; row++)
        putf(CSI "%d;1H%s", row + 1, run((char)('A' + row), 80));
    put(CSI "4;1H" ESCAPE "M" ESCAPE "[2;23r" CSI "2;1H" CSI "3L");
    check_row(0, run('A', 80));
    check_row(1, "");
    check_row(4, run('B', 80));
    check_row(23, run('X', 80));
    put(CSI "2;1H" CSI "3M" CSI "r");
    check_row(1, run('B', 80));
    check_row(22, "");
}

TEST(characters_inserted_and_deleted)
{
    begin();
    put("ABCDEF" CSI "1;2H" CSI "4h"
        "**" CSI "4l"
        "!");
    check_row(0, "A**!CDEF");
    put(CSI "1;2H" CSI "3P");
    check_row(0, "ACDEF");
    put(CSI "1;1H" CSI "2@");
    check_row(0, "  ACDEF");
    put(CSI "1;4H" CSI "2X");
    check_row(0, "  A  EF");
}

/* --- Beyond -------------------------------------------------------------------------------------------------------- */

TEST(the_alternate_screen)
{
    begin();
    put("shell" CSI "?1049h" CSI "Hvi");
    check_row(0, "vi");
    put(CSI "?1049l");
    check_row(0, "shell");
}

TEST(lines_of_the_log)
{
    begin();
    CHECK(console_print(&console, "one\ntwo\n", 8));
    put("# ec");
    CHECK(console_print(&console, "\xff three\n", 8));
    put("ho");
    check_row(0, "one");
    check_row(1, "two");
    check_row(2, "# ec");
    check_row(3, "# three");
    check_row(4, "ho");
    put(CSI "?1049h");
    CHECK(!console_print(&console, "four\n", 5));
    put(CSI "?1049l" CSI "3");
    CHECK(!console_print(&console, "four\n", 5));
    put("1m\xc3");
    CHECK(!console_print(&console, "four\n", 5));
    put("\xa9");
    CHECK(console_print(&console, "four\n", 5));
    check_row(5, "four");
}

TEST(a_reset_of_everything)
{
    begin();
    put("shell" CSI "?1049h" CSI "Hvi" CSI "5;10r" CSI "?6h" ESCAPE "c");
    check_cursor(0, 0);
    check_row(0, "");
    CHECK(!console.alternate);
    put("new" CSI "24;1H\n");
    check_row(0, "");
}

TEST(questions)
{
    begin();
    put(CSI "5;7H" CSI "6n");
    check_answer(CSI "5;7R");
    put(CSI "5n");
    check_answer(CSI "0n");
    put(CSI "c");
    check_answer(CSI "?1;2c");
}

TEST(what_scrolled_off)
{
    struct input_event up = {.type = INPUT_KEY, .code = 104, .value = 1, .modifiers = INPUT_SHIFT};
    begin();
    for (int line = 0; line < 100; line++)
        putf("line %d\r\n", line);
    check_row(22, "line 99");
    console_key(&console, &up);
    check_row(22, "line 87");
    put("more");
    check_row(22, "line 87");
    up.code = 109;
    console_key(&console, &up);
    check_row(23, "more");
}

TEST(one_that_comes_back)
{
    begin();
    put("kept" CSI "3;3H\xe4\xb8\xad" CSI "c");
    check_answer(CSI "?1;2c");
    memset(cells, 0, sizeof(cells));
    struct terminal_kept *old = kept;
    struct console_kept *old_console = console_kept;
    end(&console);
    CHECK(console_init(&console, &screen, 1, old, old_console));
    console_show(&console, true);
    check_row(0, "kept");
    CHECK_EQUAL(cells[2][2].symbol, 0x4e2d);
    check_answer(""); /* nobody asked again */
}
