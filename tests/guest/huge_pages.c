/* Huge pages: when programs get them, and that nothing but their size tells them from small ones. */
#include "tests/guest/guest.h"

#define AREA       UINT64_C(0x320000000000) /* nothing of the C library lies here; aligned for any page */
#define HUGE       UINT64_C(0x200000)
#define HUGE_PAGES (HUGE / PAGE_SIZE)
#define RW         (PROT_READ_ | PROT_WRITE_)

static void map_at(uint64_t address, uint64_t length, uint32_t flags, handle_t memory)
{
    struct abi_map map = {
        .address = address,
        .length = length,
        .memory = memory,
        .protection = RW,
        .flags = MAP_FIXED_ | flags,
    };

    MUST(sys_space_map(HANDLE_SELF, &map));
}

static void unmap_at(uint64_t address, uint64_t length)
{
    MUST(sys_space_unmap(HANDLE_SELF, address, length));
}

static volatile uint64_t *word(uint64_t address, uint64_t page)
{
    return (volatile uint64_t *)(address + page * PAGE_SIZE + page % 512 * 8);
}

static void fill(uint64_t address, uint64_t pages, uint64_t first)
{
    for (uint64_t page = 0; page < pages; page++)
        *word(address, page) = first + page;
}

static void check(uint64_t address, uint64_t pages, uint64_t first)
{
    for (uint64_t page = 0; page < pages; page++)
        CHECK_EQUAL(*word(address, page), first + page);
}

static uint64_t huge_pages(void)
{
    return system_info().huge_pages;
}

static void advise(uint64_t address, uint64_t length, uint64_t huge)
{
    MUST(sys_space_op(HANDLE_SELF, SPACE_OP_HUGE, address, length, huge));
}

/* The first 2 MiB are got page by page, what follows in huge pages: one fault each, not 512. */
TEST(large_arrays_become_huge)
{
    uint64_t before = huge_pages();

    map_at(AREA, 16 * HUGE, 0, HANDLE_NONE);

    uint64_t faults = system_info().page_faults;

    fill(AREA, 16 * HUGE_PAGES, 7);
    CHECK_EQUAL(huge_pages(), before + 15);
    CHECK(system_info().page_faults < faults + HUGE_PAGES + 40);
    CHECK(process_info(HANDLE_SELF).pages >= 16 * HUGE_PAGES);
    check(AREA, 16 * HUGE_PAGES, 7);
    unmap_at(AREA, 16 * HUGE);
    CHECK_EQUAL(huge_pages(), before);
}

/* Who touches little has little: a page, and the page table for it. */
TEST(sparse_arrays_stay_small)
{
    uint64_t before = huge_pages();

    map_at(AREA, 64 * HUGE, 0, HANDLE_NONE);

    uint64_t pages = process_info(HANDLE_SELF).pages;

    for (uint64_t i = 0; i < 64; i++)
        *word(AREA + i * HUGE, i) = i;
    CHECK_EQUAL(huge_pages(), before);
    CHECK(process_info(HANDLE_SELF).pages < pages + 64 + 8);
    unmap_at(AREA, 64 * HUGE);
}

TEST(advice)
{
    uint64_t before = huge_pages();

    map_at(AREA, 4 * HUGE, 0, HANDLE_NONE);
    advise(AREA, HUGE, HUGE_ALWAYS);
    advise(AREA + 2 * HUGE, 2 * HUGE, HUGE_NEVER);
    *word(AREA, 0) = 1;
    CHECK_EQUAL(huge_pages(), before + 1);
    fill(AREA + 2 * HUGE, 2 * HUGE_PAGES, 1);
    CHECK_EQUAL(huge_pages(), before + 1);
    CHECK_ERROR(sys_space_op(HANDLE_SELF, SPACE_OP_HUGE, AREA, HUGE, HUGE_NEVER + 1), INVALID);
    CHECK_ERROR(sys_space_op(HANDLE_SELF, SPACE_OP_HUGE, AREA + 3 * HUGE, 2 * HUGE, HUGE_NEVER),
                FAULT);
    CHECK_ERROR(sys_space_op(HANDLE_SELF, SPACE_OP_HUGE, AREA + 1, HUGE, HUGE_NEVER), INVALID);
    CHECK_EQUAL(*word(AREA, 1), 0);
    unmap_at(AREA, 4 * HUGE);
    map_at(AREA, 2 * HUGE, MAP_POPULATE_, HANDLE_NONE);
    CHECK_EQUAL(huge_pages(), before + 2);
    unmap_at(AREA, 2 * HUGE);
    CHECK_EQUAL(huge_pages(), before);
}

