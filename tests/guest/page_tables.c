/* What changes of mappings cost beside the pages: frames in page tables, and interrupts of other CPUs. */
#include "tests/guest/guest.h"

#define AREA UINT64_C(0x310000000000) /* nothing of the C library lies here */
#define MIB  UINT64_C(0x100000)
#define GIB  UINT64_C(0x40000000)

/* As many unmapped places may wait until their tables are looked at: trim.c. A place has a table of each level. */
#define TABLES_LATE (8u * 3)

static void map_at(uint64_t address, uint64_t length)
{
    struct abi_map map = {
        .address = address,
        .length = length,
        .memory = HANDLE_NONE,
        .protection = PROT_READ_ | PROT_WRITE_,
        .flags = MAP_FIXED_,
    };

    MUST(sys_space_map(HANDLE_SELF, &map));
}

static void unmap_at(uint64_t address, uint64_t length)
{
    MUST(sys_space_unmap(HANDLE_SELF, address, length));
}

static void touch(uint64_t address, uint64_t length, uint64_t step)
{
    for (uint64_t at = address; at < address + length; at += step)
        *(volatile uint8_t *)at = 1;
}

static uint64_t tables(void)
{
    return system_info().page_tables;
}

TEST(tables_of_a_large_range_go_with_it)
{
    map_at(AREA, PAGE_SIZE); /* the tables above stay, and so does its own */
    touch(AREA, 1, PAGE_SIZE);

    uint64_t before = tables();

    map_at(AREA + 2 * MIB, 128 * MIB);
    touch(AREA + 2 * MIB, 128 * MIB, 2 * MIB);
    CHECK_EQUAL(tables(), before + 64);
    unmap_at(AREA + 2 * MIB, 128 * MIB);
    CHECK_EQUAL(tables(), before);
    CHECK_EQUAL(*(volatile uint8_t *)AREA, 1);
    unmap_at(AREA, PAGE_SIZE);
}

/* Pages far from each other, each with tables of its own, unmapped one by one. */
TEST(tables_of_single_pages_go)
{
    uint64_t before = tables();

    for (uint64_t i = 0; i < 64; i++) {
        map_at(AREA + i * GIB, PAGE_SIZE);
        touch(AREA + i * GIB, 1, PAGE_SIZE);
    }
    CHECK(tables() >= before + 2 * 63); /* the first place may have its own from before */
    for (uint64_t i = 0; i < 64; i++)
        unmap_at(AREA + i * GIB, PAGE_SIZE);
    CHECK(tables() <= before + TABLES_LATE);
}

/* A table that others still use stays, whatever is unmapped beside them; the same place does not take new ones. */
TEST(tables_in_use_stay)
{
    map_at(AREA, 2 * MIB);
    touch(AREA, 2 * MIB, PAGE_SIZE);

    uint64_t before = tables();

    for (uint64_t page = 0; page < 511; page++)
        unmap_at(AREA + page * PAGE_SIZE, PAGE_SIZE);
    CHECK_EQUAL(tables(), before);
    CHECK_EQUAL(*(volatile uint8_t *)(AREA + 511 * PAGE_SIZE), 1);
    for (int i = 0; i < 100; i++) {
        map_at(AREA, PAGE_SIZE);
        touch(AREA, 1, PAGE_SIZE);
        unmap_at(AREA, PAGE_SIZE);
    }
    CHECK(tables() <= before);
    unmap_at(AREA + 511 * PAGE_SIZE, PAGE_SIZE);
}

/* What was thrown away before it was unmapped, and what was moved. */
TEST(tables_that_were_emptied_before_go)
{
    uint64_t before = tables();

    for (uint64_t i = 0; i < 64; i++) {
        map_at(AREA + i * GIB, PAGE_SIZE);
        touch(AREA + i * GIB, 1, PAGE_SIZE);
        MUST(sys_space_op(HANDLE_SELF, SPACE_OP_DISCARD, AREA + i * GIB, PAGE_SIZE, 0));
        unmap_at(AREA + i * GIB, PAGE_SIZE);
    }
    CHECK(tables() <= before + TABLES_LATE);
    map_at(AREA, PAGE_SIZE);
    touch(AREA, 1, PAGE_SIZE);
    for (uint64_t i = 0; i < 64; i++)
        MUST(sys_space_op(HANDLE_SELF, SPACE_OP_MOVE, AREA + i * GIB, PAGE_SIZE,
                          AREA + (i + 1) * GIB));
    CHECK_EQUAL(*(volatile uint8_t *)(AREA + 64 * GIB), 1);
    unmap_at(AREA + 64 * GIB, PAGE_SIZE);
    CHECK(tables() <= before + TABLES_LATE);
}

static void end_at_once(void *argument)
{
    (void)argument;
}

