/* memory_create, memory_clone, memory_resize, memory_op, memory_physical. */
#include "tests/guest/guest.h"

static handle_t memory_new(uint64_t pages)
{
    return (handle_t)MUST(sys_memory_create(pages * PAGE_SIZE, 0));
}

static int64_t size_of(handle_t memory)
{
    return MUST(sys_memory_op(memory, MEMORY_OP_SIZE, 0, 0, NULL));
}

static void write_byte(handle_t memory, uint64_t offset, uint8_t byte)
{
    MUST(sys_memory_op(memory, MEMORY_OP_WRITE, offset, 1, &byte));
}

static uint8_t read_byte(handle_t memory, uint64_t offset)
{
    uint8_t byte = 0xee;

    MUST(sys_memory_op(memory, MEMORY_OP_READ, offset, 1, &byte));
    return byte;
}

TEST(sizes_are_whole_pages)
{
    static const struct {
        uint64_t size, want;
    } sizes[] = {
        {0, 0}, {1, 4096}, {4096, 4096}, {4097, 8192}, {UINT64_C(1) << 40, UINT64_C(1) << 40}};

    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        handle_t memory = (handle_t)MUST(sys_memory_create(sizes[i].size, 0));

        CHECK_EQUAL(size_of(memory), sizes[i].want);
        handle_drop(memory);
    }
}

TEST(creation_errors)
{
    CHECK_ERROR(sys_memory_create(PAGE_SIZE, 0x80), INVALID);
    CHECK_ERROR(sys_memory_create(UINT64_MAX, 0), RANGE);
    CHECK_ERROR(sys_memory_create(PAGE_SIZE, MEMORY_CONTIGUOUS), INVALID);
    CHECK_ERROR(sys_memory_physical(root(), 0, (UINT64_C(4) << 20) + 1, MEMORY_CONTIGUOUS), RANGE);
    CHECK_ERROR(sys_memory_physical(root(), 0, 0, MEMORY_CONTIGUOUS), INVALID);
}

TEST(zero_until_written)
{
    handle_t memory = memory_new(3);
    uint8_t bytes[3 * PAGE_SIZE], written[5000];

    memset(bytes, 0xff, sizeof(bytes));
    MUST(sys_memory_op(memory, MEMORY_OP_READ, 0, sizeof(bytes), bytes));
    for (size_t i = 0; i < sizeof(bytes); i++)
        CHECK_EQUAL(bytes[i], 0);
    for (size_t i = 0; i < sizeof(written); i++)
        written[i] = (uint8_t)(i * 7);
    MUST(sys_memory_op(memory, MEMORY_OP_WRITE, 100, sizeof(written), written));
    MUST(sys_memory_op(memory, MEMORY_OP_READ, 0, sizeof(bytes), bytes));
    for (size_t i = 0; i < sizeof(bytes); i++)
        CHECK_EQUAL(bytes[i], i >= 100 && i < 5100 ? (uint8_t)((i - 100) * 7) : 0);
    handle_drop(memory);
}

TEST(reading_what_was_never_written_allocates_nothing)
{
    handle_t memory = memory_new(1024);
    static uint8_t bytes[1024 * PAGE_SIZE / 16];
    uint64_t before;

    memset(bytes, 1, sizeof(bytes)); /* its own pages are there */
    before = system_info().frames_free;
    for (unsigned i = 0; i < 16; i++)
        MUST(sys_memory_op(memory, MEMORY_OP_READ, i * sizeof(bytes), sizeof(bytes), bytes));
    CHECK(system_info().frames_free + 64 > before);
    handle_drop(memory);
}

TEST(ranges_of_operations)
{
    handle_t memory = memory_new(2);
    uint8_t byte = 0;
    static const uint32_t ops[] = {MEMORY_OP_ZERO, MEMORY_OP_DECOMMIT, MEMORY_OP_COMMIT,
                                   MEMORY_OP_READ, MEMORY_OP_WRITE};

    for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
        CHECK_ERROR(sys_memory_op(memory, ops[i], 2 * PAGE_SIZE, 1, &byte), RANGE);
        CHECK_ERROR(sys_memory_op(memory, ops[i], 1, 2 * PAGE_SIZE, &byte), RANGE);
        CHECK_ERROR(sys_memory_op(memory, ops[i], UINT64_MAX, 1, &byte), RANGE);
        CHECK_ERROR(sys_memory_op(memory, ops[i], 1, UINT64_MAX, &byte), RANGE);
        CHECK_EQUAL(sys_memory_op(memory, ops[i], 2 * PAGE_SIZE, 0, &byte), 0);
    }
    CHECK_ERROR(sys_memory_op(memory, 0, 0, 0, NULL), INVALID);
    CHECK_ERROR(sys_memory_op(memory, 100, 0, 0, NULL), INVALID);
    handle_drop(memory);
}

