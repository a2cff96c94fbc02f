/* Key maps and what keys mean: levels, locks, dead keys, composing, repeating. */
// sources: sbin/inputd/keymap.c sbin/inputd/keys.c lib/sys/conf.c
#include "abi/abi.h"
#include "abi/errors.h"
#include "sbin/inputd/keys.h"
#include "tests/host/test.h"

static struct keymap map;
static struct keys keys;
static uint8_t down[INPUT_KEYS / 8];
static int64_t now;

static const char german[] = "# a part of de\n"
                             "letter 30 0x61 0x41 0xe6 0xc6\n"
                             "letter 16 0x71 0x51 0x40 0x3a9\n"
                             "key 3 0x32 0x22 0xb2 0x215b\n"
                             "key 13 0x200301 0x200300 0 0\n"
                             "key 57 0x20 0x20 0x20 0x20\n"
                             "letter 18 0x65 0x45 0x20ac 0\n"
                             "key 43 0x27 0x60 0 0\n"
                             "compose 0x301 0x65 0xe9\n"
                             "compose 0x301 0x20 0xb4\n"
                             "compose 0x300 0x61 0xe0\n";

static int parse(const char *text)
{
    struct keymap_problem problem;
    char copy[4096];
    size_t length = strlen(text);
    memcpy(copy, text, length + 1);
    return keymap_parse(&map, copy, length, &problem);
}

static void start(void)
{
    CHECK_EQUAL(parse(german), 0);
    keys = (struct keys){.map = &map};
    memset(down, 0, sizeof(down));
}

static struct input_event key(uint16_t code, int value)
{
    struct input_event event = {.time = now, .type = INPUT_KEY, .code = code, .value = value};
    if (value)
        down[code / 8] |= (uint8_t)(1u << code % 8);
    else
        down[code / 8] &= (uint8_t) ~(1u << code % 8);
    keys_event(&keys, down, &event);
    return event;
}

static uint32_t typed(uint16_t code)
{
    uint32_t symbol = key(code, 1).symbol;
    CHECK_EQUAL(key(code, 0).symbol, 0);
    return symbol;
}

TEST(levels)
{
    start();
    CHECK_EQUAL(typed(30), 'a');
    key(42, 1);
    CHECK_EQUAL(typed(30), 'A');
    CHECK_EQUAL(typed(3), '"');
    key(100, 1);
    CHECK_EQUAL(typed(16), 0x3a9);
    key(42, 0);
    CHECK_EQUAL(typed(16), '@');
    key(100, 0);
    CHECK_EQUAL(typed(16), 'q');
    keymap_destroy(&map);
}

TEST(both_shifts)
{
    start();
    key(42, 1);
    key(54, 1);
    key(42, 0);
    CHECK_EQUAL(typed(30), 'A');
    key(54, 0);
    CHECK_EQUAL(typed(30), 'a');
    keymap_destroy(&map);
}

TEST(locks)
{
    start();
    typed(58);
    CHECK_EQUAL(keys_lights(&keys), INPUT_LED_CAPS);
    CHECK_EQUAL(typed(30), 'A');
    CHECK_EQUAL(typed(3), '2'); /* no letter */
    key(42, 1);
    CHECK_EQUAL(typed(30), 'a');
    key(42, 0);
    typed(58);
    CHECK_EQUAL(keys_lights(&keys), 0);
    CHECK_EQUAL(typed(71), 0); /* Home */
    typed(69);
    CHECK_EQUAL(typed(71), '7');
    CHECK_EQUAL(typed(83), '.');
    key(42, 1);
    CHECK_EQUAL(typed(71), 0);
    CHECK_EQUAL(key(71, 1).modifiers, INPUT_SHIFT | INPUT_NUM);
    keymap_destroy(&map);
}

TEST(dead_keys)
{
    start();
    CHECK_EQUAL(typed(13), 0);
    CHECK_EQUAL(typed(18), 0xe9);
    CHECK_EQUAL(typed(18), 'e');
    typed(13);
    CHECK_EQUAL(typed(57), 0xb4);
    typed(13);
    CHECK_EQUAL(typed(13), 0xb4); /* twice */
    CHECK_EQUAL(typed(18), 'e');
    typed(13);
    CHECK_EQUAL(typed(3), '2'); /* nothing of that kind */
    CHECK_EQUAL(typed(18), 'e');
    typed(13);
    key(42, 1); /* a modifier between */
    key(42, 0);
    CHECK_EQUAL(typed(18), 0xe9);
    keymap_destroy(&map);
}

TEST(compose_key)
{
    start();
    CHECK_EQUAL(typed(127), 0);
    CHECK_EQUAL(typed(43), 0);
    CHECK_EQUAL(typed(18), 0xe9);
    typed(127);
    typed(18);
    CHECK_EQUAL(typed(43), 0xe9);
    typed(127);
    typed(30);
    CHECK_EQUAL(typed(30), 0); /* nothing */
    CHECK_EQUAL(typed(30), 'a');
    keymap_destroy(&map);
}

TEST(repeats)
{
    struct input_event event;
    start();
    now = 1000;
    CHECK_EQUAL(keys_deadline(&keys), DEADLINE_NEVER);
    key(30, 1);
    CHECK_EQUAL(keys_deadline(&keys), 1000 + KEYS_REPEAT_DELAY);
    CHECK(!keys_repeat(&keys, 1000 + KEYS_REPEAT_DELAY - 1, &event));
    CHECK(keys_repeat(&keys, 1000 + KEYS_REPEAT_DELAY, &event));
    CHECK_EQUAL(event.value, 2);
    CHECK_EQUAL(event.symbol, 'a');
    key(16, 1);
    key(30, 0); /* not the one that repeats */
    CHECK(keys_repeat(&keys, INT64_MAX - KEYS_REPEAT_PERIOD, &event));
    CHECK_EQUAL(event.symbol, 'q');
    key(16, 0);
    CHECK_EQUAL(keys_deadline(&keys), DEADLINE_NEVER);
    key(42, 1); /* modifiers do not */
    CHECK_EQUAL(keys_deadline(&keys), DEADLINE_NEVER);
    key(INPUT_BUTTON_LEFT, 1);
    CHECK_EQUAL(keys_deadline(&keys), DEADLINE_NEVER);
    keymap_destroy(&map);
}

TEST(bad_maps)
{
    static const char *const bad[] = {
        "key 300 1 2 3 4\n", "key 1 2 3\n",     "key 1 x 2 3 4\n",        "what\n",
        "compose 1 2\n",     "compose 1 2 0\n", "key 1 0x400000 0 0 0\n", "compose 0x200301 1 1\n"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        CHECK_EQUAL(parse(bad[i]), -E_BAD_FORMAT);
        keymap_destroy(&map);
    }
    CHECK_EQUAL(parse(""), 0);
    CHECK_EQUAL(keymap_symbol(&map, 30, 0), 0);
    CHECK_EQUAL(keymap_symbol(&map, 60000, 0), 0);
    CHECK_EQUAL(keymap_compose(&map, 0x301, 'e'), 0);
    keymap_destroy(&map);
}
