/* Address spaces: mapping, faults, fork, and long random runs against the model. */
// sources: tests/host/space_model.c
// sources: kernel/vmm/memory.c kernel/vmm/memory_io.c kernel/vmm/mapping.c kernel/vmm/tree.c
// sources: kernel/vmm/pager.c tests/host/fake_pager.c
// sources: kernel/vmm/space.c kernel/vmm/protect.c kernel/vmm/move.c kernel/vmm/region.c kernel/vmm/gather.c kernel/vmm/trim.c kernel/vmm/huge.c
// sources: kernel/vmm/fault.c kernel/vmm/fork.c
// sources: kernel/vmm/copy.c kernel/vmm/heap.c kernel/vmm/frame.c kernel/vmm/ram.c kernel/vmm/fail.c
// sources: kernel/account.c kernel/lock.c lib/base/rbtree.c
// sources: tests/host/fake_arch.c tests/host/fake_space.c tests/host/fake_object.c tests/host/fake_process.c
// libs: pthread
#include <pthread.h>

#include "tests/host/fake_process.h"
#include "tests/host/space_model.h"
#include "tests/host/test.h"

#define RW (PROT_READ_ | PROT_WRITE_)

static uint64_t frames, bytes;
static struct space *space;

static void begin(void)
{
    fake_machine(64);
    frames = fake_frames();
    bytes = heap_bytes();
    CHECK_EQUAL(space_new(NULL, &space), 0);
    fake_process_enter(space);
}

static void end(void)
{
    fake_process_enter(NULL);
    space_put(space);
    CHECK_EQUAL(heap_bytes(), bytes);
    CHECK_EQUAL(fake_frames(), frames);
}

/* The test keeps its reference to the object. */
static int map_request(struct space *in, const struct map_request *request, uint64_t *address)
{
    if (request->memory)
        object_get(&request->memory->object);

    int result = space_map_region(in, request, address);

    if (result != 0 && request->memory)
        object_put(&request->memory->object);
    return result;
}

static int map(uint64_t *address, uint64_t length, unsigned protection, unsigned flags,
               struct memory *memory, uint64_t offset)
{
    struct map_request request = {.address = *address,
                                  .length = length,
                                  .offset = offset,
                                  .memory = memory,
                                  .protection = protection,
                                  .maximum = 7,
                                  .flags = flags};

    return map_request(space, &request, address);
}

static bool get(uint64_t address, uint64_t *value)
{
    return fake_user_access(address, 0, value, sizeof(*value));
}

static bool set(uint64_t address, uint64_t value)
{
    return fake_user_access(address, FAULT_WRITE, &value, sizeof(value));
}

static uint64_t peek(uint64_t address)
{
    uint64_t value;

    CHECK(get(address, &value));
    return value;
}

TEST(anonymous)
{
    uint64_t a = 0x400000;

    begin();
    CHECK_EQUAL(map(&a, 4 * PAGE_SIZE - 1, RW, MAP_FIXED_, NULL, 0), 0);
    CHECK_EQUAL(space->owned_pages, 0);
    CHECK_EQUAL(peek(a + 8), 0);
    CHECK(set(a + 3 * PAGE_SIZE, 7));
    CHECK_EQUAL(peek(a + 3 * PAGE_SIZE), 7);
    CHECK(!set(a + 4 * PAGE_SIZE, 7) && !set(a - 8, 7));
    CHECK_EQUAL(space->owned_pages, 2);
    CHECK_EQUAL(space_discard(space, a, 4 * PAGE_SIZE), 0);
    CHECK_EQUAL(peek(a + 3 * PAGE_SIZE), 0);
    CHECK_EQUAL(space_unmap_range(space, a + PAGE_SIZE, PAGE_SIZE), 0);
    CHECK_EQUAL(space->region_count, 2);
    CHECK_EQUAL(map(&(uint64_t){a + PAGE_SIZE}, PAGE_SIZE, RW, MAP_FIXED_, NULL, 0), 0);
    CHECK_EQUAL(space->region_count, 1);
    end();
}