TEST(buffers_are_checked)
{
    handle_t memory = memory_new(2);
    uint8_t *pages = pages_map(2);

    CHECK_ERROR(sys_memory_op(memory, MEMORY_OP_READ, 0, 1, NULL), FAULT);
    CHECK_ERROR(sys_memory_op(memory, MEMORY_OP_WRITE, 0, 1, NULL), FAULT);
    CHECK_ERROR(sys_memory_op(memory, MEMORY_OP_READ, 0, 1, (void *)UINT64_C(0xffff800000000000)),
                FAULT);
    CHECK_ERROR(sys_memory_op(memory, MEMORY_OP_WRITE, 0, 1, (void *)UINT64_C(0xffffffff80000000)),
                FAULT);
    CHECK_ERROR(sys_memory_op(memory, MEMORY_OP_READ, 0, 1, (void *)UINT64_C(0x800000000000)),
                FAULT);

    /* One page is there, the next is not; and one that may only be read. */
    pages_unmap(pages + PAGE_SIZE, 1);
    CHECK_ERROR(sys_memory_op(memory, MEMORY_OP_READ, 0, 2 * PAGE_SIZE, pages), FAULT);
    CHECK_ERROR(sys_memory_op(memory, MEMORY_OP_WRITE, 0, 2 * PAGE_SIZE, pages), FAULT);
    MUST(sys_space_protect(HANDLE_SELF, (uintptr_t)pages, PAGE_SIZE, PROT_READ_));
    CHECK_ERROR(sys_memory_op(memory, MEMORY_OP_READ, 0, 1, pages), FAULT);
    MUST(sys_memory_op(memory, MEMORY_OP_WRITE, 0, PAGE_SIZE, pages));
    pages_unmap(pages, 1);
    handle_drop(memory);
}

TEST(rights_of_operations)
{
    handle_t memory = memory_new(1);
    handle_t reader = duplicate(memory, RIGHT_READ), writer = duplicate(memory, RIGHT_WRITE);
    uint8_t byte = 5;

    CHECK_ERROR(sys_memory_op(reader, MEMORY_OP_WRITE, 0, 1, &byte), ACCESS);
    CHECK_ERROR(sys_memory_op(reader, MEMORY_OP_ZERO, 0, 1, NULL), ACCESS);
    CHECK_ERROR(sys_memory_op(reader, MEMORY_OP_DECOMMIT, 0, PAGE_SIZE, NULL), ACCESS);
    CHECK_ERROR(sys_memory_op(reader, MEMORY_OP_COMMIT, 0, PAGE_SIZE, NULL), ACCESS);
    CHECK_ERROR(sys_memory_resize(reader, 0), ACCESS);
    CHECK_ERROR(sys_memory_op(writer, MEMORY_OP_READ, 0, 1, &byte), ACCESS);
    CHECK_ERROR(sys_memory_clone(writer, 0, PAGE_SIZE, 0), ACCESS);
    CHECK_EQUAL(size_of(reader), PAGE_SIZE);
    CHECK_EQUAL(size_of(writer), PAGE_SIZE);
    MUST(sys_memory_op(writer, MEMORY_OP_WRITE, 0, 1, &byte));
    CHECK_EQUAL(read_byte(reader, 0), 5);
    handle_drop(memory);
    handle_drop(reader);
    handle_drop(writer);
}

TEST(zeroing)
{
    handle_t memory = memory_new(3);
    uint8_t bytes[3 * PAGE_SIZE];

    memset(bytes, 0xaa, sizeof(bytes));
    MUST(sys_memory_op(memory, MEMORY_OP_WRITE, 0, sizeof(bytes), bytes));
    MUST(sys_memory_op(memory, MEMORY_OP_ZERO, 10, 2 * PAGE_SIZE, NULL));
    MUST(sys_memory_op(memory, MEMORY_OP_READ, 0, sizeof(bytes), bytes));
    for (size_t i = 0; i < sizeof(bytes); i++)
        CHECK_EQUAL(bytes[i], i < 10 || i >= 2 * PAGE_SIZE + 10 ? 0xaa : 0);
    handle_drop(memory);
}

