/* The terminal's line discipline: what is typed, what is read, what is seen. */
// sources: sbin/outputd/line.c
#include "sbin/outputd/line.h"

#include "tests/host/test.h"

static struct line line;
static int last_signal;

static void type_bytes(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        int signal = line_input(&line, (uint8_t)text[i]);
        if (signal)
            last_signal = signal;
    }
}

static void type(const char *text)
{
    type_bytes(text, strlen(text));
}

static void check_seen(const char *want)
{
    char seen[LINE_OUTPUT + 1];
    seen[line_output_take(&line, (uint8_t *)seen, LINE_OUTPUT)] = '\0';
    CHECK_STRING(seen, want);
}

static void check_read(const char *want)
{
    char got[LINE_INPUT + 1];
    bool end;
    size_t count = line_read(&line, (uint8_t *)got, LINE_INPUT, &end);
    got[count] = '\0';
    CHECK(!end);
    CHECK_STRING(got, want);
}

static void start(void)
{
    line_init(&line);
    last_signal = 0;
}

static void raw(uint8_t minimum)
{
    struct tty_attributes attributes = line.attributes;
    attributes.local &= ~(uint32_t)(LINE_ICANON | LINE_ECHO);
    attributes.characters[LINE_VMIN] = minimum;
    line_set_attributes(&line, &attributes);
}

static void local_flags(uint32_t set, uint32_t clear)
{
    struct tty_attributes attributes = line.attributes;
    attributes.local = (attributes.local & ~clear) | set;
    line_set_attributes(&line, &attributes);
}

TEST(a_line_is_readable_when_it_ends)
{
    start();
    type("hello");
    CHECK(!line_readable(&line, 1));
    CHECK_EQUAL(line_pending(&line), 0);
    type("\r"); /* ICRNL */
    CHECK(line_readable(&line, 1));
    CHECK_EQUAL(line_pending(&line), 6);
    check_seen("hello\r\n");
    check_read("hello\n");
    CHECK(!line_readable(&line, 1));
}

TEST(one_read_takes_at_most_one_line_and_at_most_its_size)
{
    uint8_t got[8] = {0};
    bool end;
    start();
    type("first\nsecond\n");
    CHECK_EQUAL(line_read(&line, got, 3, &end), 3);
    CHECK(memcmp(got, "fir", 3) == 0);
    check_read("st\n");
    check_read("second\n");
}

TEST(erase_takes_back_one_character)
{
    start();
    type("ab\x7f"
         "c\n");
    check_seen("ab\b \bc\r\n");
    check_read("ac\n");
    type("\x7f\x7f\n"); /* nothing to erase */
    check_seen("\r\n");
    check_read("\n");
}

TEST(erase_takes_back_a_utf8_character)
{
    start();
    type("a\xc3\xa4\x7f\n");
    check_seen("a\xc3\xa4\b \b\r\n");
    check_read("a\n");
}

TEST(erase_takes_back_control_characters_and_tabs)
{
    start();
    type("\x01\x7f");
    check_seen("^A\b \b\b \b");
    type("ab\t\x7f");
    check_seen("ab\t\b\b\b\b\b\b");
    type("c\n");
    check_seen("c\r\n");
    check_read("abc\n");
}

TEST(erasing_stops_at_what_the_program_printed)
{
    start();
    line_write(&line, (const uint8_t *)"prompt# ", 8);
    check_seen("prompt# ");
    type("x\ty\x15z\n");
    check_seen("x\ty\b \b\b\b\b\b\b\b\b\b \bz\r\n");
    check_read("z\n");
}

TEST(word_erase_and_kill)
{
    start();
    type("one two  \x17");
    check_seen("one two  \b \b\b \b\b \b\b \b\b \b");
    type("three\n");
    check_seen("three\r\n");
    check_read("one three\n");
    type("gone\x15kept\n");
    check_seen("gone\b \b\b \b\b \b\b \bkept\r\n");
    check_read("kept\n");
    local_flags(0, LINE_ECHOKE);
    type("ab\x15"
         "c\n");
    check_seen("ab^U\r\nc\r\n");
    check_read("c\n");
}