TEST(errors)
{
    uint64_t a = 0x400000, found;
    uint32_t protection;
    bool shared;

    begin();
    CHECK_EQUAL(map(&a, PAGE_SIZE, 7, MAP_FIXED_, NULL, 0), -E_ACCESS);
    CHECK_EQUAL(map(&a, PAGE_SIZE, 8, MAP_FIXED_, NULL, 0), -E_INVALID);
    CHECK_EQUAL(map(&a, 0, RW, MAP_FIXED_, NULL, 0), -E_INVALID);
    CHECK_EQUAL(map(&a, PAGE_SIZE, RW, MAP_FIXED_ | MAP_SHARED_, NULL, 0), -E_INVALID);
    CHECK_EQUAL(map(&a, UINT64_MAX, RW, MAP_FIXED_, NULL, 0), -E_RANGE);
    CHECK_EQUAL(map(&a, UINT64_MAX, RW, 0, NULL, 0), -E_RANGE);
    CHECK_EQUAL(map(&(uint64_t){0x400001}, PAGE_SIZE, RW, MAP_FIXED_, NULL, 0), -E_INVALID);
    CHECK_EQUAL(map(&(uint64_t){0}, PAGE_SIZE, RW, MAP_FIXED_, NULL, 0), -E_RANGE);
    CHECK_EQUAL(map(&(uint64_t){SPACE_END}, PAGE_SIZE, RW, MAP_FIXED_, NULL, 0), -E_RANGE);
    CHECK_EQUAL(map(&(uint64_t){UINT64_MAX & ~UINT64_C(4095)}, PAGE_SIZE, RW, MAP_FIXED_, NULL, 0),
                -E_RANGE);
    CHECK_EQUAL(map(&a, UINT64_C(1) << 40, RW, MAP_FIXED_, NULL, 0), -E_NO_MEMORY);
    CHECK_EQUAL(map(&a, UINT64_C(1) << 40, 0, MAP_FIXED_, NULL, 0), 0); /* a reservation is free */
    CHECK(!set(a, 1));
    CHECK_EQUAL(space_protect_range(space, a, UINT64_C(1) << 40, RW), -E_NO_MEMORY);
    CHECK_EQUAL(space_protect_range(space, a + PAGE_SIZE, PAGE_SIZE, RW), 0);
    CHECK_EQUAL(space->region_count, 3);
    CHECK(set(a + PAGE_SIZE, 1));
    CHECK_EQUAL(space_query(space, a + PAGE_SIZE, &protection, &shared), 0);
    CHECK(protection == RW && !shared);
    CHECK_EQUAL(space_query(space, 0x1000, &protection, &shared), -E_FAULT);
    CHECK_EQUAL(space_find(space, 0, PAGE_SIZE, &found), 0);
    CHECK_EQUAL(found, SPACE_START);
    CHECK_EQUAL(space_find(space, a, PAGE_SIZE, &found), 0);
    CHECK_EQUAL(found, a + (UINT64_C(1) << 40));
    CHECK_EQUAL(space_find(space, 0, SPACE_END, &found), -E_NO_MEMORY);
    CHECK_EQUAL(space_unmap_range(space, SPACE_START, SPACE_END - SPACE_START), 0);
    CHECK_EQUAL(space->region_count, 0);
    CHECK_EQUAL(fake_tables(&space->arch), 1);
    end();
}

TEST(hidden_pages_keep_their_contents)
{
    uint64_t a = 0, value;

    begin();
    CHECK_EQUAL(map(&a, 2 * PAGE_SIZE, RW, 0, NULL, 0), 0);
    CHECK(set(a, 42));
    CHECK_EQUAL(space_protect_range(space, a, PAGE_SIZE, 0), 0);
    CHECK(!get(a, &value));
    CHECK_EQUAL(space_read(space, UADDR(a), &value, 8), -E_FAULT);
    CHECK_EQUAL(space_protect_range(space, a, PAGE_SIZE, PROT_READ_), 0);
    CHECK_EQUAL(peek(a), 42);
    CHECK(!set(a, 43));
    end();
}

