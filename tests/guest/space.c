/* space_map, space_unmap, space_protect, space_op: regions, their borders, W^X, copy on write. */
#include "tests/guest/guest.h"

#define AREA UINT64_C(0x300000000000) /* nothing of the C library lies here */

static int64_t map_at(uint64_t address, uint64_t pages, uint32_t protection, uint32_t flags,
                      handle_t memory, uint64_t offset)
{
    struct abi_map map = {
        .address = address,
        .length = pages * PAGE_SIZE,
        .offset = offset,
        .memory = memory,
        .protection = protection,
        .flags = flags,
    };

    return sys_space_map(HANDLE_SELF, &map);
}

static uint8_t *map_anonymous(uint64_t address, uint64_t pages, uint32_t protection)
{
    return (uint8_t *)MUST(map_at(address, pages, protection, MAP_FIXED_, HANDLE_NONE, 0));
}

static int64_t unmap(const void *address, uint64_t pages)
{
    return sys_space_unmap(HANDLE_SELF, (uintptr_t)address, pages * PAGE_SIZE);
}

static int64_t protect(const void *address, uint64_t pages, uint32_t protection)
{
    return sys_space_protect(HANDLE_SELF, (uintptr_t)address, pages * PAGE_SIZE, protection);
}

/* PROT_* at the address, -1: nothing there. */
static int64_t query(const void *address)
{
    int64_t result = sys_space_op(HANDLE_SELF, SPACE_OP_QUERY, (uintptr_t)address, 0, 0);

    return result == -E_FAULT ? -1 : MUST(result);
}

static int64_t move(const void *address, uint64_t pages, uint64_t to)
{
    return sys_space_op(HANDLE_SELF, SPACE_OP_MOVE, (uintptr_t)address, pages * PAGE_SIZE, to);
}

static int64_t discard(const void *address, uint64_t pages)
{
    return sys_space_op(HANDLE_SELF, SPACE_OP_DISCARD, (uintptr_t)address, pages * PAGE_SIZE, 0);
}

/* Whether the kernel, on this process's behalf, may read or write the byte. */
static bool readable(const void *address)
{
    handle_t memory = (handle_t)MUST(sys_memory_create(PAGE_SIZE, 0));
    int64_t result = sys_memory_op(memory, MEMORY_OP_WRITE, 0, 1, (void *)(uintptr_t)address);

    handle_drop(memory);
    CHECK(result == 0 || result == -E_FAULT);
    return result == 0;
}

static bool writable(void *address)
{
    handle_t memory = (handle_t)MUST(sys_memory_create(PAGE_SIZE, 0));
    int64_t result = sys_memory_op(memory, MEMORY_OP_READ, 0, 1, address);

    handle_drop(memory);
    CHECK(result == 0 || result == -E_FAULT);
    return result == 0;
}

TEST(anonymous_memory_is_zero)
{
    uint8_t *bytes = pages_map(16);

    for (size_t i = 0; i < 16 * PAGE_SIZE; i++)
        CHECK_EQUAL(bytes[i], 0);
    memset(bytes, 1, 16 * PAGE_SIZE);
    pages_unmap(bytes, 16);
}

TEST(lengths_are_rounded_up)
{
    struct abi_map map = {.length = 1, .memory = HANDLE_NONE, .protection = PROT_READ_};
    uint8_t *bytes = (uint8_t *)MUST(sys_space_map(HANDLE_SELF, &map));

    CHECK_EQUAL(bytes[PAGE_SIZE - 1], 0);
    MUST(sys_space_unmap(HANDLE_SELF, (uintptr_t)bytes, 1));
    CHECK_EQUAL(query(bytes), -1);
}

