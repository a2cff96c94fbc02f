/* Memory objects: the page tree, reading and writing, clones, pinned memory, and what is left when they go. */
// sources: kernel/vmm/memory.c kernel/vmm/memory_io.c kernel/vmm/mapping.c kernel/vmm/tree.c
// sources: kernel/vmm/pager.c tests/host/fake_pager.c
// sources: kernel/vmm/space.c kernel/vmm/region.c kernel/vmm/gather.c kernel/vmm/trim.c kernel/vmm/fault.c kernel/vmm/fork.c
// sources: kernel/vmm/copy.c kernel/vmm/heap.c kernel/vmm/frame.c kernel/vmm/ram.c kernel/vmm/fail.c
// sources: kernel/lock.c lib/base/rbtree.c
// sources: tests/host/fake_arch.c tests/host/fake_space.c tests/host/fake_object.c tests/host/fake_process.c
#include "tests/host/fake_process.h"
#include "tests/host/test.h"

static uint64_t frames, bytes;

static void begin(void)
{
    fake_machine(64);
    frames = fake_frames();
    bytes = heap_bytes();
}

static void end(void)
{
    CHECK_EQUAL(heap_bytes(), bytes);
    CHECK_EQUAL(fake_frames(), frames);
}

static uint64_t word(struct memory *memory, uint64_t offset)
{
    uint64_t value;

    CHECK_EQUAL(memory_read_kernel(memory, offset, &value, sizeof(value)), 0);
    return value;
}

static void set_word(struct memory *memory, uint64_t offset, uint64_t value)
{
    CHECK_EQUAL(memory_write_kernel(memory, offset, &value, sizeof(value)), 0);
}

TEST(tree)
{
    static const uint64_t indexes[] = {0, 1, 63, 64, 4095, 4096, 1 << 20, (UINT64_C(1) << 36) - 1};
    static struct frame marks[ARRAY_SIZE(indexes)];
    struct page_tree tree = {0};
    uint64_t at = 0;

    begin();
    CHECK(page_tree_find(&tree, 0) == NULL);
    for (unsigned i = ARRAY_SIZE(indexes); i-- > 0;)
        CHECK_EQUAL(page_tree_insert(&tree, indexes[i], &marks[i]), 0);
    for (unsigned i = 0; i < ARRAY_SIZE(indexes); i++, at++) {
        CHECK(*page_tree_find(&tree, indexes[i]) == &marks[i]);
        CHECK(page_tree_next(&tree, &at, PAGE_TREE_LIMIT) == &marks[i]);
        CHECK_EQUAL(at, indexes[i]);
    }
    CHECK(page_tree_next(&tree, &at, PAGE_TREE_LIMIT) == NULL);
    for (unsigned i = 0; i < ARRAY_SIZE(indexes); i++)
        CHECK(page_tree_remove(&tree, indexes[i]) == &marks[i]);
    CHECK(tree.root == NULL && page_tree_remove(&tree, 5) == NULL);
    end();
}

TEST(read_write_zero)
{
    struct memory *memory;

    begin();
    CHECK_EQUAL(memory_new(10 * PAGE_SIZE - 5, 0, &memory), 0);
    CHECK_EQUAL(memory_size(memory), 10 * PAGE_SIZE);
    CHECK_EQUAL(word(memory, 3 * PAGE_SIZE), 0);
    CHECK_EQUAL(memory->committed, 0);
    set_word(memory, 3 * PAGE_SIZE - 4, 0x1122334455667788); /* across a page border */
    CHECK_EQUAL(word(memory, 3 * PAGE_SIZE - 4), 0x1122334455667788);
    CHECK_EQUAL(memory->committed, 2);
    CHECK_EQUAL(memory_fill_zero(memory, 3 * PAGE_SIZE, 100 + PAGE_SIZE), 0);
    CHECK_EQUAL(word(memory, 3 * PAGE_SIZE - 4), 0x55667788);
    CHECK_EQUAL(memory_write_kernel(memory, 10 * PAGE_SIZE - 4, "12345678", 8), -E_RANGE);
    CHECK_EQUAL(memory_write_kernel(memory, UINT64_MAX - 3, "12345678", 8), -E_RANGE);
    CHECK_EQUAL(memory_commit(memory, 0, 10 * PAGE_SIZE), 0);
    CHECK_EQUAL(memory->committed, 10);
    CHECK_EQUAL(memory_decommit(memory, 1, 3 * PAGE_SIZE), 0); /* wholly inside: pages 1 and 2 */
    CHECK_EQUAL(memory->committed, 8);
    CHECK_EQUAL(word(memory, 3 * PAGE_SIZE - 4), 0);
    object_put(&memory->object);
    end();
}