TEST(private_mapping_sees_the_object_until_written)
{
    struct memory *memory;
    uint64_t p = 0, s = 0;

    begin();
    CHECK_EQUAL(memory_new(40 * PAGE_SIZE, 0, &memory), 0);
    CHECK_EQUAL(map(&p, 40 * PAGE_SIZE, RW, 0, memory, 0), 0);
    CHECK_EQUAL(map(&s, 40 * PAGE_SIZE, RW, MAP_SHARED_, memory, 0), 0);
    CHECK(set(s, 1));
    CHECK_EQUAL(peek(p), 1);
    CHECK(set(s, 2));
    CHECK_EQUAL(peek(p), 2);
    CHECK(set(p, 3));
    CHECK(set(s, 4));
    CHECK_EQUAL(peek(p), 3);
    CHECK_EQUAL(space_discard(space, p, PAGE_SIZE), 0);
    CHECK_EQUAL(peek(p), 4);
    CHECK_EQUAL(memory_resize_to(memory, 0), 0);
    CHECK(!get(p, &(uint64_t){0}) && !get(s, &(uint64_t){0}));
    object_put(&memory->object);
    end();
}

TEST(fault_around)
{
    struct memory *memory;
    uint64_t a = 0;

    begin();
    CHECK_EQUAL(memory_new(64 * PAGE_SIZE, 0, &memory), 0);
    CHECK_EQUAL(memory_commit(memory, 0, 64 * PAGE_SIZE), 0);
    CHECK_EQUAL(map(&a, 64 * PAGE_SIZE, PROT_READ_, 0, memory, 0), 0);

    uint64_t before = cpu_self()->page_faults;

    for (unsigned i = 0; i < 64; i++)
        CHECK_EQUAL(peek(a + i * PAGE_SIZE), 0);
    CHECK_EQUAL(cpu_self()->page_faults - before, 64 / TABLE_PAGES);
    object_put(&memory->object);
    end();
}

/* What fault-around maps may never be accessed: then no TLB has it. */
TEST(what_nobody_accessed_is_not_flushed)
{
    struct memory *memory;
    uint64_t a = 0;

    begin();
    CHECK_EQUAL(memory_new(TABLE_PAGES * PAGE_SIZE, 0, &memory), 0);
    CHECK_EQUAL(memory_commit(memory, 0, TABLE_PAGES * PAGE_SIZE), 0);
    CHECK_EQUAL(map(&a, TABLE_PAGES * PAGE_SIZE, PROT_READ_, 0, memory, 0), 0);
    CHECK_EQUAL(peek(a), 0);

    uint64_t before = fake_flushes;

    CHECK_EQUAL(space_unmap_range(space, a + PAGE_SIZE, (TABLE_PAGES - 1) * PAGE_SIZE), 0);
    CHECK_EQUAL(fake_flushes, before);
    CHECK_EQUAL(space_unmap_range(space, a, PAGE_SIZE), 0);
    CHECK_EQUAL(fake_flushes, before + 1);
    object_put(&memory->object);
    end();
}

/* Rights that are given flush nothing, so a TLB may still have what the page was before. */
TEST(what_was_accessed_before_it_changed_is_flushed)
{
    struct memory *memory;
    uint64_t a = 0, value;

    begin();
    CHECK_EQUAL(memory_new(PAGE_SIZE, 0, &memory), 0);
    CHECK_EQUAL(map(&a, PAGE_SIZE, PROT_READ_, MAP_SHARED_, memory, 0), 0);
    CHECK_EQUAL(peek(a), 0);

    uint64_t before = fake_flushes;

    CHECK_EQUAL(space_protect_range(space, a, PAGE_SIZE, RW), 0);
    CHECK_EQUAL(fake_flushes, before);
    CHECK_EQUAL(space_unmap_range(space, a, PAGE_SIZE), 0);
    CHECK_EQUAL(fake_flushes, before + 1);
    CHECK(!get(a, &value));
    object_put(&memory->object);
    end();
}