TEST(decommitting_gives_pages_back)
{
    handle_t memory = memory_new(256);
    uint8_t *bytes = memory_map(memory, 256 * PAGE_SIZE, PROT_READ_ | PROT_WRITE_, MAP_SHARED_);
    uint64_t before = system_info().frames_free;

    memset(bytes, 3, 256 * PAGE_SIZE);
    CHECK(system_info().frames_free + 256 <= before + 8);
    MUST(sys_memory_op(memory, MEMORY_OP_DECOMMIT, 0, 256 * PAGE_SIZE, NULL));
    CHECK(system_info().frames_free + 64 >= before);
    CHECK_EQUAL(bytes[0], 0);
    CHECK_EQUAL(bytes[255 * PAGE_SIZE], 0);
    bytes[1] = 4;
    CHECK_EQUAL(read_byte(memory, 1), 4);
    pages_unmap(bytes, 256);
    handle_drop(memory);
}

/* Only whole pages go; the rest of the range stays. */
TEST(decommitting_parts)
{
    handle_t memory = memory_new(3);

    for (unsigned i = 0; i < 3; i++)
        write_byte(memory, i * PAGE_SIZE, (uint8_t)(i + 1));
    MUST(sys_memory_op(memory, MEMORY_OP_DECOMMIT, 1, 2 * PAGE_SIZE, NULL));
    CHECK_EQUAL(read_byte(memory, 0), 1);
    CHECK_EQUAL(read_byte(memory, PAGE_SIZE), 0);
    CHECK_EQUAL(read_byte(memory, 2 * PAGE_SIZE), 3);
    handle_drop(memory);
}

TEST(committing_allocates)
{
    handle_t memory = memory_new(64);
    uint64_t before = system_info().frames_free;

    MUST(sys_memory_op(memory, MEMORY_OP_COMMIT, 0, 64 * PAGE_SIZE, NULL));
    CHECK(system_info().frames_free + 64 <= before + 8);
    handle_drop(memory);
}

TEST(committing_more_than_there_is)
{
    uint64_t total = system_info().frames_total;
    handle_t memory = memory_new(total + 1024);

    CHECK_ERROR(sys_memory_op(memory, MEMORY_OP_COMMIT, 0, (total + 1024) * PAGE_SIZE, NULL),
                NO_MEMORY);
    handle_drop(memory);
}

TEST(growing_and_shrinking)
{
    handle_t memory = memory_new(1);

    write_byte(memory, 10, 1);
    MUST(sys_memory_resize(memory, 4 * PAGE_SIZE));
    CHECK_EQUAL(size_of(memory), 4 * PAGE_SIZE);
    write_byte(memory, 3 * PAGE_SIZE, 9);
    MUST(sys_memory_resize(memory, PAGE_SIZE));
    MUST(sys_memory_resize(memory, 4 * PAGE_SIZE));
    CHECK_EQUAL(read_byte(memory, 3 * PAGE_SIZE), 0);
    CHECK_EQUAL(read_byte(memory, 10), 1);
    MUST(sys_memory_resize(memory, 0));
    CHECK_EQUAL(size_of(memory), 0);
    CHECK_ERROR(sys_memory_resize(memory, UINT64_MAX), RANGE);
    handle_drop(memory);
}

/* What a mapping shows past the end of its memory is a page fault, in the kernel's copies E_FAULT. */
TEST(shrinking_takes_pages_from_mappings)
{
    handle_t memory = memory_new(4), source = memory_new(1);
    uint8_t *bytes = memory_map(memory, 4 * PAGE_SIZE, PROT_READ_ | PROT_WRITE_, MAP_SHARED_);
    uint8_t *private = memory_map(memory, 4 * PAGE_SIZE, PROT_READ_ | PROT_WRITE_, 0);

    memset(bytes, 1, 4 * PAGE_SIZE);
    private[3 * PAGE_SIZE] = 2;
    MUST(sys_memory_resize(memory, 2 * PAGE_SIZE));
    MUST(sys_memory_op(source, MEMORY_OP_READ, 0, PAGE_SIZE, bytes + PAGE_SIZE));
    CHECK_ERROR(sys_memory_op(source, MEMORY_OP_READ, 0, 1, bytes + 2 * PAGE_SIZE), FAULT);
    CHECK_ERROR(sys_memory_op(source, MEMORY_OP_WRITE, 0, 1, bytes + 2 * PAGE_SIZE), FAULT);
    CHECK_ERROR(sys_memory_op(source, MEMORY_OP_WRITE, 0, 1, private + 3 * PAGE_SIZE), FAULT);
    MUST(sys_memory_resize(memory, 4 * PAGE_SIZE));
    CHECK_EQUAL(bytes[2 * PAGE_SIZE], 0);
    pages_unmap(bytes, 4);
    pages_unmap(private, 4);
    handle_drop(memory);
    handle_drop(source);
}