TEST(resize)
{
    struct memory *memory;

    begin();
    CHECK_EQUAL(memory_new(0, 0, &memory), 0);
    CHECK_EQUAL(memory_write_kernel(memory, 0, "x", 1), -E_RANGE);
    CHECK_EQUAL(memory_resize_to(memory, 300 * PAGE_SIZE), 0);
    for (unsigned i = 0; i < 300; i++)
        set_word(memory, i * PAGE_SIZE, i + 1);
    CHECK_EQUAL(memory_resize_to(memory, 100 * PAGE_SIZE), 0);
    CHECK_EQUAL(memory->committed, 100);
    CHECK_EQUAL(memory_resize_to(memory, 300 * PAGE_SIZE), 0);
    CHECK_EQUAL(word(memory, 99 * PAGE_SIZE), 100);
    CHECK_EQUAL(word(memory, 100 * PAGE_SIZE), 0);
    CHECK_EQUAL(memory_resize_to(memory, UINT64_MAX), -E_RANGE);
    object_put(&memory->object);
    end();
}

TEST(clone)
{
    struct memory *memory, *clone, *second;

    begin();
    CHECK_EQUAL(memory_new(100 * PAGE_SIZE, 0, &memory), 0);
    for (unsigned i = 0; i < 100; i += 2)
        set_word(memory, i * PAGE_SIZE, i);

    uint64_t free = fake_frames();

    CHECK_EQUAL(memory_clone_range(memory, 10 * PAGE_SIZE, 50 * PAGE_SIZE, &clone), 0);
    CHECK_EQUAL(memory_clone_range(clone, 0, 50 * PAGE_SIZE, &second), 0);
    CHECK(free - fake_frames() < 2); /* no page was copied */
    CHECK_EQUAL(word(clone, 4 * PAGE_SIZE), 14);
    set_word(memory, 14 * PAGE_SIZE, 1000);
    set_word(second, 4 * PAGE_SIZE, 2000);
    set_word(clone, 5 * PAGE_SIZE, 3000);
    CHECK_EQUAL(word(memory, 14 * PAGE_SIZE), 1000);
    CHECK_EQUAL(word(clone, 4 * PAGE_SIZE), 14);
    CHECK_EQUAL(word(second, 4 * PAGE_SIZE), 2000);
    CHECK_EQUAL(word(memory, 15 * PAGE_SIZE), 0);
    CHECK_EQUAL(word(second, 5 * PAGE_SIZE), 0);
    CHECK_EQUAL(memory_clone_range(memory, 1, PAGE_SIZE, &second), -E_INVALID);
    CHECK_EQUAL(memory_clone_range(memory, 99 * PAGE_SIZE, PAGE_SIZE + 1, &second), -E_RANGE);
    object_put(&memory->object);
    CHECK_EQUAL(word(clone, 6 * PAGE_SIZE), 16);
    object_put(&second->object);
    object_put(&clone->object);
    end();
}