TEST(map_errors)
{
    handle_t memory = (handle_t)MUST(sys_memory_create(PAGE_SIZE, 0));
    struct abi_map map = {
        .address = AREA, .length = PAGE_SIZE, .memory = HANDLE_NONE, .reserved = 1};

    CHECK_ERROR(sys_space_map(HANDLE_SELF, &map), INVALID);
    CHECK_ERROR(sys_space_map(HANDLE_SELF, NULL), FAULT);
    CHECK_ERROR(sys_space_map(HANDLE_NONE, &map), BAD_HANDLE);
    CHECK_ERROR(map_at(AREA, 0, PROT_READ_, 0, HANDLE_NONE, 0), INVALID);
    CHECK_ERROR(map_at(AREA + 1, 1, PROT_READ_, MAP_FIXED_, HANDLE_NONE, 0), INVALID);
    CHECK_ERROR(map_at(AREA, 1, 8, MAP_FIXED_, HANDLE_NONE, 0), INVALID);
    CHECK_ERROR(map_at(AREA, 1, PROT_READ_, 0x10, HANDLE_NONE, 0), INVALID);
    CHECK_ERROR(map_at(AREA, 1, PROT_READ_, MAP_SHARED_, HANDLE_NONE, 0), INVALID);
    CHECK_ERROR(map_at(AREA, 1, PROT_READ_, 0, HANDLE_NONE, PAGE_SIZE), INVALID);
    CHECK_ERROR(map_at(AREA, 1, PROT_READ_, 0, memory, 1), INVALID);
    CHECK_ERROR(map_at(AREA, 1, PROT_READ_, 0, memory, UINT64_MAX - PAGE_SIZE + 1), RANGE);
    CHECK_ERROR(map_at(0, 1, PROT_READ_, MAP_FIXED_, HANDLE_NONE, 0), RANGE);
    CHECK_ERROR(map_at(UINT64_C(0x7ffffffff000), 1, PROT_READ_, MAP_FIXED_, HANDLE_NONE, 0), RANGE);
    CHECK_ERROR(map_at(UINT64_C(0x800000000000), 1, PROT_READ_, MAP_FIXED_, HANDLE_NONE, 0), RANGE);
    CHECK_ERROR(map_at(UINT64_C(0xffffffff80000000), 1, PROT_READ_, MAP_FIXED_, HANDLE_NONE, 0),
                RANGE);
    CHECK_ERROR(map_at(AREA, UINT64_MAX / PAGE_SIZE, PROT_READ_, MAP_FIXED_, HANDLE_NONE, 0),
                RANGE);
    CHECK_ERROR(map_at(0, UINT64_MAX / PAGE_SIZE, PROT_READ_, 0, HANDLE_NONE, 0), RANGE);
    CHECK_ERROR(map_at(AREA, system_info().frames_total + 1, PROT_WRITE_, 0, HANDLE_NONE, 0),
                NO_MEMORY);
    CHECK_EQUAL(query((void *)AREA), -1);
    handle_drop(memory);
}

TEST(highest_page)
{
    uint8_t *page =
        map_anonymous(UINT64_C(0x7ffffffff000) - PAGE_SIZE, 1, PROT_READ_ | PROT_WRITE_);

    page[PAGE_SIZE - 1] = 1;
    MUST(unmap(page, 1));
}

TEST(hints)
{
    uint8_t *first = (uint8_t *)MUST(map_at(AREA + 5, 1, PROT_READ_, 0, HANDLE_NONE, 0));

    CHECK_EQUAL(first, AREA);
    uint8_t *second = (uint8_t *)MUST(map_at(AREA, 1, PROT_READ_, 0, HANDLE_NONE, 0));

    CHECK(second != first);
    MUST(unmap(first, 1));
    MUST(unmap(second, 1));
}

TEST(fixed_replaces)
{
    uint8_t *bytes = map_anonymous(AREA, 3, PROT_READ_ | PROT_WRITE_);

    memset(bytes, 7, 3 * PAGE_SIZE);
    CHECK_ERROR(
        map_at(AREA + PAGE_SIZE, 1, PROT_READ_, MAP_FIXED_ | MAP_NOREPLACE_, HANDLE_NONE, 0),
        EXISTS);
    CHECK_ERROR(
        map_at(AREA - PAGE_SIZE, 2, PROT_READ_, MAP_FIXED_ | MAP_NOREPLACE_, HANDLE_NONE, 0),
        EXISTS);
    CHECK_EQUAL(query(bytes - PAGE_SIZE), -1);
    map_anonymous(AREA + PAGE_SIZE, 1, PROT_READ_);
    CHECK_EQUAL(bytes[PAGE_SIZE - 1], 7);
    CHECK_EQUAL(bytes[PAGE_SIZE], 0);
    CHECK_EQUAL(bytes[2 * PAGE_SIZE], 7);
    CHECK_EQUAL(query(bytes + PAGE_SIZE), PROT_READ_);
    MUST(unmap(bytes, 3));
}

TEST(populate)
{
    uint64_t before = process_info(HANDLE_SELF).pages;
    uint8_t *bytes =
        (uint8_t *)MUST(map_at(0, 32, PROT_READ_ | PROT_WRITE_, MAP_POPULATE_, HANDLE_NONE, 0));

    CHECK_EQUAL(process_info(HANDLE_SELF).pages - before, 32);
    CHECK_EQUAL(bytes[31 * PAGE_SIZE], 0);
    pages_unmap(bytes, 32);
    CHECK_EQUAL(process_info(HANDLE_SELF).pages, before);
}