TEST(clones_are_copies)
{
    handle_t memory = memory_new(4);

    for (unsigned i = 0; i < 4; i++)
        write_byte(memory, i * PAGE_SIZE, (uint8_t)(i + 1));
    handle_t clone = (handle_t)MUST(sys_memory_clone(memory, PAGE_SIZE, 2 * PAGE_SIZE, 0));

    CHECK_EQUAL(size_of(clone), 2 * PAGE_SIZE);
    CHECK_EQUAL(read_byte(clone, 0), 2);
    CHECK_EQUAL(read_byte(clone, PAGE_SIZE), 3);
    write_byte(memory, PAGE_SIZE, 20);
    write_byte(clone, PAGE_SIZE, 30);
    CHECK_EQUAL(read_byte(clone, 0), 2);
    CHECK_EQUAL(read_byte(memory, PAGE_SIZE), 20);
    CHECK_EQUAL(read_byte(clone, PAGE_SIZE), 30);
    CHECK_EQUAL(read_byte(memory, 2 * PAGE_SIZE), 3);
    handle_drop(memory);
    CHECK_EQUAL(read_byte(clone, 0), 2);
    handle_drop(clone);
}

TEST(clones_share_frames)
{
    handle_t memory = memory_new(256);

    MUST(sys_memory_op(memory, MEMORY_OP_COMMIT, 0, 256 * PAGE_SIZE, NULL));
    uint64_t before = system_info().frames_free;
    handle_t clone = (handle_t)MUST(sys_memory_clone(memory, 0, 256 * PAGE_SIZE, 0));

    CHECK(system_info().frames_free + 64 > before);
    handle_drop(clone);
    handle_drop(memory);
}

/* Mappings of both, made before and after, see only their own object's writes. */
TEST(clones_and_mappings)
{
    handle_t memory = memory_new(2);
    uint8_t *original = memory_map(memory, 2 * PAGE_SIZE, PROT_READ_ | PROT_WRITE_, MAP_SHARED_);

    original[0] = 1;
    original[PAGE_SIZE] = 2;
    handle_t clone = (handle_t)MUST(sys_memory_clone(memory, 0, 2 * PAGE_SIZE, 0));
    uint8_t *copy = memory_map(clone, 2 * PAGE_SIZE, PROT_READ_ | PROT_WRITE_, MAP_SHARED_);

    CHECK_EQUAL(copy[0], 1);
    original[0] = 10;
    CHECK_EQUAL(copy[0], 1);
    copy[PAGE_SIZE] = 20;
    CHECK_EQUAL(original[PAGE_SIZE], 2);
    CHECK_EQUAL(read_byte(memory, 0), 10);
    CHECK_EQUAL(read_byte(clone, PAGE_SIZE), 20);
    pages_unmap(original, 2);
    pages_unmap(copy, 2);
    handle_drop(memory);
    handle_drop(clone);
}

TEST(clones_of_clones)
{
    handle_t chain[10];

    chain[0] = memory_new(1);
    write_byte(chain[0], 0, 1);
    for (unsigned i = 1; i < 10; i++)
        chain[i] = (handle_t)MUST(sys_memory_clone(chain[i - 1], 0, PAGE_SIZE, 0));
    write_byte(chain[5], 0, 5);
    for (unsigned i = 0; i < 10; i++)
        CHECK_EQUAL(read_byte(chain[i], 0), i == 5 ? 5 : 1);
    for (unsigned i = 0; i < 10; i++)
        handle_drop(chain[i]);
}