TEST(tables_go_with_their_process)
{
    uint64_t before = 0;

    for (int i = 0; i < 20; i++) {
        helper_join(helper_process(end_at_once, NULL));
        if (i == 0)
            before = tables();
    }
    for (int i = 0; tables() > before && i < SETTLE_TRIES; i++)
        sleep_for(SETTLE_STEP);
    CHECK(tables() <= before);
}

/* --- Interrupts of other CPUs ------------------------------------------------------------------------------------ */

struct spinner {
    uint32_t spins, stop;
};

static void spin(void *argument)
{
    struct spinner *spinner = argument;

    __atomic_store_n(&spinner->spins, 1, __ATOMIC_SEQ_CST);
    while (!__atomic_load_n(&spinner->stop, __ATOMIC_RELAXED))
        __asm__ volatile("pause");
}

static uint64_t interrupts(void)
{
    return system_info().shootdown_interrupts;
}

/* A helper that keeps another CPU in user mode; this thread stays where it is, on CPU 0. */
static struct helper *spin_on(struct helper *(*start)(void (*)(void *), void *),
                              struct spinner *spinner, unsigned cpu)
{
    MUST(sys_thread_control(HANDLE_SELF, THREAD_AFFINITY, 1, NULL));

    struct helper *helper = start(spin, spinner);

    MUST(sys_thread_control(helper->thread, THREAD_AFFINITY, UINT64_C(1) << cpu, NULL));
    while (!__atomic_load_n(&spinner->spins, __ATOMIC_SEQ_CST))
        sleep_for(MILLISECOND);
    /* An idle CPU keeps the space it ran last, and gives it up when it is asked the first time. */
    map_at(AREA, PAGE_SIZE);
    touch(AREA, 1, PAGE_SIZE);
    unmap_at(AREA, PAGE_SIZE);
    return helper;
}

static struct helper *spin_elsewhere(struct helper *(*start)(void (*)(void *), void *),
                                     struct spinner *spinner)
{
    return spin_on(start, spinner, 1);
}

static void stop_spinning(struct helper *helper, struct spinner *spinner)
{
    __atomic_store_n(&spinner->stop, 1, __ATOMIC_SEQ_CST);
    helper_join(helper);
    MUST(sys_thread_control(HANDLE_SELF, THREAD_AFFINITY, 0, NULL));
}

/* However many pages and regions: a thread elsewhere is interrupted once for each call that takes something away, and
 * never for one that gives something. */
TEST(a_change_is_one_interrupt)
{
    if (system_info().cpus < 2)
        return;

    struct spinner spinner = {0};
    struct helper *helper = spin_elsewhere(helper_thread, &spinner);
    uint64_t before = interrupts();

    for (uint64_t i = 0; i < 16; i++) {
        map_at(AREA + 2 * i * MIB, MIB);
        touch(AREA + 2 * i * MIB, MIB, 16 * PAGE_SIZE);
    }
    CHECK_EQUAL(interrupts(), before);
    for (uint64_t i = 0; i < 16; i++)
        MUST(sys_space_protect(HANDLE_SELF, AREA + 2 * i * MIB, MIB, PROT_READ_));
    CHECK_EQUAL(interrupts(), before + 16);
    unmap_at(AREA, 32 * MIB);
    CHECK_EQUAL(interrupts(), before + 17);
    stop_spinning(helper, &spinner);
}

/* Nothing was ever mapped there; or it was, by MAP_POPULATE, and nobody has accessed it. */
TEST(what_nobody_has_seen_interrupts_nobody)
{
    if (system_info().cpus < 2)
        return;

    struct spinner spinner = {0};
    struct helper *helper = spin_elsewhere(helper_thread, &spinner);
    handle_t memory = (handle_t)MUST(sys_memory_create(MIB, 0));
    struct abi_map map = {
        .address = AREA,
        .length = MIB,
        .memory = memory,
        .protection = PROT_READ_ | PROT_WRITE_,
        .flags = MAP_FIXED_ | MAP_SHARED_ | MAP_POPULATE_,
    };

    MUST(sys_memory_op(memory, MEMORY_OP_COMMIT, 0, MIB, NULL));
    map_at(AREA, 64 * MIB); /* tables that wait to be looked at go now, which is a flush */
    unmap_at(AREA, 64 * MIB);

    uint64_t before = interrupts();

    map_at(AREA, MIB);
    MUST(sys_space_protect(HANDLE_SELF, AREA, MIB / 2, PROT_READ_));
    MUST(sys_space_op(HANDLE_SELF, SPACE_OP_DISCARD, AREA, MIB, 0));
    MUST(sys_space_op(HANDLE_SELF, SPACE_OP_MOVE, AREA, MIB, AREA + GIB));
    unmap_at(AREA + GIB, MIB);
    MUST(sys_space_map(HANDLE_SELF, &map));
    unmap_at(AREA, MIB);
    CHECK_EQUAL(interrupts(), before);
    MUST(sys_space_map(HANDLE_SELF, &map));
    touch(AREA, 1, PAGE_SIZE);
    unmap_at(AREA, MIB);
    CHECK_EQUAL(interrupts(), before + 1);
    MUST(sys_handle_close(memory));
    stop_spinning(helper, &spinner);
}

