// sources: kernel/x86_64/routing.c
/* Interrupt lines, vectors, and the scaling of time. */
#include "kernel/x86_64/routing.h"
#include "kernel/x86_64/scale.h"
#include "kernel/x86_64/vectors.h"
#include "tests/host/test.h"

TEST(isa_lines_follow_their_overrides)
{
    struct routes routes;
    struct line line;

    routing_init(&routes);
    CHECK(routing_override(&routes, 0, 2, false, false));
    CHECK(routing_override(&routes, 9, 20, true, true));
    CHECK(!routing_override(&routes, 16, 3, false, false));

    CHECK(routing_resolve(&routes, 4, IRQ_ISA | IRQ_LEVEL | IRQ_LOW,
                          &line)); /* flags: the bus knows better */
    CHECK(line.gsi == 4 && !line.level && !line.low);
    CHECK(routing_resolve(&routes, 0, IRQ_ISA, &line));
    CHECK(line.gsi == 2);
    CHECK(routing_resolve(&routes, 9, IRQ_ISA, &line));
    CHECK(line.gsi == 20 && line.level && line.low);
    CHECK(!routing_resolve(&routes, 16, IRQ_ISA, &line));

    CHECK(routing_resolve(&routes, 9, IRQ_LEVEL, &line)); /* a global line: no override */
    CHECK(line.gsi == 9 && line.level && !line.low);
    CHECK(routing_resolve(&routes, 100, IRQ_LOW, &line));
    CHECK(line.gsi == 100 && !line.level && line.low);
}

/* The map only keeps them. */
static struct irq_line *fake_line(uintptr_t number)
{
    return (struct irq_line *)(number * 16);
}

TEST(vectors_are_unique_and_come_back)
{
    struct vector_map map = {0};
    bool seen[256] = {false};
    uint8_t vector, first;

    CHECK(vectors_take(&map, fake_line(1000), &first));
    seen[first] = true;
    for (uint32_t i = 1; i < VECTOR_COUNT; i++) {
        CHECK(vectors_take(&map, fake_line(1000 + i), &vector));
        CHECK(vector >= VECTOR_DEVICE_FIRST && vector <= VECTOR_DEVICE_LAST && !seen[vector]);
        CHECK(vectors_find(&map, vector) == fake_line(1000 + i));
        seen[vector] = true;
    }
    CHECK(!vectors_take(&map, fake_line(1), &vector));
    CHECK_EQUAL(map.used, VECTOR_COUNT);
    vectors_give(&map, first);
    CHECK(!vectors_find(&map, first));
    CHECK(vectors_take(&map, fake_line(7), &vector));
    CHECK_EQUAL(vector, first);
    CHECK(!vectors_find(&map, VECTOR_TIMER));
    CHECK(!vectors_find(&map, 3));
}

TEST(the_first_vectors_have_different_priorities)
{
    struct vector_map map = {0};
    uint8_t a, b;

    CHECK(vectors_take(&map, fake_line(1), &a) && vectors_take(&map, fake_line(2), &b));
    CHECK(a >> 4 != b >> 4);
}

/* SDM volume 3, 10.11: fixed, physical, no redirection; a stray bit would be another delivery mode. */
TEST(messages)
{
    struct abi_irq_message message;

    message_encode(&message, 0, 0x20);
    CHECK_EQUAL(message.address, 0xfee00000);
    CHECK_EQUAL(message.data, 0x20);
    message_encode(&message, MESSAGE_APIC_LIMIT - 1, 0xdf);
    CHECK_EQUAL(message.address, 0xfeefe000);
    CHECK_EQUAL(message.data, 0xdf);
}

TEST(scaling_is_exact_enough_and_does_not_overflow)
{
    static const uint64_t rates[] = {1,          32768,      1193182,   3579545,
                                     10000000,   14318180,   100000000, 1000000000,
                                     2400000017, 2999999999, 5000000000};

    for (unsigned i = 0; i < ARRAY_SIZE(rates); i++) {
        struct scale to_ns = scale_make(rates[i], 1000000000),
                     from_ns = scale_make(1000000000, rates[i]);
        uint64_t year = rates[i] * 86400 * 365;

        CHECK_EQUAL(scale_apply(to_ns, 0), 0);
        /* A year of counts is a year of nanoseconds, and back, to the last but one. */
        CHECK(UINT64_C(86400000000000) * 365 - scale_apply(to_ns, year) <= 1);
        CHECK(year - scale_apply(from_ns, UINT64_C(86400000000000) * 365) <= 1);
        for (uint64_t count = 1; count < UINT64_MAX / 3; count *= 3)
            CHECK(scale_apply(to_ns, count + 1) >= scale_apply(to_ns, count));
    }
    CHECK_EQUAL(scale_apply(scale_make(1, 1000000000), UINT64_MAX / 2), UINT64_MAX);
    CHECK_EQUAL(scale_apply(scale_make(1000, 1000), 12345), 12345);
}