TEST(fork_copies_on_write_with_one_flush)
{
    uint64_t a = 0;
    struct space *parent, *child;

    begin();
    parent = space;
    CHECK_EQUAL(map(&a, 100 * PAGE_SIZE, RW, 0, NULL, 0), 0);
    for (unsigned i = 0; i < 100; i++)
        CHECK(set(a + i * PAGE_SIZE, i + 1));

    uint64_t flushes = fake_flushes, free = fake_frames();

    CHECK_EQUAL(space_fork(parent, true, &child), 0);
    CHECK_EQUAL(fake_flushes - flushes, 1);
    CHECK(free - fake_frames() < 100 / TABLE_PAGES + 20); /* page tables only */
    CHECK_EQUAL(child->owned_pages, 100);
    CHECK(set(a, 1000));
    fake_process_enter(child);
    CHECK_EQUAL(peek(a), 1);
    CHECK(set(a + PAGE_SIZE, 2000));
    fake_process_enter(parent);
    CHECK_EQUAL(peek(a + PAGE_SIZE), 2);
    space_put(child);
    flushes = fake_flushes;
    CHECK(set(a + 5 * PAGE_SIZE, 5)); /* the only owner again: no copy */
    CHECK_EQUAL(fake_flushes, flushes);
    end();
}

TEST(unmapping_is_one_flush)
{
    uint64_t a = 0;

    begin();
    CHECK_EQUAL(map(&a, 1000 * PAGE_SIZE, RW, MAP_POPULATE_, NULL, 0), 0);
    CHECK_EQUAL(space->owned_pages, 1000);

    uint64_t flushes = fake_flushes;

    CHECK_EQUAL(space_unmap_range(space, a, 1000 * PAGE_SIZE), 0);
    CHECK_EQUAL(fake_flushes - flushes, 1);
    end();
}

TEST(memory_runs_out)
{
    uint64_t a = 0;
    unsigned count = 0;

    begin();
    CHECK_EQUAL(map(&a, 65 << 20, RW, 0, NULL, 0), -E_NO_MEMORY);
    CHECK_EQUAL(map(&a, 60 << 20, RW, 0, NULL, 0), 0);
    while (count < (60 << 20) / PAGE_SIZE && set(a + count * (uint64_t)PAGE_SIZE, 1))
        count++;
    CHECK(count > 10000);

    uint64_t b = 0;

    CHECK_EQUAL(map(&b, 60 << 20, RW, 0, NULL, 0), 0);
    count = 0;
    while (set(b + count * (uint64_t)PAGE_SIZE, 1))
        count++;
    CHECK(count < 10000);
    CHECK_EQUAL(space_fault(space, b + count * (uint64_t)PAGE_SIZE, FAULT_WRITE), -E_NO_MEMORY);
    CHECK_EQUAL(peek(a), 1);
    end();
}

TEST(copies_between_spaces)
{
    uint64_t a = 0, b = 0, done;
    struct space *first, *second;

    begin();
    first = space;
    CHECK_EQUAL(map(&a, 20 * PAGE_SIZE, RW, 0, NULL, 0), 0);
    for (unsigned i = 0; i < 20 * PAGE_SIZE / 8; i++)
        CHECK(set(a + 8 * i, i));
    CHECK_EQUAL(space_new(NULL, &second), 0);
    space = second;
    CHECK_EQUAL(map(&b, 20 * PAGE_SIZE, RW, 0, NULL, 0), 0);
    fake_process_enter(second);
    CHECK_EQUAL(space_copy_from(first, UADDR(a + 8), UADDR(b + 104), 17 * PAGE_SIZE, &done), 0);
    CHECK_EQUAL(done, 17 * PAGE_SIZE);
    for (unsigned i = 0; i < 17 * PAGE_SIZE / 8; i++)
        CHECK_EQUAL(peek(b + 104 + 8 * i), i + 1);
    CHECK_EQUAL(space_copy_to(first, UADDR(a), UADDR(b + 104), PAGE_SIZE, &done), 0);
    CHECK_EQUAL(space_read(first, UADDR(a + 16), &done, 8), 0);
    CHECK_EQUAL(done, 3);
    CHECK_EQUAL(space_copy_from(first, UADDR(a + 19 * PAGE_SIZE), UADDR(b), 2 * PAGE_SIZE, &done),
                -E_FAULT);
    CHECK_EQUAL(done, PAGE_SIZE);
    CHECK_EQUAL(space_copy_from(first, UADDR(UINT64_MAX - 4), UADDR(b), 100, &done), -E_FAULT);
    CHECK_EQUAL(space_copy_from(second, UADDR(b), UADDR(b + 4096), 4096, &done), 0); /* oneself */
    space_put(first);
    end();
}