TEST(parts_of_huge_pages)
{
    uint64_t before = huge_pages(), a = AREA, p = AREA + 5 * PAGE_SIZE, to = AREA + 64 * HUGE;

    map_at(a, 5 * HUGE, MAP_POPULATE_, HANDLE_NONE);
    fill(a, 5 * HUGE_PAGES, 1000);
    CHECK_EQUAL(huge_pages(), before + 5);

    uint64_t pages = process_info(HANDLE_SELF).pages;

    unmap_at(p, PAGE_SIZE);
    CHECK_EQUAL(process_info(HANDLE_SELF).pages, pages - 1);
    MUST(sys_space_protect(HANDLE_SELF, p + HUGE, 2 * PAGE_SIZE, PROT_READ_));
    MUST(sys_space_op(HANDLE_SELF, SPACE_OP_DISCARD, p + 2 * HUGE, PAGE_SIZE, 0));
    MUST(sys_space_op(HANDLE_SELF, SPACE_OP_MOVE, p + 3 * HUGE, PAGE_SIZE, to));
    CHECK_EQUAL(huge_pages(), before + 1);
    check(a, 5, 1000);
    check(a + HUGE, HUGE_PAGES, 1000 + HUGE_PAGES);
    CHECK_EQUAL(*word(a + 2 * HUGE, 5), 0);
    *word(a + 2 * HUGE, 5) = 1005 + 2 * HUGE_PAGES;
    check(a + 2 * HUGE, HUGE_PAGES, 1000 + 2 * HUGE_PAGES);
    CHECK_EQUAL(*(volatile uint64_t *)(to + 5 * 8), 1005 + 3 * HUGE_PAGES);
    /* A whole one, there and back, and without access. */
    MUST(sys_space_protect(HANDLE_SELF, a + 4 * HUGE, HUGE, PROT_READ_));
    check(a + 4 * HUGE, HUGE_PAGES, 1000 + 4 * HUGE_PAGES);
    MUST(sys_space_protect(HANDLE_SELF, a + 4 * HUGE, HUGE, RW));
    fill(a + 4 * HUGE, HUGE_PAGES, 5);
    CHECK_EQUAL(huge_pages(), before + 1);
    MUST(sys_space_protect(HANDLE_SELF, a + 4 * HUGE, HUGE, 0));
    MUST(sys_space_protect(HANDLE_SELF, a + 4 * HUGE, HUGE, PROT_READ_));
    check(a + 4 * HUGE, HUGE_PAGES, 5);
    unmap_at(a, 5 * HUGE);
    unmap_at(to, PAGE_SIZE);
    CHECK_EQUAL(huge_pages(), before);
}

struct family {
    uint32_t go, done, wrong;
    uint64_t huge;
};

static void read_then_write(void *argument)
{
    struct family *family = argument;

    for (uint64_t page = 0; page < 2 * HUGE_PAGES; page++)
        family->wrong += *word(AREA, page) != 1 + page;
    *word(AREA, 3) = 99;
    family->huge = huge_pages();
    word_set(&family->done, 1);
    word_wait(&family->go, 1);
    for (uint64_t page = 0; page < 2 * HUGE_PAGES; page++)
        family->wrong += *word(AREA, page) != (page == 3 ? 99 : 1 + page);
}