/* Reading a page brings those of its group of 16 that the object has, read-only where the mapping is private. Other
 * processes may fault meanwhile, but not as often as this one would. */
#define OBJECT_PAGES 256u

TEST(fault_around)
{
    handle_t memory = (handle_t)MUST(sys_memory_create(OBJECT_PAGES * PAGE_SIZE, 0));

    MUST(sys_memory_op(memory, MEMORY_OP_COMMIT, 0, OBJECT_PAGES * PAGE_SIZE, NULL));
    for (unsigned flags = 0; flags <= MAP_SHARED_; flags += MAP_SHARED_) {
        uint8_t *bytes = (uint8_t *)MUST(
            map_at(AREA, OBJECT_PAGES, PROT_READ_ | PROT_WRITE_, MAP_FIXED_ | flags, memory, 0));
        uint64_t before = system_info().page_faults;

        for (unsigned page = 0; page < OBJECT_PAGES; page++)
            CHECK_EQUAL(*(volatile uint8_t *)(bytes + page * PAGE_SIZE), 0);
        CHECK(system_info().page_faults - before < OBJECT_PAGES / 2);
        bytes[PAGE_SIZE] = 1;
        MUST(unmap(bytes, OBJECT_PAGES));

        uint8_t seen;

        MUST(sys_memory_op(memory, MEMORY_OP_READ, PAGE_SIZE, 1, &seen));
        CHECK_EQUAL(seen, flags ? 1 : 0);
    }
    handle_drop(memory);
}

TEST(unmapping)
{
    uint8_t *bytes = map_anonymous(AREA, 5, PROT_READ_ | PROT_WRITE_);

    memset(bytes, 1, 5 * PAGE_SIZE);
    MUST(unmap(bytes + PAGE_SIZE, 1));     /* the middle */
    MUST(unmap(bytes + PAGE_SIZE, 1));     /* nothing there: no error */
    MUST(unmap(bytes + 3 * PAGE_SIZE, 5)); /* beyond the end */
    CHECK_EQUAL(query(bytes), PROT_READ_ | PROT_WRITE_);
    CHECK_EQUAL(query(bytes + PAGE_SIZE), -1);
    CHECK_EQUAL(query(bytes + 2 * PAGE_SIZE), PROT_READ_ | PROT_WRITE_);
    CHECK_EQUAL(query(bytes + 3 * PAGE_SIZE), -1);
    CHECK_EQUAL(bytes[2 * PAGE_SIZE], 1);
    MUST(unmap(bytes, 3)); /* with a hole */
    CHECK_ERROR(unmap(bytes, 0), INVALID);
    CHECK_ERROR(unmap(bytes + 1, 1), INVALID);
    CHECK_ERROR(unmap((void *)UINT64_C(0x7ffffffff000), 1), RANGE);
    CHECK_ERROR(unmap((void *)UINT64_C(0xffff800000000000), 1), RANGE);
    CHECK_ERROR(unmap(NULL, 1), RANGE);
}

TEST(protection)
{
    uint8_t *bytes = map_anonymous(AREA, 3, PROT_READ_ | PROT_WRITE_);

    memset(bytes, 5, 3 * PAGE_SIZE);
    MUST(protect(bytes + PAGE_SIZE, 1, PROT_READ_));
    CHECK(writable(bytes));
    CHECK(!writable(bytes + PAGE_SIZE));
    CHECK(readable(bytes + PAGE_SIZE));
    CHECK(writable(bytes + 2 * PAGE_SIZE));
    MUST(protect(bytes, 3, 0));
    CHECK_EQUAL(query(bytes), 0);
    CHECK(!readable(bytes));
    CHECK(!readable(bytes + 2 * PAGE_SIZE));
    MUST(protect(bytes, 3, PROT_READ_ | PROT_WRITE_));
    /* What was there is there again; but for what `writable` overwrote. */
    CHECK_EQUAL(bytes[PAGE_SIZE], 5);
    bytes[PAGE_SIZE] = 6;
    MUST(unmap(bytes, 3));
}