TEST(futex_keys)
{
    struct memory *memory;
    struct futex_key key, other;
    uint64_t a = 0, b = 0;

    begin();
    CHECK_EQUAL(memory_new(4 * PAGE_SIZE, 0, &memory), 0);
    CHECK_EQUAL(map(&a, 2 * PAGE_SIZE, RW, MAP_SHARED_, memory, PAGE_SIZE), 0);
    CHECK_EQUAL(map(&b, 2 * PAGE_SIZE, RW, 0, NULL, 0), 0);
    CHECK_EQUAL(space_futex_key(space, UADDR(a + 8), true, &key), 0);
    CHECK(key.object == (uint64_t)memory && key.offset == PAGE_SIZE + 8);
    CHECK_EQUAL(space_futex_key(space, UADDR(b + 8), true, &key), 0);
    CHECK_EQUAL(space_futex_key(space, UADDR(b + 8), false, &other), 0);
    CHECK(key.object == other.object && key.offset == other.offset);
    CHECK_EQUAL(space_futex_key(space, UADDR(0x1000), true, &key), -E_FAULT);
    object_put(&memory->object);
    end();
}

static bool next_random(void *context, uint32_t *number)
{
    uint64_t *state = context;

    if (state[1]-- == 0)
        return false;
    *number = (uint32_t)(test_random(state) >> 16);
    return true;
}

TEST(random_runs_agree_with_the_model)
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
        uint64_t state[2] = {seed * 0x9e3779b97f4a7c15, 20000};

        model_run(next_random, state);
    }
    CHECK(model_huge_most > 4);
}

/* --- Huge pages --------------------------------------------------------------------------------------------------- */

/* Pages of a huge one, and its address space: large enough for some, and aligned as they are. */
#define SPAN  TABLE_SPAN
#define SPANS (UINT64_C(0x20000000))

static uint64_t huge(void)
{
    int64_t count = 0;

    for (unsigned i = 0; i < FAKE_CPUS; i++)
        count += cpus[i]->huge_pages;
    return (uint64_t)count;
}

static uint64_t map_spans(unsigned count, unsigned flags)
{
    uint64_t address = SPANS;

    CHECK_EQUAL(map(&address, count * SPAN, RW, MAP_FIXED_ | flags, NULL, 0), 0);
    return address;
}

static void fill(uint64_t address, uint64_t length, uint64_t first)
{
    for (uint64_t i = 0; i < length / PAGE_SIZE; i++)
        CHECK(set(address + i * PAGE_SIZE, first + i));
}

static void check(uint64_t address, uint64_t length, uint64_t first)
{
    for (uint64_t i = 0; i < length / PAGE_SIZE; i++)
        CHECK_EQUAL(peek(address + i * PAGE_SIZE), first + i);
}

/* Small ones first; huge ones once a span is full, upwards and downwards; never outside the region. */
TEST(filled_memory_becomes_huge)
{
    begin();

    uint64_t a = map_spans(4, 0) + SPAN;

    fill(a, SPAN, 1);
    CHECK_EQUAL(huge(), 0);
    CHECK_EQUAL(space->owned_pages, TABLE_PAGES);
    CHECK(set(a + SPAN + 3 * PAGE_SIZE, 77));
    CHECK_EQUAL(huge(), 1);
    CHECK_EQUAL(space->owned_pages, 2 * TABLE_PAGES);
    CHECK_EQUAL(peek(a + SPAN), 0);
    CHECK(set(a - PAGE_SIZE, 78));
    CHECK_EQUAL(huge(), 2);
    check(a, SPAN, 1);
    fill(a + SPAN, 2 * SPAN, 100);
    CHECK_EQUAL(huge(), 3);
    check(a + SPAN, 2 * SPAN, 100);
    end();
    CHECK_EQUAL(huge(), 0);
}

TEST(touching_here_and_there_stays_small)
{
    begin();

    uint64_t a = map_spans(8, 0);

    for (unsigned i = 0; i < 8; i++)
        fill(a + i * SPAN, SPAN - PAGE_SIZE, 5);
    CHECK_EQUAL(huge(), 0);
    end();
}

