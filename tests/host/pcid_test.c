// sources: kernel/x86_64/pcid.c
/* PCIDs against a model of what a CPU has cached: a space must never be loaded without a flush while something
 * stale, or another space's, may lie under its PCID. QEMU has no PCID, so this is the only place that sees it. */
#include "kernel/x86_64/pcid.h"
#include "tests/host/test.h"

TEST(a_space_keeps_its_pcid_while_nothing_is_flushed)
{
    struct pcid_table table = {0};
    bool flush;
    unsigned first = pcid_choose(&table, 1, 0, &flush);

    CHECK(flush);
    CHECK(first >= 1 && first <= PCID_SLOTS);
    unsigned other = pcid_choose(&table, 2, 0, &flush);
    CHECK(flush);
    CHECK(other != first);
    CHECK_EQUAL(pcid_choose(&table, 1, 0, &flush), first);
    CHECK(!flush);
}

TEST(a_flush_that_was_missed_is_made_up_for)
{
    struct pcid_table table = {0};
    bool flush;

    pcid_choose(&table, 1, 0, &flush);
    pcid_choose(&table, 1, 1, &flush);
    CHECK(flush);
    pcid_choose(&table, 1, 1, &flush);
    CHECK(!flush);
}

TEST(a_partial_flush_counts_only_in_step)
{
    struct pcid_table table = {0};
    bool flush;

    pcid_choose(&table, 1, 5, &flush);
    CHECK(pcid_step(&table, 1, 6));
    CHECK(!pcid_step(&table, 1, 8));
    pcid_in_step(&table, 1, 8);
    CHECK(pcid_step(&table, 1, 9));
    CHECK(!pcid_step(&table, 2, 1));
    pcid_choose(&table, 1, 9, &flush);
    CHECK(!flush);
}

#define SPACES 20u

/* What one CPU has cached under each PCID: whose, and as of which flush. */
struct cached {
    uint64_t space, flushes;
};

TEST(random_loads_never_see_stale_translations)
{
    struct pcid_table table = {0};
    struct cached cached[PCID_SLOTS + 1] = {0};
    uint64_t flushes[SPACES + 1] = {0}, random = 1;
    uint64_t loaded = 0;
    unsigned pcid = 0;

    for (unsigned turn = 0; turn < 200000; turn++) {
        uint64_t space = test_random(&random) % SPACES + 1;
        bool flush;

        if (test_random(&random) % 3) {
            loaded = space;
            pcid = pcid_choose(&table, space, flushes[space], &flush);
            CHECK(pcid >= 1 && pcid <= PCID_SLOTS);
            if (flush)
                cached[pcid] = (struct cached){space, flushes[space]};
            CHECK_EQUAL(cached[pcid].space, space);
            CHECK_EQUAL(cached[pcid].flushes, flushes[space]);
            continue;
        }
        /* Somebody flushes: this CPU hears of it only if it has the space loaded. */
        flushes[space]++;
        if (space != loaded)
            continue;
        if (!pcid_step(&table, space, flushes[space]))
            pcid_in_step(&table, space, flushes[space]); /* everything goes */
        cached[pcid].flushes = flushes[space];
    }
}