TEST(protection_errors)
{
    uint8_t *bytes = map_anonymous(AREA, 3, PROT_READ_ | PROT_WRITE_);

    MUST(unmap(bytes + PAGE_SIZE, 1));
    CHECK_ERROR(protect(bytes, 3, PROT_READ_), FAULT);
    CHECK_EQUAL(query(bytes), PROT_READ_ | PROT_WRITE_); /* nothing was changed */
    CHECK_ERROR(protect(bytes, 1, 8), INVALID);
    CHECK_ERROR(protect(bytes, 0, PROT_READ_), INVALID);
    CHECK_ERROR(protect(bytes + 1, 1, PROT_READ_), INVALID);
    CHECK_ERROR(protect((void *)UINT64_C(0xffffffff80000000), 1, PROT_READ_), RANGE);
    MUST(unmap(bytes, 3));
}

TEST(writable_or_executable)
{
    uint8_t *bytes = map_anonymous(AREA, 2, PROT_READ_ | PROT_WRITE_);
    const uint32_t all = PROT_READ_ | PROT_WRITE_ | PROT_EXECUTE_;

    CHECK_ERROR(map_at(AREA + 4 * PAGE_SIZE, 1, all, MAP_FIXED_, HANDLE_NONE, 0), ACCESS);
    CHECK_ERROR(map_at(AREA, 1, PROT_WRITE_ | PROT_EXECUTE_, MAP_FIXED_, HANDLE_NONE, 0), ACCESS);
    CHECK_ERROR(protect(bytes, 2, all), ACCESS);

    /* Written first, then executed: mov $42, %eax; ret. */
    memcpy(bytes, "\xb8\x2a\x00\x00\x00\xc3", 6);
    MUST(protect(bytes, 1, PROT_READ_ | PROT_EXECUTE_));
    CHECK_EQUAL(((int (*)(void))(uintptr_t)bytes)(), 42);
    CHECK(!writable(bytes));
    MUST(unmap(bytes, 2));
}

TEST(rights_bound_protection)
{
    handle_t memory = (handle_t)MUST(sys_memory_create(PAGE_SIZE, 0));
    handle_t reader = duplicate(memory, RIGHT_READ), writer = duplicate(memory, RIGHT_WRITE);

    CHECK_ERROR(map_at(AREA, 1, PROT_READ_, MAP_FIXED_, writer, 0), ACCESS);
    CHECK_ERROR(map_at(AREA, 1, PROT_READ_ | PROT_WRITE_, MAP_FIXED_ | MAP_SHARED_, reader, 0),
                ACCESS);
    CHECK_ERROR(map_at(AREA, 1, PROT_READ_ | PROT_EXECUTE_, MAP_FIXED_, reader, 0), ACCESS);

    uint8_t *bytes =
        (uint8_t *)MUST(map_at(AREA, 1, PROT_READ_, MAP_FIXED_ | MAP_SHARED_, reader, 0));

    CHECK_ERROR(protect(bytes, 1, PROT_READ_ | PROT_WRITE_), ACCESS);
    CHECK_ERROR(protect(bytes, 1, PROT_READ_ | PROT_EXECUTE_), ACCESS);
    /* A private mapping may be written: it is a copy. */
    MUST(map_at(AREA, 1, PROT_READ_ | PROT_WRITE_, MAP_FIXED_, reader, 0));
    bytes[0] = 1;
    MUST(unmap(bytes, 1));
    handle_drop(memory);
    handle_drop(reader);
    handle_drop(writer);
}

TEST(shared_and_private)
{
    handle_t memory = (handle_t)MUST(sys_memory_create(2 * PAGE_SIZE, 0));
    uint8_t *one = memory_map(memory, 2 * PAGE_SIZE, PROT_READ_ | PROT_WRITE_, MAP_SHARED_);
    uint8_t *two = memory_map(memory, 2 * PAGE_SIZE, PROT_READ_ | PROT_WRITE_, MAP_SHARED_);
    uint8_t *private = memory_map(memory, 2 * PAGE_SIZE, PROT_READ_ | PROT_WRITE_, 0);

    one[0] = 1;
    CHECK_EQUAL(two[0], 1);
    CHECK_EQUAL(private[0], 1);
    two[0] = 2;
    CHECK_EQUAL(one[0], 2);
    CHECK_EQUAL(private[0], 2); /* not written to: still the object's */
    private[0] = 3;
    CHECK_EQUAL(one[0], 2);
    one[0] = 4;
    CHECK_EQUAL(private[0], 3);
    MUST(discard(private, 1));
    CHECK_EQUAL(private[0], 4);
    CHECK_EQUAL(query(one), (PROT_READ_ | PROT_WRITE_) | MAP_SHARED_ << 8);
    CHECK_EQUAL(query(private), PROT_READ_ | PROT_WRITE_);
    pages_unmap(one, 2);
    pages_unmap(two, 2);
    pages_unmap(private, 2);
    handle_drop(memory);
}