TEST(reprint_shows_the_line_again)
{
    start();
    type("abc\x12");
    check_seen("abc^R\r\nabc");
    type("\x7f\n");
    check_seen("\b \b\r\n");
    check_read("ab\n");
}

TEST(literal_next_takes_anything)
{
    start();
    type("\x16\x03\x16\x04\n");
    CHECK_EQUAL(last_signal, 0);
    check_seen("^\b^C^\b^D\r\n");
    check_read("\x03\x04\n");
}

TEST(end_of_file)
{
    uint8_t got[4];
    bool end;
    start();
    type("\x04");
    CHECK(line_readable(&line, 1));
    CHECK_EQUAL(line_read(&line, got, sizeof(got), &end), 0);
    CHECK(end);
    CHECK(!line_readable(&line, 1));
    type("abc\x04"); /* ends the line without a newline */
    check_seen("abc");
    check_read("abc");
    CHECK(!line_readable(&line, 1));
    type("abcd\x04"); /* the mark behind a full buffer is no end of file of its own */
    CHECK_EQUAL(line_read(&line, got, 4, &end), 4);
    CHECK(!end);
    CHECK(!line_readable(&line, 1));
}

TEST(signals_flush_and_echo)
{
    start();
    type("abc\x03");
    CHECK_EQUAL(last_signal, LINE_SIGINT);
    check_seen("^C"); /* the echo of abc went with the flush */
    type("x\n");
    check_read("x\n");
    check_seen("x\r\n");
    type("\x1c");
    CHECK_EQUAL(last_signal, LINE_SIGQUIT);
    type("\x1a");
    CHECK_EQUAL(last_signal, LINE_SIGTSTP);
    check_seen("^Z");
    last_signal = 0;
    local_flags(0, LINE_ISIG);
    type("\x03\n");
    CHECK_EQUAL(last_signal, 0);
    check_read("\x03\n");
}

TEST(noflsh_keeps_input)
{
    start();
    local_flags(LINE_NOFLSH, 0);
    type("abc\x03"
         "d\n");
    check_read("abcd\n");
}

TEST(raw_mode_is_byte_by_byte)
{
    start();
    raw(1);
    type("a\x7f\x04");
    CHECK(line_readable(&line, 1));
    CHECK(line_readable(&line, 3));
    CHECK(!line_readable(&line, 4));
    CHECK_EQUAL(line_pending(&line), 3);
    check_seen("");
    check_read("a\x7f\x04");
}

TEST(changing_modes_keeps_what_was_typed)
{
    start();
    type("abc");
    raw(1);
    check_read("abc");
    type("def");
    local_flags(LINE_ICANON | LINE_ECHO, 0);
    CHECK(line_readable(&line, 1));
    check_read("def");
    check_seen("abc");
}

TEST(flow_control_holds_output)
{
    uint8_t byte;
    start();
    type("\x13");
    CHECK_EQUAL(line_write(&line, (const uint8_t *)"held", 4), 4);
    CHECK_EQUAL(line_output_take(&line, &byte, 1), 0);
    CHECK_EQUAL(line_output_pending(&line), 4);
    type("\x11");
    check_seen("held");
}

TEST(output_processing)
{
    struct tty_attributes attributes;
    start();
    CHECK_EQUAL(line_write(&line, (const uint8_t *)"a\nb", 3), 3);
    check_seen("a\r\nb");
    attributes = line.attributes;
    attributes.output = 0;
    line_set_attributes(&line, &attributes);
    line_write(&line, (const uint8_t *)"a\n", 2);
    check_seen("a\n");
    attributes.output = LINE_OPOST | LINE_TABS;
    line_set_attributes(&line, &attributes);
    line_write(&line, (const uint8_t *)"\rab\tc", 5);
    check_seen("\rab      c");
}