/* Two CPUs run threads of this process, one another process. */
TEST(each_cpu_that_runs_the_space_is_interrupted_once)
{
    if (system_info().cpus < 4)
        return;

    struct spinner spinners[2] = {{0}}, *other = shared(sizeof(*other));
    struct helper *helpers_[2];

    for (unsigned i = 0; i < 2; i++)
        helpers_[i] = spin_on(helper_thread, &spinners[i], i + 1);

    struct helper *stranger = spin_on(helper_process, other, 3);
    uint64_t before = interrupts();

    map_at(AREA, MIB);
    touch(AREA, MIB, PAGE_SIZE);
    MUST(sys_space_protect(HANDLE_SELF, AREA, MIB, PROT_READ_));
    CHECK_EQUAL(interrupts(), before + 2);
    MUST(sys_space_op(HANDLE_SELF, SPACE_OP_DISCARD, AREA, MIB, 0));
    CHECK_EQUAL(interrupts(), before + 4);
    unmap_at(AREA, MIB);
    CHECK_EQUAL(interrupts(), before + 4);
    stop_spinning(stranger, other);
    for (unsigned i = 0; i < 2; i++)
        stop_spinning(helpers_[i], &spinners[i]);
    unshare(other);
}

/* Of 256 shared pages; and for the few of its own that this thread writes to meanwhile, each of which is copied. Frames that
 * are shared with a child cannot be kept in a list: they are put 32 at a time. */
#define OWN_PAGES 6u
TEST(a_fork_is_one_interrupt)
{
    if (system_info().cpus < 2)
        return;

    struct spinner spinner = {0};
    struct helper *helper = spin_elsewhere(helper_thread, &spinner);

    map_at(AREA, MIB);
    touch(AREA, MIB, PAGE_SIZE);

    uint64_t before = interrupts();
    struct helper *child = helper_process_suspended(end_at_once, NULL);

    CHECK(interrupts() <= before + 1 + OWN_PAGES);
    unmap_at(AREA, MIB);
    CHECK(interrupts() <= before + 1 + OWN_PAGES + 256 / 32);
    helper_resume(child);
    helper_join(child);
    stop_spinning(helper, &spinner);
}

/* A CPU that runs another process is left alone. */
TEST(others_are_left_alone)
{
    if (system_info().cpus < 2)
        return;

    struct spinner *spinner = shared(sizeof(*spinner));
    struct helper *helper = spin_elsewhere(helper_process, spinner);
    uint64_t before = interrupts();

    for (int i = 0; i < 100; i++) {
        map_at(AREA, PAGE_SIZE);
        touch(AREA, 1, PAGE_SIZE);
        unmap_at(AREA, PAGE_SIZE);
    }
    CHECK_EQUAL(interrupts(), before);
    stop_spinning(helper, spinner);
    unshare(spinner);
}

/* Several threads map, touch and unmap at once; what one unmaps is gone for all, and what it has not is whole. */
#define STORM_ROUNDS 12u

static void storm(void *argument)
{
    uint64_t area = (uint64_t)(uintptr_t)argument;

    for (uint32_t round = 0; round < STORM_ROUNDS; round++) {
        volatile uint32_t *words = (volatile uint32_t *)area;

        map_at(area, 16 * PAGE_SIZE);
        for (uint32_t page = 0; page < 16; page++)
            words[page * 1024] = round + page;
        MUST(sys_space_protect(HANDLE_SELF, area, 8 * PAGE_SIZE, PROT_READ_));
        for (uint32_t page = 0; page < 16; page++)
            CHECK_EQUAL(words[page * 1024], round + page);
        unmap_at(area, 16 * PAGE_SIZE);
        if (round % 16 == 0)
            area += 4 * MIB;
    }
}

TEST(storms)
{
    struct helper *helpers_[6];

    for (uint64_t i = 0; i < 4; i++)
        helpers_[i] = helper_thread(storm, (void *)(AREA + i * GIB));
    for (uint64_t round = 0; round < 3; round++) {
        for (uint64_t i = 4; i < 6; i++)
            helpers_[i] = helper_process(storm, (void *)(AREA + i * GIB));
        for (uint64_t i = 4; i < 6; i++)
            helper_join(helpers_[i]);
    }
    for (uint64_t i = 0; i < 4; i++)
        helper_join(helpers_[i]);
    map_at(AREA, 64 * MIB); /* a large range is looked through at once, and what waits with it */
    unmap_at(AREA, 64 * MIB);
}