TEST(mappings_keep_their_memory)
{
    handle_t memory = (handle_t)MUST(sys_memory_create(PAGE_SIZE, 0));
    uint8_t *bytes = memory_map(memory, PAGE_SIZE, PROT_READ_ | PROT_WRITE_, MAP_SHARED_);

    bytes[0] = 9;
    handle_drop(memory);
    CHECK_EQUAL(bytes[0], 9);
    pages_unmap(bytes, 1);
}

TEST(offsets)
{
    handle_t memory = (handle_t)MUST(sys_memory_create(4 * PAGE_SIZE, 0));
    uint8_t byte = 7;

    MUST(sys_memory_op(memory, MEMORY_OP_WRITE, 2 * PAGE_SIZE + 3, 1, &byte));
    uint8_t *bytes =
        (uint8_t *)MUST(map_at(AREA, 3, PROT_READ_, MAP_FIXED_, memory, 2 * PAGE_SIZE));

    CHECK_EQUAL(bytes[3], 7);
    CHECK(readable(bytes + PAGE_SIZE));
    CHECK(!readable(bytes + 2 * PAGE_SIZE)); /* past the end of the memory */
    MUST(unmap(bytes, 3));
    handle_drop(memory);
}

TEST(discarding)
{
    uint8_t *bytes = map_anonymous(AREA, 3, PROT_READ_ | PROT_WRITE_);
    uint64_t pages = process_info(HANDLE_SELF).pages;

    memset(bytes, 1, 3 * PAGE_SIZE);
    MUST(discard(bytes + PAGE_SIZE, 1));
    CHECK_EQUAL(process_info(HANDLE_SELF).pages - pages, 2);
    CHECK_EQUAL(bytes[0], 1);
    CHECK_EQUAL(bytes[PAGE_SIZE], 0);
    CHECK_EQUAL(bytes[2 * PAGE_SIZE], 1);
    MUST(unmap(bytes + PAGE_SIZE, 1));
    CHECK_ERROR(discard(bytes, 3), FAULT);
    CHECK_ERROR(discard(bytes, 0), INVALID);
    CHECK_ERROR(discard((void *)UINT64_C(0xffffffff80000000), 1), RANGE);
    MUST(unmap(bytes, 3));
}

TEST(moving)
{
    uint8_t *bytes = map_anonymous(AREA, 4, PROT_READ_ | PROT_WRITE_);
    uint8_t *target = bytes + 16 * PAGE_SIZE;

    for (unsigned i = 0; i < 4; i++)
        bytes[i * PAGE_SIZE] = (uint8_t)(i + 1);
    MUST(protect(bytes + 2 * PAGE_SIZE, 1, PROT_READ_));
    MUST(move(bytes + PAGE_SIZE, 2, (uintptr_t)target));
    CHECK_EQUAL(query(bytes + PAGE_SIZE), -1);
    CHECK_EQUAL(target[0], 2);
    CHECK_EQUAL(target[PAGE_SIZE], 3);
    CHECK_EQUAL(query(target), PROT_READ_ | PROT_WRITE_);
    CHECK_EQUAL(query(target + PAGE_SIZE), PROT_READ_);
    CHECK_EQUAL(bytes[0], 1);
    CHECK_EQUAL(bytes[3 * PAGE_SIZE], 4);
    CHECK_ERROR(move(bytes, 1, (uintptr_t)target), EXISTS);
    CHECK_ERROR(move(bytes, 4, (uintptr_t)target + 32 * PAGE_SIZE), FAULT);
    CHECK_ERROR(move(bytes, 1, (uintptr_t)target + 1), INVALID);
    CHECK_ERROR(move(bytes, 0, (uintptr_t)target + 32 * PAGE_SIZE), INVALID);
    CHECK_ERROR(move(bytes, 1, UINT64_C(0x7ffffffff000)), RANGE);
    MUST(unmap(bytes, 20));
}