TEST(advice)
{
    begin();

    uint64_t a = map_spans(4, 0);

    CHECK_EQUAL(space_advise_huge(space, a + SPAN, SPAN, HUGE_ALWAYS), 0);
    CHECK_EQUAL(space_advise_huge(space, a + 3 * SPAN, SPAN, HUGE_NEVER), 0);
    CHECK_EQUAL(space_advise_huge(space, a, 5 * SPAN, HUGE_ALWAYS), -E_FAULT);
    CHECK_EQUAL(space_advise_huge(space, a, SPAN, 3), -E_INVALID);
    CHECK(set(a, 1));
    CHECK_EQUAL(huge(), 0);
    CHECK(set(a + SPAN, 1));
    CHECK_EQUAL(huge(), 1);
    fill(a + 2 * SPAN, SPAN, 9);
    fill(a + 3 * SPAN, SPAN, 10);
    CHECK_EQUAL(huge(), 1); /* the region ends beside it */
    end();
}

/* What is done to a part of a huge page splits it, and the rest stays as it is. */
TEST(parts_of_huge_pages)
{
    begin();

    uint64_t a = map_spans(6, MAP_POPULATE_), p = a + PAGE_SIZE, to = SPANS + 64 * SPAN;

    CHECK_EQUAL(huge(), 6);
    fill(a, 6 * SPAN, 1);
    CHECK_EQUAL(space_unmap_range(space, p, PAGE_SIZE), 0);
    CHECK_EQUAL(huge(), 5);
    CHECK_EQUAL(space->owned_pages, 6 * TABLE_PAGES - 1);
    CHECK_EQUAL(space_protect_range(space, p + SPAN, PAGE_SIZE, PROT_READ_), 0);
    CHECK_EQUAL(huge(), 4);
    CHECK(!set(p + SPAN, 1) && set(p + SPAN + PAGE_SIZE, 3 + TABLE_PAGES));
    CHECK_EQUAL(space_discard(space, p + 2 * SPAN, PAGE_SIZE), 0);
    CHECK_EQUAL(huge(), 3);
    CHECK_EQUAL(peek(p + 2 * SPAN), 0);
    CHECK(set(p + 2 * SPAN, 2 + 2 * TABLE_PAGES));
    CHECK_EQUAL(space_move(space, p + 3 * SPAN, PAGE_SIZE, to), 0);
    CHECK_EQUAL(huge(), 2);
    CHECK_EQUAL(peek(to), 2 + 3 * TABLE_PAGES);
    CHECK_EQUAL(space_protect_range(space, p + 4 * SPAN, PAGE_SIZE, 0), 0);
    CHECK_EQUAL(huge(), 1);
    CHECK(!get(p + 4 * SPAN, &to));
    CHECK_EQUAL(space_protect_range(space, p + 4 * SPAN, PAGE_SIZE, RW), 0);
    check(a + SPAN, 2 * SPAN, 1 + TABLE_PAGES);
    check(a + 4 * SPAN, 2 * SPAN, 1 + 4 * TABLE_PAGES);
    /* and of whole ones, nothing is split */
    CHECK_EQUAL(space_protect_range(space, a + 5 * SPAN, SPAN, PROT_READ_), 0);
    CHECK(!set(a + 5 * SPAN, 1));
    CHECK_EQUAL(space_protect_range(space, a + 5 * SPAN, SPAN, RW), 0);
    CHECK(set(a + 5 * SPAN, 1));
    CHECK_EQUAL(huge(), 1);
    CHECK_EQUAL(space_discard(space, a + 5 * SPAN, SPAN), 0);
    CHECK_EQUAL(huge(), 0);
    CHECK_EQUAL(peek(a + 5 * SPAN), 0);
    end();
}

