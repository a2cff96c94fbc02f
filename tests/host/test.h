/* The host tests' frame: a test program is one file of TEST()s; this header brings its main().
 *
 *     // sources: kernel/vmm/frame.c lib/base/list.c      (what is tested; compiled and linked with this file)
 *     #include "tests/host/test.h"
 *     TEST(frame_is_freed_at_zero) { CHECK(frame_owners(f) == 0); CHECK_EQUAL(free_frames(), before); }
 *
 * A failing CHECK reports and ends its test; the others still run. Sanitizer findings end the program, which
 * the runner counts as a failure too. `program NAME ARGUMENT...` runs one test, with test_arguments. Each test prints
 * `ok NAME` or `not ok NAME: why`. A header in front of this one may say how a test is run and what is done before a failed
 * one is left: TEST_RUN and TEST_CLEAN (tests/guest/guest.h).
 */
#pragma once

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef TEST_RUN
#define TEST_RUN(test)  (test)->run()
#define TEST_CLEAN(why) ((void)0)
#endif

struct test {
    const char *name;
    void (*run)(void);
    struct test *next;
};

static struct test *test_first, **test_last = &test_first;
static jmp_buf test_abort;
static char test_failure[512];
__attribute__((unused)) static char **test_arguments; /* behind the test's name */
__attribute__((unused)) static int test_argument_count;

static void test_register(struct test *test)
{
    *test_last = test;
    test_last = &test->next;
}

__attribute__((noreturn, format(printf, 3, 4), unused)) static void
test_fail(const char *file, int line, const char *format, ...)
{
    int used = snprintf(test_failure, sizeof(test_failure), "%s:%d: ", file, line);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(test_failure + used, sizeof(test_failure) - (size_t)used, format, arguments);
    va_end(arguments);
    TEST_CLEAN(test_failure);
    longjmp(test_abort, 1);
}

#define TEST(name)                                                      \
    static void test_##name(void);                                      \
    __attribute__((constructor)) static void test_register_##name(void) \
    {                                                                   \
        static struct test test = {#name, test_##name, NULL};           \
        test_register(&test);                                           \
    }                                                                   \
    static void test_##name(void)

#define FAIL(...) test_fail(__FILE__, __LINE__, __VA_ARGS__)

#define CHECK(condition)            \
    do {                            \
        if (!(condition))           \
            FAIL("%s", #condition); \
    } while (0)

/* Both sides are shown as signed and hexadecimal 64-bit numbers: pointers need a cast. */
#define CHECK_EQUAL(got, want)                                                                     \
    do {                                                                                           \
        int64_t test_got = (int64_t)(got), test_want = (int64_t)(want);                            \
        if (test_got != test_want)                                                                 \
            FAIL("%s is %" PRId64 " (0x%" PRIx64 "), want %s = %" PRId64 " (0x%" PRIx64 ")", #got, \
                 test_got, (uint64_t)test_got, #want, test_want, (uint64_t)test_want);             \
    } while (0)

#define CHECK_STRING(got, want)                                           \
    do {                                                                  \
        const char *test_got = (got), *test_want = (want);                \
        if (strcmp(test_got, test_want) != 0)                             \
            FAIL("%s is \"%s\", want \"%s\"", #got, test_got, test_want); \
    } while (0)

/* Repeatable pseudo-random numbers (xorshift64*): start `state` at anything but 0. */
__attribute__((unused)) static uint64_t test_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717);
}

/* Apart from main: its locals do not live across the setjmp. */
__attribute__((noinline)) static int test_passes(const struct test *test)
{
    if (setjmp(test_abort))
        return 0;
    TEST_RUN(test);
    return 1;
}

int main(int argc, char **argv)
{
    int failed = 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    test_arguments = argv + 2;
    test_argument_count = argc - 2;
    for (struct test *test = test_first; test; test = test->next) {
        if (argc > 1 && strcmp(argv[1], test->name) != 0)
            continue;
        if (test_passes(test)) {
            printf("ok %s\n", test->name);
        } else {
            failed = 1;
            printf("not ok %s: %s\n", test->name, test_failure);
        }
    }
    return failed;
}