TEST(finding)
{
    uint8_t *bytes = map_anonymous(AREA, 4, PROT_READ_);

    CHECK_EQUAL(MUST(sys_space_op(HANDLE_SELF, SPACE_OP_FIND, AREA, PAGE_SIZE, 0)),
                AREA + 4 * PAGE_SIZE);
    MUST(unmap(bytes + PAGE_SIZE, 2));
    CHECK_EQUAL(MUST(sys_space_op(HANDLE_SELF, SPACE_OP_FIND, AREA, 2 * PAGE_SIZE, 0)),
                AREA + PAGE_SIZE);
    CHECK_EQUAL(MUST(sys_space_op(HANDLE_SELF, SPACE_OP_FIND, AREA, 3 * PAGE_SIZE, 0)),
                AREA + 4 * PAGE_SIZE);
    CHECK_EQUAL(MUST(sys_space_op(HANDLE_SELF, SPACE_OP_FIND, 0, PAGE_SIZE, 0)), PAGE_SIZE);
    CHECK_ERROR(sys_space_op(HANDLE_SELF, SPACE_OP_FIND, AREA, 0, 0), INVALID);
    CHECK_ERROR(sys_space_op(HANDLE_SELF, SPACE_OP_FIND, AREA, UINT64_MAX, 0), RANGE);
    CHECK_ERROR(sys_space_op(HANDLE_SELF, SPACE_OP_FIND, UINT64_MAX, PAGE_SIZE, 0), RANGE);
    CHECK_ERROR(sys_space_op(HANDLE_SELF, SPACE_OP_FIND, PAGE_SIZE, UINT64_C(0x7fffffff0000), 0),
                NO_MEMORY);
    CHECK_ERROR(sys_space_op(HANDLE_SELF, 0, AREA, PAGE_SIZE, 0), INVALID);
    CHECK_ERROR(sys_space_op(HANDLE_SELF, 99, AREA, PAGE_SIZE, 0), INVALID);
    MUST(unmap(bytes, 4));
}

/* Random maps, unmaps and protects against a model of 64 pages. */
TEST(model)
{
    enum { PAGES = 64, ABSENT = -1 };
    int64_t model[PAGES];
    uint8_t *area = (uint8_t *)AREA;
    uint64_t seed = 7;
    static const uint32_t protections[] = {0, PROT_READ_, PROT_READ_ | PROT_WRITE_,
                                           PROT_READ_ | PROT_EXECUTE_};

    for (int i = 0; i < PAGES; i++)
        model[i] = ABSENT;
    for (int round = 0; round < 2000; round++) {
        uint64_t r = test_random(&seed);
        int first = (int)(r % PAGES), count = (int)(r >> 8 & 0xff) % (PAGES - first) + 1;
        uint32_t protection = protections[(r >> 40) % 4];
        bool whole = true;

        for (int i = first; i < first + count; i++)
            whole &= model[i] != ABSENT;
        switch ((r >> 48) % 3) {
        case 0:
            map_anonymous(AREA + (uint64_t)first * PAGE_SIZE, (uint64_t)count, protection);
            for (int i = first; i < first + count; i++)
                model[i] = protection;
            break;
        case 1:
            MUST(unmap(area + first * PAGE_SIZE, (uint64_t)count));
            for (int i = first; i < first + count; i++)
                model[i] = ABSENT;
            break;
        default:
            CHECK_EQUAL(protect(area + first * PAGE_SIZE, (uint64_t)count, protection),
                        whole ? 0 : -E_FAULT);
            for (int i = first; whole && i < first + count; i++)
                model[i] = protection;
        }
        int at = (int)(test_random(&seed) % PAGES);
        CHECK_EQUAL(query(area + at * PAGE_SIZE), model[at]);
        if (model[at] != ABSENT && model[at] & PROT_WRITE_)
            area[at * PAGE_SIZE] = (uint8_t)round;
        if (model[at] == ABSENT || model[at] == 0)
            CHECK(!readable(area + at * PAGE_SIZE));
    }
    MUST(unmap(area, PAGES));
}

/* Another process's space, through its handle. */
static void wait_for_byte(void *argument)
{
    uint32_t *words = argument;
    volatile uint8_t *byte = (volatile uint8_t *)AREA;

    word_wait(words, 1);
    CHECK_EQUAL(*byte, 77);
    *byte = 78;
    word_set(words + 1, 1);
}