TEST(full_queues)
{
    static uint8_t big[LINE_OUTPUT + 10];
    start();
    memset(big, 'x', sizeof(big));
    CHECK_EQUAL(line_write(&line, big, sizeof(big)), LINE_OUTPUT);
    CHECK_EQUAL(line_write(&line, big, 1), 0);
    line_flush_output(&line);
    /* A full line takes its newline all the same. */
    for (size_t i = 0; i < LINE_INPUT + 100; i++)
        line_input(&line, 'y');
    CHECK(!line_readable(&line, 1));
    line_input(&line, '\n');
    CHECK_EQUAL(line_pending(&line), LINE_INPUT);
    line_flush_input(&line);
    CHECK(!line_readable(&line, 1));
    raw(1);
    for (size_t i = 0; i < LINE_INPUT + 100; i++)
        line_input(&line, 'y');
    CHECK_EQUAL(line_pending(&line), LINE_INPUT);
}

TEST(anything_typed_in_any_mode_keeps_the_positions_in_order)
{
    uint64_t state = 4711;
    start();
    for (int i = 0; i < 400000; i++) {
        uint64_t random = test_random(&state);
        uint8_t buffer[64];
        bool end;
        switch (random % 16) {
        case 0:
            line_read(&line, buffer, random >> 8 & 63, &end);
            break;
        case 1:
            line_output_take(&line, buffer, 64);
            break;
        case 2:
            line_write(&line, (const uint8_t *)&random, 8);
            break;
        case 3:
            if (random >> 8 & 63)
                break;
            line.attributes.local = (uint32_t)(random >> 16);
            line.attributes.input = (uint32_t)(random >> 32);
            line_set_attributes(&line, &line.attributes);
            break;
        default:
            line_input(&line, (uint8_t)(random >> 8));
        }
        CHECK(line.read <= line.lines && line.lines <= line.end);
        CHECK(line.end - line.read <= LINE_INPUT);
        CHECK(line.output_end - line.output_read <= LINE_OUTPUT);
    }
}

/* --- Serial lines -------------------------------------------------------------------------------------------------- */

static void set_input(uint32_t flags)
{
    line_init(&line);
    line.attributes.local = LINE_ISIG;
    line.attributes.input = flags;
}

static void check_error(uint32_t flags, enum line_error error, const char *want, size_t length)
{
    uint8_t got[8];
    bool end;

    set_input(flags);
    CHECK_EQUAL(line_input_error(&line, 'x', error), 0);
    CHECK_EQUAL(line_read(&line, got, sizeof(got), &end), length);
    CHECK(memcmp(got, want, length) == 0);
}

TEST(damaged_bytes)
{
    check_error(0, LINE_DAMAGED, "x", 1);
    check_error(LINE_INPCK, LINE_DAMAGED, "\0", 1);
    check_error(LINE_INPCK | LINE_PARMRK, LINE_DAMAGED, "\xff\0x", 3);
    check_error(LINE_INPCK | LINE_IGNPAR, LINE_DAMAGED, "", 0);
}

TEST(breaks)
{
    check_error(0, LINE_BREAK, "\0", 1);
    check_error(LINE_PARMRK, LINE_BREAK, "\xff\0\0", 3);
    check_error(LINE_IGNBRK, LINE_BREAK, "", 0);
    set_input(LINE_BRKINT);
    type("lost");
    CHECK_EQUAL(line_input_error(&line, 0, LINE_BREAK), LINE_SIGINT);
    CHECK_EQUAL(line_pending(&line), 0);
}

TEST(a_device_is_stopped_before_bytes_are_lost)
{
    uint8_t bytes[LINE_INPUT];
    bool end;

    set_input(LINE_IXOFF);
    memset(bytes, 'a', sizeof(bytes));
    type_bytes((const char *)bytes, LINE_INPUT / 4 * 3 - 1);
    check_seen("");
    type("a");
    check_seen("\x13");
    CHECK_EQUAL(line_read(&line, bytes, LINE_INPUT / 4, &end), LINE_INPUT / 4);
    check_seen("");
    CHECK_EQUAL(line_read(&line, bytes, LINE_INPUT / 2, &end), LINE_INPUT / 2);
    check_seen("\x11");
}

TEST(room_for_who_can_wait)
{
    line_init(&line);
    CHECK(line_input_room(&line) > 0);
    for (unsigned i = 0; i < 2 * LINE_INPUT; i++) /* nobody could read it yet: dropped */
        type("a");
    CHECK(line_input_room(&line) > 0);
    type("\n");
    CHECK_EQUAL(line_input_room(&line), 0);
}
