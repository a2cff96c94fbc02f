// sources: lib/base/linux_stack.c
/* The start stack: read back as a C library would. */
#include "lib/base/linux_stack.h"

#include "tests/host/test.h"

#define TOP  UINT64_C(0x7ffebffff000)
#define ROOM 65536u

static uint8_t image[ROOM] __attribute__((aligned(16)));
static uint64_t rsp;

static const char *at(uint64_t address)
{
    CHECK(address >= rsp && address < TOP);
    return (const char *)image + (address - rsp);
}

static uint64_t word(uint64_t index)
{
    uint64_t value;

    memcpy(&value, at(rsp + index * 8), sizeof(value));
    return value;
}

/* The value of an auxiliary vector entry; *found: how many there are. */
static uint64_t auxiliary(uint64_t first, uint64_t type, int *found)
{
    uint64_t value = 0;

    *found = 0;
    for (uint64_t i = first; word(i); i += 2)
        if (word(i) == type) {
            value = word(i + 1);
            ++*found;
        }
    return value;
}

static uint64_t required(uint64_t first, uint64_t type)
{
    int found;
    uint64_t value = auxiliary(first, type, &found);

    CHECK_EQUAL(found, 1);
    return value;
}

static struct linux_start start_of(const char *strings, size_t length, uint64_t arguments,
                                   uint64_t environment)
{
    return (struct linux_start){
        .argument_count = arguments,
        .environment_count = environment,
        .strings = strings,
        .strings_length = length,
        .name = "/bin/program",
        .entry = 0x401000,
        .phdr = 0x400040,
        .phnum = 5,
        .phent = 56,
        .interpreter_base = 0x7f0000000000,
        .hwcap = 0x1234,
        .hwcap2 = 2,
        .uid = 1,
        .euid = 2,
        .gid = 3,
        .egid = 4,
        .secure = true,
        .random = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
    };
}

static void build(const struct linux_start *start)
{
    size_t length = linux_stack_length(start);

    CHECK(length <= sizeof(image));
    memset(image, 0xee, sizeof(image));
    rsp = linux_stack_build(start, TOP, image);
    CHECK_EQUAL(rsp, TOP - length);
    CHECK_EQUAL(rsp % 16, 0);
    CHECK(length == sizeof(image) || image[length] == 0xee);
}

TEST(arguments_and_environment)
{
    static const char strings[] = "program\0-x\0\0A=1\0B=";
    struct linux_start start = start_of(strings, sizeof(strings), 3, 2);

    build(&start);
    CHECK_EQUAL(word(0), 3);
    CHECK_STRING(at(word(1)), "program");
    CHECK_STRING(at(word(2)), "-x");
    CHECK_STRING(at(word(3)), "");
    CHECK_EQUAL(word(4), 0);
    CHECK_STRING(at(word(5)), "A=1");
    CHECK_STRING(at(word(6)), "B=");
    CHECK_EQUAL(word(7), 0);
}

TEST(auxiliary_vector)
{
    struct linux_start start = start_of("p", 2, 1, 0);
    int found;

    build(&start);
    CHECK_EQUAL(required(4, 3), 0x400040);
    CHECK_EQUAL(required(4, 4), 56);
    CHECK_EQUAL(required(4, 5), 5);
    CHECK_EQUAL(required(4, 6), 4096);
    CHECK_EQUAL(required(4, 7), 0x7f0000000000);
    CHECK_EQUAL(required(4, 9), 0x401000);
    CHECK_EQUAL(required(4, 11), 1);
    CHECK_EQUAL(required(4, 12), 2);
    CHECK_EQUAL(required(4, 13), 3);
    CHECK_EQUAL(required(4, 14), 4);
    CHECK_EQUAL(required(4, 16), 0x1234);
    CHECK_EQUAL(required(4, 23), 1);
    CHECK_EQUAL(required(4, 26), 2);
    CHECK_STRING(at(required(4, 15)), "x86_64");
    CHECK_STRING(at(required(4, 31)), "/bin/program");
    CHECK_EQUAL(memcmp(at(required(4, 25)), start.random, 16), 0);
    auxiliary(4, 51, &found);
    CHECK_EQUAL(found, 0);
    start.signal_stack_minimum = 3632;
    build(&start);
    CHECK_EQUAL(required(4, 51), 3632);
}

TEST(nothing_at_all)
{
    struct linux_start start = start_of("", 0, 0, 0);

    build(&start);
    CHECK_EQUAL(word(0), 0);
    CHECK_EQUAL(word(1), 0);
    CHECK_EQUAL(word(2), 0);
}

TEST(every_length_fits)
{
    char strings[200];

    memset(strings, 'a', sizeof(strings));
    for (size_t length = 1; length < sizeof(strings); length++) {
        strings[length - 1] = '\0';
        struct linux_start start = start_of(strings, length, 1, 0);
        build(&start);
        CHECK_EQUAL(strlen(at(word(1))), length - 1);
        CHECK_STRING(at(required(4, 31)), "/bin/program");
        strings[length - 1] = 'a';
    }
}