TEST(pinned)
{
    struct memory *memory, *clone;
    paddr_t first, last;

    begin();
    CHECK_EQUAL(memory_new(5 * PAGE_SIZE, MEMORY_CONTIGUOUS, &memory), 0);
    CHECK_EQUAL(memory->committed, 5);
    CHECK_EQUAL(memory_paddr(memory, 0, &first), 0);
    CHECK_EQUAL(memory_paddr(memory, 4, &last), 0);
    CHECK_EQUAL(last.value, first.value + 4 * PAGE_SIZE);
    CHECK_EQUAL(memory_paddr(memory, 5, &last), -E_RANGE);
    CHECK_EQUAL(memory_decommit(memory, 0, PAGE_SIZE), -E_NOT_SUPPORTED);
    CHECK_EQUAL(memory_resize_to(memory, 0), -E_NOT_SUPPORTED);
    set_word(memory, 0, 5);
    CHECK_EQUAL(memory_clone_range(memory, 0, 5 * PAGE_SIZE, &clone), 0);
    set_word(memory, 0, 6);
    CHECK_EQUAL(memory_paddr(memory, 0, &last), 0);
    CHECK_EQUAL(last.value, first.value);
    CHECK_EQUAL(word(clone, 0), 5);
    object_put(&clone->object);
    object_put(&memory->object);
    CHECK_EQUAL(memory_new(3 * PAGE_SIZE, MEMORY_DMA32, &memory), 0);
    object_put(&memory->object);
    CHECK_EQUAL(memory_new((4 << 20) + 1, MEMORY_CONTIGUOUS, &memory), -E_RANGE);
    CHECK_EQUAL(memory_new(1, 4, &memory), -E_INVALID);
    CHECK_EQUAL(memory_new(UINT64_MAX, 0, &memory), -E_RANGE);
    end();
}

TEST(device)
{
    struct memory *memory;
    char byte;

    begin();
    CHECK_EQUAL(memory_new_physical(PADDR(0xfe000000), 2 * PAGE_SIZE, CACHE_NONE, &memory), 0);
    CHECK_EQUAL(memory_read_kernel(memory, 0, &byte, 1), -E_NOT_SUPPORTED);
    CHECK_EQUAL(memory_clone_range(memory, 0, PAGE_SIZE, &memory), -E_NOT_SUPPORTED);
    object_put(&memory->object);
    CHECK_EQUAL(memory_new_physical(PADDR(1), PAGE_SIZE, CACHE_NONE, &memory), -E_INVALID);
    end();
}

/* Every allocation on the way fails once; each time all is as before. */
TEST(failing_allocations)
{
    struct memory *memory, *clone;

    begin();
    CHECK_EQUAL(memory_new(200 * PAGE_SIZE, 0, &memory), 0);
    for (unsigned i = 0; i < 200; i += 3)
        set_word(memory, i * PAGE_SIZE, i);

    int result = -E_NO_MEMORY;

    for (uint64_t k = 1; result != 0; k++) {
        uint64_t free = fake_frames(), used = heap_bytes();

        fail_set(k);
        result = memory_clone_range(memory, 0, 200 * PAGE_SIZE, &clone);
        fail_set(0);
        CHECK(result == 0 || result == -E_NO_MEMORY);
        if (result != 0) {
            CHECK_EQUAL(fake_frames(), free);
            CHECK_EQUAL(heap_bytes(), used);
        }
        CHECK(k < 1000);
    }
    result = -E_NO_MEMORY;
    for (uint64_t k = 1; result != 0; k++) {
        fail_set(k);
        result = memory_write_kernel(clone, 0, "x", 1);
        fail_set(0);
        CHECK(k < 1000);
    }
    object_put(&clone->object);
    object_put(&memory->object);
    result = -E_NO_MEMORY;
    for (uint64_t k = 1; result != 0; k++) {
        fail_set(k);
        result = memory_new(100 * PAGE_SIZE, MEMORY_CONTIGUOUS, &memory);
        fail_set(0);
        CHECK(k < 1000);
    }
    object_put(&memory->object);
    end();
}