/* Parent and child keep the huge page until one writes; then that one has small ones. The other keeps its own. */
TEST(fork_shares_huge_pages)
{
    struct space *parent, *child;

    begin();
    parent = space;

    uint64_t a = map_spans(3, MAP_POPULATE_), free = fake_frames();

    fill(a, 3 * SPAN, 1);
    CHECK_EQUAL(space_fork(parent, true, &child), 0);
    CHECK_EQUAL(huge(), 6);
    CHECK_EQUAL(child->owned_pages, 3 * TABLE_PAGES);
    CHECK(free - fake_frames() < 2 * TABLE_PAGES + 12);
    CHECK(set(a + PAGE_SIZE, 500)); /* the parent */
    CHECK_EQUAL(huge(), 5);
    fake_process_enter(child);
    check(a, 3 * SPAN, 1);
    CHECK(set(a, 600)); /* the child, of what the parent has split */
    CHECK(set(a + SPAN, 700));
    CHECK_EQUAL(huge(), 3);
    fake_process_enter(parent);
    CHECK_EQUAL(peek(a), 1);
    CHECK_EQUAL(peek(a + PAGE_SIZE), 500);
    check(a + SPAN, 2 * SPAN, 1 + TABLE_PAGES);
    space_put(child);
    CHECK(set(a + 2 * SPAN, 7)); /* alone again: as it was */
    CHECK_EQUAL(huge(), 2);
    CHECK(set(a + SPAN, 7)); /* the child had split it: a whole no more */
    CHECK_EQUAL(huge(), 1);
    CHECK_EQUAL(parent->owned_pages, 3 * TABLE_PAGES);
    end();
}

/* Memory that is short, or in pieces, makes no difference but in size. */
TEST(no_huge_pages_when_memory_is_short)
{
    begin();

    uint64_t part = frame_count_total() / 8 * PAGE_SIZE;
    uint64_t a = map_spans((unsigned)(frame_count_total() / TABLE_PAGES), MAP_POPULATE_);

    CHECK(huge() > 0);
    CHECK(huge() * SPAN <= frame_count_total() * PAGE_SIZE - part);
    CHECK_EQUAL(peek(a), 0);
    end();
}

TEST(contiguous_memory_is_mapped_huge)
{
    struct memory *memory;
    uint64_t a = SPANS, b = SPANS + 64 * SPAN;

    begin();
    CHECK_EQUAL(memory_new(3 * SPAN, MEMORY_CONTIGUOUS, &memory), 0);
    CHECK_EQUAL(map(&a, 3 * SPAN, RW, MAP_FIXED_ | MAP_SHARED_, memory, 0), 0);
    fill(a, 3 * SPAN, 1);
    CHECK_EQUAL(huge(), 3);
    CHECK_EQUAL(map(&b, 2 * SPAN, PROT_READ_, MAP_FIXED_ | MAP_SHARED_, memory, SPAN / 2), 0);
    check(b, 2 * SPAN, 1 + TABLE_PAGES / 2);
    CHECK_EQUAL(huge(), 3); /* not aligned alike */
    CHECK_EQUAL(space_protect_range(space, a, SPAN, PROT_READ_), 0);
    CHECK(!set(a, 5));
    CHECK_EQUAL(space_protect_range(space, a, SPAN, RW), 0);
    CHECK(set(a, 5));
    CHECK_EQUAL(space_unmap_range(space, a + SPAN + PAGE_SIZE, PAGE_SIZE), 0);
    CHECK_EQUAL(huge(), 2);
    check(a + 2 * SPAN, SPAN, 1 + 2 * TABLE_PAGES);
    CHECK_EQUAL(space->owned_pages, 0);
    object_put(&memory->object);
    end();
}

/* --- Several CPUs ---------------------------------------------------------------------------------------------- */

#define WORKERS      2u
#define SHARED_PAGES 80u

static struct memory *shared;
static uint32_t running, wrong;

/* Each page of the object holds its own index or, where it was taken away, 0. */
static void legal(uint64_t value, unsigned page)
{
    if (value != 0 && value != page + 1)
        __atomic_store_n(&wrong, 1, __ATOMIC_RELAXED);
}

