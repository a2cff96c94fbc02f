/* The pauses of what initd starts again (sbin/initd/life.h). */
#include "sbin/initd/life.h"
#include "tests/host/test.h"

#define MILLISECOND INT64_C(1000000)

static struct life life;

/* The pause after a life of so many ms. */
static uint32_t pause_after(int64_t lived)
{
    life.started_at = 5 * MILLISECOND;
    return life_pause(&life, life.started_at + lived * MILLISECOND);
}

TEST(lives_that_end_at_once_have_longer_and_longer_pauses)
{
    life = (struct life){0};
    for (uint32_t wanted = 10; wanted < 5000; wanted *= 2)
        CHECK_EQUAL(pause_after(1), wanted);
    CHECK_EQUAL(pause_after(1), 5000);
    CHECK_EQUAL(pause_after(9999), 5000);
    CHECK_EQUAL(pause_after(10000), 10);
}

TEST(a_life_of_ten_pauses_begins_anew)
{
    life = (struct life){0};
    for (int i = 0; i < 100; i++)
        CHECK_EQUAL(pause_after(200), 10);
    CHECK_EQUAL(pause_after(199), 20);
    CHECK_EQUAL(pause_after(399), 40);
    CHECK_EQUAL(pause_after(800), 10);
}

TEST(what_is_kept_is_not_believed)
{
    life = (struct life){.pause_ms = 7};
    CHECK_EQUAL(pause_after(0), 10);
    life = (struct life){.pause_ms = UINT32_MAX};
    CHECK_EQUAL(pause_after(0), 10);
}