/* A child splits what it writes to; the parent keeps its huge pages, and writes to them when it is alone again. */
TEST(forks_share_huge_pages)
{
    struct family *family = shared(PAGE_SIZE);
    uint64_t before = huge_pages();

    map_at(AREA, 2 * HUGE, MAP_POPULATE_, HANDLE_NONE);
    fill(AREA, 2 * HUGE_PAGES, 1);
    for (int round = 0; round < 3; round++) {
        uint64_t free = system_info().frames_free;
        struct helper *child;

        family->go = family->done = family->wrong = 0;
        child = helper_process(read_then_write, family);
        word_wait(&family->done, 1);
        CHECK(family->huge <= before + 3);
        CHECK(system_info().frames_free + HUGE_PAGES > free);
        /* What is there already: but the page is split. */
        *word(AREA, HUGE_PAGES + 1) = HUGE_PAGES + 2;
        word_set(&family->go, 1);
        helper_join(child);
        CHECK_EQUAL(family->wrong, 0);
        check(AREA, 2 * HUGE_PAGES, 1);
        fill(AREA, 2 * HUGE_PAGES, 1);
    }
    unmap_at(AREA, 2 * HUGE);
    CHECK_EQUAL(huge_pages(), before);
    unshare(family);
}

static void leave(void *argument)
{
    (void)argument;
}

/* A child that writes nothing there costs no huge page. */
TEST(forks_that_end_leave_huge_pages)
{
    uint64_t before = huge_pages();

    map_at(AREA, 8 * HUGE, MAP_POPULATE_, HANDLE_NONE);
    for (int round = 0; round < 3; round++) {
        struct helper *child = helper_process(leave, NULL);

        helper_join(child);
        for (int i = 0; huge_pages() > before + 8 && i < SETTLE_TRIES; i++)
            sleep_for(SETTLE_STEP);
        fill(AREA, 8 * HUGE_PAGES, (uint64_t)round);
        CHECK_EQUAL(huge_pages(), before + 8);
    }
    unmap_at(AREA, 8 * HUGE);
}

/* Memory that lies in one piece is mapped so, if it is aligned where it is mapped. */
TEST(contiguous_memory)
{
    handle_t memory = (handle_t)MUST(sys_memory_physical(root(), 0, 2 * HUGE, MEMORY_CONTIGUOUS));
    uint64_t before = huge_pages(), faults;

    map_at(AREA, 2 * HUGE, MAP_SHARED_, memory);
    map_at(AREA + 4 * HUGE + PAGE_SIZE, 2 * HUGE, MAP_SHARED_, memory);
    handle_drop(memory);
    faults = system_info().page_faults;
    fill(AREA, 2 * HUGE_PAGES, 1);
    CHECK(system_info().page_faults < faults + 10);
    CHECK_EQUAL(huge_pages(), before + 2);
    check(AREA + 4 * HUGE + PAGE_SIZE, 2 * HUGE_PAGES, 1);
    CHECK_EQUAL(huge_pages(), before + 2);
    MUST(sys_space_protect(HANDLE_SELF, AREA, HUGE, PROT_READ_));
    MUST(sys_space_protect(HANDLE_SELF, AREA, HUGE, RW));
    fill(AREA, 2 * HUGE_PAGES, 2);
    unmap_at(AREA + PAGE_SIZE, PAGE_SIZE);
    CHECK_EQUAL(huge_pages(), before + 1);
    check(AREA + HUGE, HUGE_PAGES, 2 + HUGE_PAGES);
    check(AREA + 4 * HUGE + PAGE_SIZE, 2 * HUGE_PAGES, 2);
    unmap_at(AREA, 8 * HUGE);
    CHECK_EQUAL(huge_pages(), before);
}