static void work_in(struct space *mine, uint64_t *seed, uint32_t worker)
{
    uint64_t s = 0x10000000, p = 0x30000000, q = 0x50000000, address;
    uint64_t length = SHARED_PAGES * PAGE_SIZE;
    struct map_request request = {.address = s,
                                  .length = length,
                                  .memory = shared,
                                  .protection = RW,
                                  .maximum = 7,
                                  .flags = MAP_FIXED_ | MAP_SHARED_};

    if (map_request(mine, &request, &address) != 0)
        return;
    request.address = p;
    request.flags = MAP_FIXED_;
    if (map_request(mine, &request, &address) != 0)
        return;
    for (unsigned i = 0; i < 300; i++) {
        unsigned page = (unsigned)(test_random(seed) % SHARED_PAGES);
        uint64_t value = page + 1;

        switch (test_random(seed) % 8) {
        case 0:
        case 1:
            (void)fake_user_access(s + page * PAGE_SIZE, FAULT_WRITE, &value, 8);
            break;
        case 2:
            if (fake_user_access(s + page * PAGE_SIZE, 0, &value, 8))
                legal(value, page);
            break;
        case 3:
            if (fake_user_access(p + page * PAGE_SIZE, 0, &value, 8))
                legal(value, page);
            break;
        case 4:
            value = page + 1;
            (void)fake_user_access(p + page * PAGE_SIZE, FAULT_WRITE, &value, 8);
            break;
        case 5:
            (void)!space_unmap_range(mine, p + page * PAGE_SIZE, PAGE_SIZE);
            request.address = p + page * PAGE_SIZE;
            request.offset = page * PAGE_SIZE;
            request.length = PAGE_SIZE;
            (void)!map_request(mine, &request, &address);
            break;
        case 6:
            if (space_move(mine, s, length, q) == 0 && space_move(mine, q, length, s) != 0)
                __atomic_store_n(&wrong, 2, __ATOMIC_RELAXED);
            break;
        case 7:
            (void)!space_protect_range(mine, p + page * PAGE_SIZE, PAGE_SIZE,
                                       worker % 2 ? PROT_READ_ : RW);
            break;
        }
    }
}

static void *worker_main(void *argument)
{
    uint32_t worker = (uint32_t)(uintptr_t)argument;
    uint64_t seed = worker * 77 + 5;

    fake_cpu_enter(worker);
    for (unsigned round = 0; round < 4; round++) {
        struct space *mine, *child;

        fake_process_enter(NULL);
        if (space_new(NULL, &mine) != 0)
            break;
        fake_process_enter(mine);
        work_in(mine, &seed, worker);
        if (space_fork(mine, false, &child) == 0) {
            fake_process_enter(child);
            work_in(child, &seed, worker);
            space_leave(child);
            space_put(child);
        }
        fake_process_enter(NULL);
        space_put(mine);
    }
    __atomic_fetch_sub(&running, 1, __ATOMIC_RELEASE);
    return NULL;
}

TEST(several_cpus_and_one_object)
{
    pthread_t threads[WORKERS];
    uint64_t seed = 99;

    begin();
    CHECK_EQUAL(memory_new(SHARED_PAGES * PAGE_SIZE, 0, &shared), 0);
    running = WORKERS;
    for (uint32_t i = 0; i < WORKERS; i++)
        pthread_create(&threads[i], NULL, worker_main, (void *)(uintptr_t)(i + 1));
    while (__atomic_load_n(&running, __ATOMIC_ACQUIRE)) {
        uint64_t first = test_random(&seed) % SHARED_PAGES;
        struct memory *copy;

        switch (test_random(&seed) % 3) {
        case 0:
            CHECK_EQUAL(
                memory_decommit(shared, first * PAGE_SIZE, (SHARED_PAGES - first) * PAGE_SIZE), 0);
            break;
        case 1:
            CHECK_EQUAL(memory_resize_to(shared, first * PAGE_SIZE), 0);
            CHECK_EQUAL(memory_resize_to(shared, SHARED_PAGES * PAGE_SIZE), 0);
            break;
        case 2:
            CHECK_EQUAL(memory_clone_range(shared, 0, SHARED_PAGES * PAGE_SIZE, &copy), 0);
            for (unsigned round = 0; round < 3; round++)
                for (unsigned i = 0; i < SHARED_PAGES; i++) {
                    uint64_t value, again;

                    CHECK_EQUAL(memory_read_kernel(copy, i * PAGE_SIZE, &value, 8), 0);
                    CHECK_EQUAL(memory_read_kernel(copy, i * PAGE_SIZE, &again, 8), 0);
                    legal(value, i);
                    CHECK_EQUAL(value, again); /* nobody writes to a clone */
                }
            object_put(&copy->object);
            break;
        }
    }
    for (uint32_t i = 0; i < WORKERS; i++)
        pthread_join(threads[i], NULL);
    CHECK_EQUAL(wrong, 0);
    object_put(&shared->object);
    end();
}
