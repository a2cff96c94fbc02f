// sources: kernel/log.c kernel/lock.c tests/host/fake_arch.c
/* format_text against what printf would say, and the ring of lines. */
#include "kernel/boot.h"
#include "kernel/log.h"
#include "tests/host/test.h"

static char console[65536];
static size_t console_length;
static uint64_t now;

void arch_console_write(const char *text, size_t length)
{
    for (size_t i = 0; i < length && console_length < sizeof(console) - 1; i++)
        console[console_length++] = text[i];
    console[console_length] = 0;
}

uint64_t arch_clock(void)
{
    return now;
}

const char *boot_option(const char *name, size_t *length)
{
    (void)name;
    *length = 0;
    return NULL;
}

__attribute__((format(printf, 1, 2))) static const char *text(const char *format, ...)
{
    static char buffer[256];
    va_list arguments;

    va_start(arguments, format);
    format_text(buffer, sizeof(buffer), format, arguments);
    va_end(arguments);
    return buffer;
}

__attribute__((format(printf, 3, 4))) static int into(char *buffer, size_t size, const char *format,
                                                      ...)
{
    va_list arguments;

    va_start(arguments, format);
    int length = format_text(buffer, size, format, arguments);
    va_end(arguments);
    return length;
}

TEST(numbers)
{
    CHECK_STRING(text("%d %d %d", 0, -1, INT32_MIN), "0 -1 -2147483648");
    CHECK_STRING(text("%ld", (long)INT64_MIN), "-9223372036854775808");
    CHECK_STRING(text("%u %lu", UINT32_MAX, (unsigned long)UINT64_MAX),
                 "4294967295 18446744073709551615");
    CHECK_STRING(text("%x %lx", 0xdeadbeefu, 0x123456789abcdef0ul), "deadbeef 123456789abcdef0");
    CHECK_STRING(text("%zu", (size_t)42), "42");
    CHECK_STRING(text("[%5d] [%-5d] [%05d] [%05d]", 42, 42, 42, -42),
                 "[   42] [42   ] [00042] [-0042]");
    CHECK_STRING(text("%016lx", 0xabcul), "0000000000000abc");
    CHECK_STRING(text("%3u|%2u", 1234u, 1234u), "1234|1234");
    CHECK_STRING(text("%*d", 4, 7), "   7");
    CHECK_STRING(text("%p", (void *)0x1000), "0x1000");
}

TEST(strings)
{
    CHECK_STRING(text("%s %.*s %.2s", "abc", 2, "xyz", "pqr"), "abc xy pq");
    CHECK_STRING(text("[%6s] [%-6s]", "abc", "abc"), "[   abc] [abc   ]");
    CHECK_STRING(text("%c%c%%", 'o', 'k'), "ok%");

    char unterminated[2] = {'a', 'b'};
    CHECK_STRING(text("%.*s", 2, unterminated), "ab");
}

TEST(what_does_not_fit_is_cut_and_counted)
{
    char buffer[8];

    CHECK_EQUAL(into(buffer, sizeof(buffer), "%s", "0123456789"), 10);
    CHECK_STRING(buffer, "0123456");
    CHECK_EQUAL(into(buffer, 1, "%d", 12345), 5);
    CHECK_STRING(buffer, "");
    CHECK_EQUAL(into(NULL, 0, "%d", 12345), 5);
}

TEST(lines_have_times_and_levels)
{
    console_length = 0;
    now = 1500000000;
    log_info("memory: %u MiB", 64u);
    log_debug("not shown");
    log_error("bad");
    CHECK_STRING(console, "[    1.500000] memory: 64 MiB\n[    1.500000] error: bad\n");
    log_console_taken();
    console_length = 0;
    log_info("not shown either");
    log_warning("shown");
    CHECK_STRING(console, "[    1.500000] shown\n");
    log_console_back();
    console_length = 0;
    log_info("shown again");
    CHECK_STRING(console, "[    1.500000] shown again\n");
}