TEST(clone_errors)
{
    handle_t memory = memory_new(2);

    CHECK_ERROR(sys_memory_clone(memory, 0, 0, 0), INVALID);
    CHECK_ERROR(sys_memory_clone(memory, 1, PAGE_SIZE, 0), INVALID);
    CHECK_ERROR(sys_memory_clone(memory, 0, PAGE_SIZE, 1), INVALID);
    CHECK_ERROR(sys_memory_clone(memory, PAGE_SIZE, 2 * PAGE_SIZE, 0), RANGE);
    CHECK_ERROR(sys_memory_clone(memory, UINT64_MAX - PAGE_SIZE + 1, PAGE_SIZE, 0), RANGE);
    handle_drop(memory);
}

TEST(contiguous)
{
    handle_t memory =
        (handle_t)MUST(sys_memory_physical(root(), 0, 64 * PAGE_SIZE, MEMORY_CONTIGUOUS));
    uint64_t addresses[64];

    MUST(sys_memory_op(memory, MEMORY_OP_PHYSICAL, 0, 64 * PAGE_SIZE, addresses));
    for (unsigned i = 0; i < 64; i++)
        CHECK_EQUAL(addresses[i], addresses[0] + i * PAGE_SIZE);
    CHECK_EQUAL(read_byte(memory, 63 * PAGE_SIZE), 0);
    CHECK_ERROR(sys_memory_resize(memory, PAGE_SIZE), NOT_SUPPORTED);
    CHECK_ERROR(sys_memory_op(memory, MEMORY_OP_DECOMMIT, 0, PAGE_SIZE, NULL), NOT_SUPPORTED);
    CHECK_ERROR(sys_memory_op(memory, MEMORY_OP_PHYSICAL, 1, PAGE_SIZE, addresses), INVALID);
    CHECK_ERROR(sys_memory_op(memory, MEMORY_OP_PHYSICAL, 0, PAGE_SIZE, NULL), FAULT);

    /* A clone is an ordinary copy. */
    write_byte(memory, 5, 5);
    handle_t clone = (handle_t)MUST(sys_memory_clone(memory, 0, PAGE_SIZE, 0));

    CHECK_EQUAL(read_byte(clone, 5), 5);
    write_byte(memory, 5, 6);
    CHECK_EQUAL(read_byte(clone, 5), 5);
    handle_drop(clone);
    handle_drop(memory);
}

TEST(dma32)
{
    handle_t memory = (handle_t)MUST(sys_memory_physical(root(), 0, 16 * PAGE_SIZE, MEMORY_DMA32));
    uint64_t addresses[16];

    MUST(sys_memory_op(memory, MEMORY_OP_PHYSICAL, 0, 16 * PAGE_SIZE, addresses));
    for (unsigned i = 0; i < 16; i++)
        CHECK(addresses[i] && addresses[i] < UINT64_C(1) << 32);
    handle_drop(memory);
}

/* Who was given it without RIGHT_CONTROL writes to it, and that is all. */
TEST(memory_that_is_owned)
{
    handle_t owned = (handle_t)MUST(sys_memory_create(2 * PAGE_SIZE, MEMORY_OWNED));
    handle_t weak = duplicate(owned, RIGHT_READ | RIGHT_WRITE);
    uint8_t byte = 5;

    CHECK(info_of(owned).rights & RIGHT_CONTROL);
    MUST(sys_memory_op(weak, MEMORY_OP_WRITE, PAGE_SIZE, 1, &byte));
    CHECK_ERROR(sys_memory_resize(weak, PAGE_SIZE), ACCESS);
    CHECK_ERROR(sys_memory_op(weak, MEMORY_OP_DECOMMIT, 0, 2 * PAGE_SIZE, NULL), ACCESS);
    MUST(sys_memory_op(owned, MEMORY_OP_DECOMMIT, 0, PAGE_SIZE, NULL));
    MUST(sys_memory_resize(owned, PAGE_SIZE));
    CHECK_EQUAL(size_of(weak), PAGE_SIZE);
    handle_drop(owned);
    handle_drop(weak);
}

