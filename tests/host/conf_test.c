/* Configuration files: words, and the services' keys. */
// sources: lib/sys/conf.c lib/sys/quota.c sbin/initd/service_conf.c
#include "lib/sys/conf.h"

#include "abi/abi.h"
#include "abi/errors.h"
#include "sbin/initd/service_conf.h"
#include "tests/host/test.h"

static char text[4096];
static struct conf_problem problem;

static int parse(struct service_conf *conf, const char *source)
{
    strcpy(text, source);
    return service_conf_parse(conf, "demo", text, strlen(text), &problem);
}

TEST(words_quotes_and_comments)
{
    char *words[4];
    strcpy(text, "\n  # nothing\none two\t\"three and\" # rest\n\n\"\" x#y\nlast");
    struct conf_reader reader = {.text = text, .length = strlen(text)};
    CHECK_EQUAL(conf_next(&reader, words, 4), 3);
    CHECK_STRING(words[0], "one");
    CHECK_STRING(words[1], "two");
    CHECK_STRING(words[2], "three and");
    CHECK_EQUAL(reader.line, 3);
    CHECK_EQUAL(conf_next(&reader, words, 4), 2);
    CHECK_STRING(words[0], "");
    CHECK_STRING(words[1], "x#y");
    CHECK_EQUAL(conf_next(&reader, words, 4), 1);
    CHECK_STRING(words[0], "last");
    CHECK_EQUAL(conf_next(&reader, words, 4), 0);
    CHECK_EQUAL(conf_next(&reader, words, 4), 0);
}

TEST(a_service_has_time_for_ending)
{
    struct service_conf conf;
    CHECK_EQUAL(parse(&conf, "protocol demo"), 0);
    CHECK_EQUAL(conf.stop_ms, CONF_STOP_MS);
    service_conf_destroy(&conf);
    CHECK_EQUAL(parse(&conf, "stop 120000"), 0);
    CHECK_EQUAL(conf.stop_ms, 120000);
    service_conf_destroy(&conf);
    CHECK_EQUAL(parse(&conf, "stop 120001"), -E_BAD_FORMAT);
    service_conf_destroy(&conf);
}

TEST(broken_lines_are_errors_and_the_rest_is_read)
{
    char *words[2];
    strcpy(text, "\"open\na b c\nfine\n");
    struct conf_reader reader = {.text = text, .length = strlen(text)};
    CHECK_EQUAL(conf_next(&reader, words, 2), -E_BAD_FORMAT);
    CHECK_STRING(reader.problem, "a quotation mark is not closed");
    CHECK_EQUAL(conf_next(&reader, words, 2), -E_BAD_FORMAT);
    CHECK_STRING(reader.problem, "too many words");
    CHECK_EQUAL(conf_next(&reader, words, 2), 1);
    CHECK_STRING(words[0], "fine");
}

TEST(numbers)
{
    uint64_t value;
    CHECK(conf_number("0", 0, &value) && value == 0);
    CHECK(conf_number("0x3f8", 0xffff, &value) && value == 0x3f8);
    CHECK(conf_number("18446744073709551615", UINT64_MAX, &value) && value == UINT64_MAX);
    CHECK(!conf_number("18446744073709551616", UINT64_MAX, &value));
    CHECK(!conf_number("256", 255, &value));
    CHECK(!conf_number("", 255, &value));
    CHECK(!conf_number("0x", 255, &value));
    CHECK(!conf_number("12x", 255, &value));
    CHECK(!conf_number("-1", 255, &value));
}

TEST(a_service_with_everything)
{
    struct service_conf conf;
    CHECK_EQUAL(parse(&conf,
                      "protocol tty pts\nuse proc initfs\nafter procd\nioport 0x3f8 8\n"
                      "irq 4 isa\nirq 17 level low\nmemory 0xfed00000 4096\nrestart never\n"
                      "priority 4\nready 100\nargument -v \"a b\"\nenvironment A=1\n"
                      "give framebuffer\nclock\nport own\nlimit memory 64M\nlimit threads 0x10\n"),
                0);
    CHECK_STRING(conf.name, "demo");
    CHECK_STRING(conf.program, "initfs:///sbin/demo");
    CHECK_EQUAL(conf.arguments.count, 3);
    CHECK_STRING(conf.arguments.items[2], "a b");
    CHECK(!conf.arguments.items[3]);
    CHECK_EQUAL(conf.protocols.count, 2);
    CHECK_EQUAL(conf.uses.count, 2);
    CHECK_EQUAL(conf.ioports.items[0].base, 0x3f8);
    CHECK_EQUAL(conf.irqs.count, 2);
    CHECK_EQUAL(conf.irqs.items[0].count, IRQ_ISA);
    CHECK_EQUAL(conf.irqs.items[1].count, IRQ_LEVEL | IRQ_LOW);
    CHECK_EQUAL(conf.memories.items[0].count, 4096);
    CHECK(!conf.restart);
    CHECK(conf.limited);
    CHECK_EQUAL(conf.limits[QUOTA_MEMORY], 64 << 20);
    CHECK_EQUAL(conf.limits[QUOTA_THREADS], 16);
    CHECK_EQUAL(conf.limits[QUOTA_HANDLES], QUOTA_UNLIMITED);
    CHECK(conf.clock);
    CHECK_STRING(conf.port, "own");
    CHECK_EQUAL(conf.priority, 4);
    CHECK_EQUAL(conf.ready_ms, 100);
    service_conf_destroy(&conf);
}

TEST(defaults_and_another_program)
{
    struct service_conf conf;
    CHECK_EQUAL(parse(&conf, ""), 0);
    CHECK(conf.restart);
    CHECK(!conf.limited);
    CHECK(!conf.clock);
    CHECK_EQUAL(conf.ready_ms, CONF_READY_MS);
    CHECK_STRING(conf.arguments.items[0], "initfs:///sbin/demo");
    service_conf_destroy(&conf);
    CHECK_EQUAL(parse(&conf, "argument x\nprogram fs:///bin/other\n"), 0);
    CHECK_STRING(conf.program, "fs:///bin/other");
    CHECK_STRING(conf.arguments.items[0], "fs:///bin/other");
    CHECK_STRING(conf.arguments.items[1], "x");
    service_conf_destroy(&conf);
}

TEST(mistakes_name_their_line)
{
    static const char *const wrong[] = {
        "\nprotocol\n",
        "\nnonsense 1\n",
        "\nioport 0x3f8\n",
        "\nioport 0xffff 2\n",
        "\nirq x\n",
        "\nirq 4 edge\n",
        "\nmemory 1 4096\n",
        "\nrestart maybe\n",
        "\npriority 32\n",
        "\nlimit memory\n",
        "\nlimit nosuch 1\n",
        "\nlimit memory M\n",
        "\nlimit memory 99999999999999999999\n",
        "\nlimit memory 17179869184G\n",
        "\nready soon\n",
        "\nclock on\n",
        "\nuse a/b\n",
        "\nport a b\n",
        "\nport a-name-that-is-longer-than-there-is-room\n",
        "\nprotocol x:y\n",
        "\nirq 4 isa isa isa isa\n",
        "\nuse \"x\n",
    };
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        struct service_conf conf;
        problem = (struct conf_problem){0};
        if (parse(&conf, wrong[i]) != -E_BAD_FORMAT || problem.line != 2 || !problem.text)
            FAIL("accepted \"%s\"", wrong[i]);
        service_conf_destroy(&conf);
    }
}