TEST(another_process)
{
    uint32_t *words = shared(PAGE_SIZE);
    struct helper *helper = helper_process(wait_for_byte, words);
    handle_t memory = (handle_t)MUST(sys_memory_create(PAGE_SIZE, 0));
    handle_t weak = duplicate(helper->process, RIGHT_CONTROL);
    uint8_t byte = 77;
    struct abi_map map = {.address = AREA,
                          .length = PAGE_SIZE,
                          .memory = memory,
                          .protection = PROT_READ_ | PROT_WRITE_,
                          .flags = MAP_SHARED_ | MAP_FIXED_};

    MUST(sys_memory_op(memory, MEMORY_OP_WRITE, 0, 1, &byte));
    CHECK_ERROR(sys_space_map(weak, &map), ACCESS);
    CHECK_EQUAL(MUST(sys_space_map(helper->process, &map)), AREA);
    CHECK_EQUAL(query((void *)AREA), -1); /* not here */
    CHECK_EQUAL(MUST(sys_space_op(helper->process, SPACE_OP_QUERY, AREA, 0, 0)),
                (PROT_READ_ | PROT_WRITE_) | MAP_SHARED_ << 8);
    word_set(words, 1);
    word_wait(words + 1, 1);
    MUST(sys_memory_op(memory, MEMORY_OP_READ, 0, 1, &byte));
    CHECK_EQUAL(byte, 78);

    handle_t process = duplicate(helper->process, info_of(helper->process).rights);

    helper_join(helper);
    CHECK_ERROR(sys_space_map(process, &map), NO_PROCESS);
    CHECK_ERROR(sys_space_unmap(process, AREA, PAGE_SIZE), NO_PROCESS);
    CHECK_ERROR(sys_space_protect(process, AREA, PAGE_SIZE, 0), NO_PROCESS);
    CHECK_ERROR(sys_space_op(process, SPACE_OP_QUERY, AREA, 0, 0), NO_PROCESS);
    handle_drop(process);
    handle_drop(weak);
    handle_drop(memory);
    unshare(words);
}

/* --- Copy on write between processes ---------------------------------------------------------------------------- */

struct cow {
    uint32_t step, done;
    uint8_t *bytes;
    uint8_t seen[4];
};

static void cow_child(void *argument)
{
    struct cow *cow = argument;

    cow->seen[0] = cow->bytes[0]; /* the parent's before the fork */
    cow->bytes[PAGE_SIZE] = 100;
    word_set(&cow->done, 1);
    word_wait(&cow->step, 1);
    cow->seen[1] = cow->bytes[0]; /* still, whatever the parent wrote since */
    cow->seen[2] = cow->bytes[PAGE_SIZE];
    cow->seen[3] = cow->bytes[2 * PAGE_SIZE]; /* never touched before the fork */
}

TEST(fork_copies_on_write)
{
    struct cow *cow = shared(PAGE_SIZE);

    cow->bytes = pages_map(3);
    cow->bytes[0] = 1;
    cow->bytes[PAGE_SIZE] = 2;
    struct helper *helper = helper_process(cow_child, cow);

    word_wait(&cow->done, 1);
    CHECK_EQUAL(cow->bytes[PAGE_SIZE], 2);
    cow->bytes[0] = 50;
    cow->bytes[2 * PAGE_SIZE] = 51;
    word_set(&cow->step, 1);
    helper_join(helper);
    CHECK_EQUAL(cow->seen[0], 1);
    CHECK_EQUAL(cow->seen[1], 1);
    CHECK_EQUAL(cow->seen[2], 100);
    CHECK_EQUAL(cow->seen[3], 0);
    pages_unmap(cow->bytes, 3);
    unshare(cow);
}

/* The last owner of a page writes to it in place. */
static void nothing(void *argument)
{
    (void)argument;
}

TEST(forks_leave_no_copies)
{
    uint8_t *bytes = pages_map(64);

    memset(bytes, 1, 64 * PAGE_SIZE);
    helper_join(helper_process(nothing, NULL));
    uint64_t pages = process_info(HANDLE_SELF).pages;
    uint64_t before = system_info().frames_free;

    memset(bytes, 2, 64 * PAGE_SIZE);
    CHECK_EQUAL(process_info(HANDLE_SELF).pages, pages);
    CHECK(system_info().frames_free + 32 > before);
    pages_unmap(bytes, 64);
}

/* Pages that are written to between forks are copied by the fork: neither side faults on them, and what each writes
 * is its own. More of them than that, and pages that are not written to again, are shared as ever. */
struct family {
    uint8_t *bytes;
    uint32_t round, wrong;
    uint64_t faults;
};

#define HOT_PAGES 8u
#define ALL_PAGES 64u

static void check_and_write(void *argument)
{
    struct family *family = argument;
    uint64_t before = system_info().page_faults;

    for (unsigned page = 0; page < HOT_PAGES; page++) {
        family->wrong += family->bytes[page * PAGE_SIZE] != (uint8_t)(family->round + page);
        family->bytes[page * PAGE_SIZE] = 0xee;
    }
    family->faults = system_info().page_faults - before;
    for (unsigned page = HOT_PAGES; page < ALL_PAGES; page++) {
        family->wrong += family->bytes[page * PAGE_SIZE] != 77;
        family->bytes[page * PAGE_SIZE] = 0xee;
    }
}