/* When more than seven eighths of memory are taken, pages are small, and that is all. */
TEST(short_memory)
{
    struct abi_system_info info = system_info();
    uint64_t before = info.huge_pages, take = info.frames_free - info.frames_total / 8 + 64;
    handle_t memory = (handle_t)MUST(sys_memory_create(take * PAGE_SIZE, 0));

    MUST(sys_memory_op(memory, MEMORY_OP_COMMIT, 0, take * PAGE_SIZE, NULL));
    map_at(AREA, 4 * HUGE, MAP_POPULATE_, HANDLE_NONE);
    CHECK_EQUAL(huge_pages(), before);
    fill(AREA, 4 * HUGE_PAGES, 3);
    check(AREA, 4 * HUGE_PAGES, 3);
    unmap_at(AREA, 4 * HUGE);
    handle_drop(memory);
}

/* What the kernel copies lies across small and huge pages. */
TEST(kernel_copies)
{
    handle_t memory = (handle_t)MUST(sys_memory_create(4 * HUGE, 0));
    uint8_t *bytes = (uint8_t *)AREA;

    map_at(AREA, 4 * HUGE, MAP_POPULATE_, HANDLE_NONE);
    for (uint64_t i = 0; i < 4 * HUGE; i += 61)
        bytes[i] = (uint8_t)(i / 61);
    MUST(sys_memory_op(memory, MEMORY_OP_WRITE, 3, 4 * HUGE - 3, bytes));
    unmap_at(AREA, 4 * HUGE);
    map_at(AREA, 4 * HUGE, MAP_POPULATE_, HANDLE_NONE);
    unmap_at(AREA + HUGE + PAGE_SIZE, PAGE_SIZE);
    map_at(AREA + HUGE + PAGE_SIZE, PAGE_SIZE, 0, HANDLE_NONE);
    MUST(sys_memory_op(memory, MEMORY_OP_READ, 3, 4 * HUGE - 3, bytes));
    for (uint64_t i = 0; i < 4 * HUGE - 61; i += 61)
        CHECK_EQUAL(bytes[i], (uint8_t)(i / 61));
    unmap_at(AREA, 4 * HUGE);
    handle_drop(memory);
}

/* Threads that fault on the same huge page at once, and one that takes it away and splits it meanwhile. */
#define RACERS 4u

static struct {
    uint32_t go, ready;
} race;

static void add_everywhere(void *argument)
{
    (void)argument;
    __atomic_fetch_add(&race.ready, 1, __ATOMIC_SEQ_CST);
    word_wait(&race.go, 1);
    for (uint64_t page = 0; page < 2 * HUGE_PAGES; page += 7)
        __atomic_fetch_add((uint64_t *)(uintptr_t)word(AREA, page), 1, __ATOMIC_SEQ_CST);
}

TEST(threads_fault_together)
{
    uint64_t before = huge_pages();

    for (int round = 0; round < 6; round++) {
        struct helper *racers[RACERS];

        race.go = race.ready = 0;
        map_at(AREA, 2 * HUGE, 0, HANDLE_NONE);
        advise(AREA, 2 * HUGE, HUGE_ALWAYS);
        for (unsigned i = 0; i < RACERS; i++)
            racers[i] = helper_thread(add_everywhere, NULL);
        while (word_get(&race.ready) < RACERS)
            sleep_for(MILLISECOND);
        word_set(&race.go, 1);
        /* Not one of those that are counted in. */
        for (uint64_t page = 3; page < 2 * HUGE_PAGES; page += 28)
            MUST(sys_space_protect(HANDLE_SELF, AREA + (page - page % 7 + 1) * PAGE_SIZE, PAGE_SIZE,
                                   PROT_READ_));
        for (unsigned i = 0; i < RACERS; i++)
            helper_join(racers[i]);
        for (uint64_t page = 0; page < 2 * HUGE_PAGES; page += 7)
            CHECK_EQUAL(*word(AREA, page), RACERS);
        unmap_at(AREA, 2 * HUGE);
    }
    CHECK_EQUAL(huge_pages(), before);
}