TEST(pages_are_counted)
{
    handle_t memory = memory_new(100);
    uint8_t byte = 5;

    CHECK_EQUAL(sys_memory_op(memory, MEMORY_OP_COUNT, 0, 0, NULL), 0);
    MUST(sys_memory_op(memory, MEMORY_OP_WRITE, 50 * PAGE_SIZE, 1, &byte));
    MUST(sys_memory_op(memory, MEMORY_OP_WRITE, 70 * PAGE_SIZE - 1, 1, &byte));
    MUST(sys_memory_op(memory, MEMORY_OP_READ, 3 * PAGE_SIZE, 1, &byte)); /* reads as zero */
    CHECK_EQUAL(sys_memory_op(memory, MEMORY_OP_COUNT, UINT64_MAX, 1, NULL), 2);
    MUST(sys_memory_op(memory, MEMORY_OP_DECOMMIT, 50 * PAGE_SIZE, PAGE_SIZE, NULL));
    CHECK_EQUAL(sys_memory_op(memory, MEMORY_OP_COUNT, 0, 0, NULL), 1);
    handle_drop(memory);
}

TEST(physical_addresses_are_not_for_everyone)
{
    handle_t memory = memory_new(1);
    handle_t pinned = (handle_t)MUST(sys_memory_physical(root(), 0, PAGE_SIZE, MEMORY_STAYS));
    handle_t weak = duplicate(pinned, RIGHT_READ | RIGHT_WRITE);
    uint64_t address;

    CHECK_EQUAL(info_of(memory).rights & RIGHT_CONTROL, 0);
    CHECK_ERROR(sys_memory_op(memory, MEMORY_OP_PHYSICAL, 0, PAGE_SIZE, &address), ACCESS);
    CHECK_ERROR(sys_memory_op(weak, MEMORY_OP_PHYSICAL, 0, PAGE_SIZE, &address), ACCESS);
    handle_drop(memory);
    handle_drop(pinned);
    handle_drop(weak);
}

/* VGA's text and graphics memory: on every machine that has the video these tests run with. */
#define VGA 0xa0000u

TEST(device_memory)
{
    handle_t memory = (handle_t)MUST(sys_memory_physical(root(), VGA, PAGE_SIZE, CACHE_NONE));
    uint64_t address = 0;
    struct abi_map private = {.length = PAGE_SIZE, .memory = memory, .protection = PROT_READ_};

    MUST(sys_memory_op(memory, MEMORY_OP_PHYSICAL, 0, PAGE_SIZE, &address));
    CHECK_EQUAL(address, VGA);
    CHECK_EQUAL(info_of(memory).rights & RIGHT_EXECUTE, 0);
    CHECK_ERROR(sys_space_map(HANDLE_SELF, &private), NOT_SUPPORTED);
    CHECK_ERROR(sys_memory_clone(memory, 0, PAGE_SIZE, 0), NOT_SUPPORTED);
    CHECK_ERROR(sys_memory_resize(memory, 0), NOT_SUPPORTED);
    CHECK_ERROR(sys_memory_op(memory, MEMORY_OP_ZERO, 0, PAGE_SIZE, NULL), NOT_SUPPORTED);
    handle_drop(memory);
}

/* Not even with the resource for everything: RAM, the interrupt controllers, the clock. */
TEST(what_is_the_kernels_is_no_device_memory)
{
    static const uint64_t bases[] = {0x1000,     0x100000,   0x1000000,  0xfee00000,
                                     0xfee01000, 0xfeeff000, 0xfec00000, 0xfed00000};

    for (size_t i = 0; i < ARRAY_SIZE(bases); i++)
        CHECK_ERROR(sys_memory_physical(root(), bases[i], PAGE_SIZE, CACHE_NONE), ACCESS);
    CHECK_ERROR(sys_memory_physical(root(), VGA, 0x100000, CACHE_NONE), ACCESS);
    CHECK_ERROR(sys_memory_physical(root(), 0xfebff000, 2 * PAGE_SIZE, CACHE_NONE), ACCESS);
}