TEST(forks_copy_what_is_always_written)
{
    struct family *family = shared(PAGE_SIZE);
    uint8_t *bytes = family->bytes = pages_map(ALL_PAGES);
    uint64_t first = 0;

    memset(bytes, 77, ALL_PAGES * PAGE_SIZE);
    for (uint32_t round = 0; round < 20; round++) {
        family->round = round;
        for (unsigned page = 0; page < HOT_PAGES; page++)
            bytes[page * PAGE_SIZE] = (uint8_t)(round + page);
        helper_join(helper_process(check_and_write, family));
        CHECK_EQUAL(family->wrong, 0);
        for (unsigned page = 0; page < HOT_PAGES; page++)
            CHECK_EQUAL(bytes[page * PAGE_SIZE], (uint8_t)(round + page));
        for (unsigned page = HOT_PAGES; page < ALL_PAGES; page++)
            CHECK_EQUAL(bytes[page * PAGE_SIZE], 77);
        if (round == 0)
            first = family->faults;
    }
    CHECK(first >= HOT_PAGES);
    CHECK(family->faults < HOT_PAGES);
    pages_unmap(bytes, ALL_PAGES);
    unshare(family);
}

/* A service's copies into a forked caller go to the caller's own page, not the shared one. */
TEST(kernel_writes_copy_too)
{
    handle_t memory = (handle_t)MUST(sys_memory_create(PAGE_SIZE, 0));
    struct cow *cow = shared(PAGE_SIZE);
    uint8_t byte = 9;

    cow->bytes = pages_map(3);
    cow->bytes[0] = 1;
    cow->bytes[PAGE_SIZE] = 2;
    MUST(sys_memory_op(memory, MEMORY_OP_WRITE, 0, 1, &byte));
    struct helper *helper = helper_process(cow_child, cow);

    word_wait(&cow->done, 1);
    MUST(sys_memory_op(memory, MEMORY_OP_READ, 0, 1, cow->bytes));
    CHECK_EQUAL(cow->bytes[0], 9);
    word_set(&cow->step, 1);
    helper_join(helper);
    CHECK_EQUAL(cow->seen[1], 1);
    pages_unmap(cow->bytes, 3);
    handle_drop(memory);
    unshare(cow);
}

/* Threads fault on the same fresh pages at once: all see one page. */
struct race {
    uint32_t go, *words;
};

static void race_on_pages(void *argument)
{
    struct race *race = argument;

    word_wait(&race->go, 1);
    for (unsigned page = 0; page < 64; page++)
        __atomic_fetch_add(&race->words[page * 1024], 1, __ATOMIC_SEQ_CST);
}

TEST(threads_fault_together)
{
    for (int round = 0; round < 20; round++) {
        struct race race = {0, pages_map(64)};
        struct helper *threads[4];

        for (int i = 0; i < 4; i++)
            threads[i] = helper_thread(race_on_pages, &race);
        word_set(&race.go, 1);
        for (int i = 0; i < 4; i++)
            helper_join(threads[i]);
        for (unsigned page = 0; page < 64; page++)
            CHECK_EQUAL(race.words[page * 1024], 4);
        pages_unmap(race.words, 64);
    }
}

/* While one thread writes, another takes the pages away and brings them back: the writer's exceptions would end the
 * process, so it writes through the kernel. A stale translation would let it write to a freed page. */
static void write_through_kernel(void *argument)
{
    struct race *race = argument;
    handle_t memory = (handle_t)MUST(sys_memory_create(PAGE_SIZE, 0));

    while (!word_get(&race->go)) {
        int64_t result = sys_memory_op(memory, MEMORY_OP_READ, 0, PAGE_SIZE, race->words);

        CHECK(result == 0 || result == -E_FAULT);
    }
    handle_drop(memory);
}

TEST(unmapping_under_a_writer)
{
    struct race race = {0, (uint32_t *)AREA};
    struct helper *writer = helper_thread(write_through_kernel, &race);

    for (int round = 0; round < 1000; round++) {
        map_anonymous(AREA, 1, PROT_READ_ | PROT_WRITE_);
        if (round % 3 == 0)
            MUST(protect(race.words, 1, PROT_READ_));
        MUST(unmap(race.words, 1));
    }
    word_set(&race.go, 1);
    helper_join(writer);
}