TEST(processes_cannot_forge_lines_or_reach_the_terminal)
{
    char buffer[512];
    uint64_t sequence = UINT64_MAX;

    CHECK_EQUAL(log_read(&sequence, buffer, sizeof(buffer), LOG_DEBUG), 0);
    now = 0;
    log_user("evil", "one\n\x1b[2Jtwo\n", 12);
    size_t length = log_read(&sequence, buffer, sizeof(buffer) - 1, LOG_DEBUG);
    buffer[length] = 0;
    CHECK_STRING(buffer, "[    0.000000] evil: one\n[    0.000000] evil: ?[2Jtwo\n");
}

TEST(readers_get_whole_lines_and_catch_up)
{
    char buffer[256];
    uint64_t sequence = UINT64_MAX;

    log_read(&sequence, buffer, sizeof(buffer), LOG_DEBUG);
    uint64_t start = sequence;
    log_info("first");
    log_info("second");
    size_t length = log_read(&sequence, buffer, 30, LOG_DEBUG); /* room for one line and a bit */
    CHECK_EQUAL(length, sizeof("[    0.000000] first\n") - 1);
    length = log_read(&sequence, buffer, sizeof(buffer), LOG_DEBUG);
    CHECK_EQUAL(length, sizeof("[    0.000000] second\n") - 1);
    CHECK_EQUAL(log_read(&sequence, buffer, sizeof(buffer), LOG_DEBUG), 0);

    for (unsigned i = 0; i < 20000; i++)
        log_info("line %u", i);
    sequence = start; /* long gone: the oldest whole line comes instead */
    length = log_read(&sequence, buffer, sizeof(buffer), LOG_DEBUG);
    CHECK(length > 0 && buffer[0] == '[' && buffer[length - 1] == '\n');
    CHECK(sequence > start + length);
    sequence = 5;
    CHECK_EQUAL(log_read(&sequence, buffer, 4, LOG_DEBUG),
                4); /* a buffer too small for any line: pieces */
}

TEST(long_lines_are_cut)
{
    static char huge[4096], buffer[4096];
    uint64_t sequence = UINT64_MAX;

    memset(huge, 'x', sizeof(huge));
    log_read(&sequence, buffer, sizeof(buffer), LOG_DEBUG);
    log_user("p", huge, sizeof(huge));
    log_info("%.*s", (int)sizeof(huge), huge);
    size_t length = log_read(&sequence, buffer, sizeof(buffer), LOG_DEBUG);
    CHECK_EQUAL(length, 1024);
    CHECK(buffer[511] == '\n' && buffer[1023] == '\n');
}

TEST(what_goes_to_a_console)
{
    char buffer[512];
    uint64_t sequence = UINT64_MAX;

    log_read(&sequence, buffer, sizeof(buffer), LOG_WARNING);
    log_console_taken();
    log_news();
    log_info("one");
    log_user("rngd", "two", 3);
    CHECK(!log_news());
    CHECK_EQUAL(log_console_level(), LOG_WARNING);
    CHECK_EQUAL(log_read(&sequence, buffer, sizeof(buffer), LOG_WARNING), 0);
    log_warning("three");
    log_info("four");
    log_error("five");
    log_info("six");
    CHECK(log_news());
    CHECK(!log_news());
    size_t length = log_read(&sequence, buffer, 30, LOG_WARNING); /* room for one and a bit */
    buffer[length] = 0;
    CHECK_STRING(buffer, "[    0.000000] three\n");
    length = log_read(&sequence, buffer, sizeof(buffer), LOG_WARNING);
    buffer[length] = 0;
    CHECK_STRING(buffer, "[    0.000000] error: five\n");
    CHECK_EQUAL(log_read(&sequence, buffer, sizeof(buffer), LOG_WARNING), 0);
    log_warning("seven");
    CHECK_EQUAL(log_read(&sequence, buffer, 4, LOG_WARNING), 4); /* in pieces, the level in none */
    CHECK(memcmp(buffer, "[   ", 4) == 0);
    length = log_read(&sequence, buffer, sizeof(buffer), LOG_WARNING);
    buffer[length] = 0;
    CHECK_STRING(buffer, " 0.000000] seven\n");
    log_console_back();
}