TEST(device_memory_errors)
{
    handle_t port = (handle_t)MUST(sys_resource_create(root(), RESOURCE_IOPORT, 0x80, 1));
    handle_t narrow = (handle_t)MUST(sys_resource_create(root(), RESOURCE_MEMORY, VGA, PAGE_SIZE));

    CHECK_ERROR(sys_memory_physical(root(), VGA + 1, PAGE_SIZE, CACHE_NONE), INVALID);
    CHECK_ERROR(sys_memory_physical(root(), VGA, 1, CACHE_NONE), INVALID);
    CHECK_ERROR(sys_memory_physical(root(), VGA, PAGE_SIZE, 3), INVALID);
    CHECK_ERROR(sys_memory_physical(root(), VGA, PAGE_SIZE, 0x80), INVALID);
    CHECK_ERROR(sys_memory_physical(root(), VGA, 0, CACHE_NONE), RANGE);
    CHECK_ERROR(sys_memory_physical(root(), UINT64_MAX - PAGE_SIZE + 1, PAGE_SIZE, CACHE_NONE),
                RANGE);
    CHECK_ERROR(sys_memory_physical(narrow, VGA + PAGE_SIZE, PAGE_SIZE, CACHE_NONE), RANGE);
    CHECK_ERROR(sys_memory_physical(port, VGA, PAGE_SIZE, CACHE_NONE), RANGE);
    handle_drop((handle_t)MUST(sys_memory_physical(narrow, VGA, PAGE_SIZE, CACHE_NONE)));
    handle_drop(narrow);
    handle_drop(port);
}

/* RAM for devices: another right than device memory, and narrower where the resource is. */
TEST(dma_memory_errors)
{
    handle_t device =
        (handle_t)MUST(sys_resource_create(root(), RESOURCE_MEMORY, 0, UINT64_C(1) << 40));
    handle_t low = (handle_t)MUST(sys_resource_create(root(), RESOURCE_DMA, 0, UINT64_C(1) << 32));
    handle_t all = (handle_t)MUST(sys_resource_create(root(), RESOURCE_DMA, 0, UINT64_MAX));

    CHECK_ERROR(sys_memory_physical(device, 0, PAGE_SIZE, MEMORY_STAYS), RANGE);
    CHECK_ERROR(sys_memory_physical(low, 0, PAGE_SIZE, MEMORY_STAYS), RANGE);
    CHECK_ERROR(sys_memory_physical(all, 0, PAGE_SIZE, CACHE_NONE), RANGE);
    CHECK_ERROR(sys_memory_physical(all, PAGE_SIZE, PAGE_SIZE, MEMORY_STAYS), INVALID);
    CHECK_ERROR(sys_memory_physical(all, 0, PAGE_SIZE, MEMORY_STAYS | CACHE_NONE), INVALID);
    CHECK_ERROR(sys_memory_physical(all, 0, UINT64_MAX, MEMORY_STAYS), RANGE);
    CHECK_ERROR(sys_memory_physical(all, 0, UINT64_C(1) << 40, MEMORY_STAYS), NO_MEMORY);
    handle_drop(
        (handle_t)MUST(sys_memory_physical(low, 0, PAGE_SIZE, MEMORY_STAYS | MEMORY_DMA32)));
    handle_drop((handle_t)MUST(sys_memory_physical(all, 0, 3 * PAGE_SIZE, MEMORY_CONTIGUOUS)));
    handle_drop(device);
    handle_drop(low);
    handle_drop(all);
}

/* Two threads write through a mapping while it is cloned again and again: no write is lost. */
struct writer {
    uint32_t *words;
    uint32_t stop;
};

static void write_words(void *argument)
{
    struct writer *writer = argument;

    for (uint32_t i = 1; !word_get(&writer->stop); i++) {
        for (unsigned page = 0; page < 8; page++)
            writer->words[page * 1024] = i;
        for (unsigned page = 0; page < 8; page++)
            CHECK_EQUAL(writer->words[page * 1024], i);
    }
}

TEST(cloning_while_it_is_written)
{
    handle_t memory = memory_new(8);
    struct writer writer = {
        memory_map(memory, 8 * PAGE_SIZE, PROT_READ_ | PROT_WRITE_, MAP_SHARED_), 0};
    struct helper *helper = helper_thread(write_words, &writer);

    for (int i = 0; i < 200; i++) {
        handle_t clone = (handle_t)MUST(sys_memory_clone(memory, 0, 8 * PAGE_SIZE, 0));
        uint32_t first, second;

        MUST(sys_memory_op(clone, MEMORY_OP_READ, 0, 4, &first));
        MUST(sys_thread_control(HANDLE_SELF, THREAD_YIELD, 0, NULL));
        MUST(sys_memory_op(clone, MEMORY_OP_READ, 0, 4, &second));
        CHECK_EQUAL(first, second);
        handle_drop(clone);
    }
    word_set(&writer.stop, 1);
    helper_join(helper);
    pages_unmap(writer.words, 8);
    handle_drop(memory);
}
