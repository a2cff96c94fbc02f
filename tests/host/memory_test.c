/* Memory objects: the page tree, reading and writing, clones, pinned memory, and what is left when they go. */
// sources: kernel/vmm/memory.c kernel/vmm/memory_io.c kernel/vmm/mapping.c kernel/vmm/tree.c
// sources: kernel/vmm/pager.c kernel/vmm/writeback.c tests/host/fake_pager.c
// sources: kernel/vmm/space.c kernel/vmm/protect.c kernel/vmm/move.c kernel/vmm/region.c kernel/vmm/gather.c kernel/vmm/trim.c kernel/vmm/huge.c
// sources: kernel/vmm/fault.c kernel/vmm/fork.c
// sources: kernel/vmm/copy.c kernel/vmm/heap.c kernel/vmm/frame.c kernel/vmm/ram.c kernel/vmm/fail.c
// sources: kernel/account.c kernel/lock.c lib/base/rbtree.c
// sources: tests/host/fake_arch.c tests/host/fake_space.c tests/host/fake_object.c tests/host/fake_process.c
// libs: pthread
#include <pthread.h>
#include <unistd.h>

#include "abi/ops.h"
#include "tests/host/fake_pager.h"
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
    CHECK_EQUAL(memory_new(1, 0x8000, &memory), -E_INVALID);
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

/* --- Marks ------------------------------------------------------------------------------------------------------- */

TEST(marks)
{
    static const uint64_t indexes[] = {0, 1, 63, 64, 4095, 4096, 1 << 20, (UINT64_C(1) << 36) - 1};
    static struct frame frames_[ARRAY_SIZE(indexes)];
    struct page_tree tree = {0};
    uint64_t at;

    begin();
    for (unsigned i = 0; i < ARRAY_SIZE(indexes); i++) { /* the tree grows over marks */
        CHECK_EQUAL(page_tree_insert(&tree, indexes[i], &frames_[i]), 0);
        if (i % 2 == 0)
            page_tree_mark(&tree, indexes[i], PAGE_DIRTY);
        CHECK_EQUAL(page_tree_marked(&tree, indexes[i], PAGE_DIRTY), i % 2 == 0);
        CHECK(!page_tree_marked(&tree, indexes[i], PAGE_WRITING));
    }
    at = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(indexes); i += 2, at++) {
        CHECK(page_tree_next_marked(&tree, PAGE_DIRTY, &at, PAGE_TREE_LIMIT));
        CHECK_EQUAL(at, indexes[i]);
    }
    CHECK(!page_tree_next_marked(&tree, PAGE_DIRTY, &at, PAGE_TREE_LIMIT));
    CHECK_EQUAL(at, PAGE_TREE_LIMIT);
    at = 1;
    CHECK(!page_tree_next_marked(&tree, PAGE_DIRTY, &at, 63));
    CHECK_EQUAL(at, 63);
    at = 0;
    CHECK(!page_tree_next_marked(&tree, PAGE_WRITING, &at, PAGE_TREE_LIMIT));
    for (unsigned i = 0; i < ARRAY_SIZE(indexes); i++) {
        uint64_t from = indexes[i] - MIN(indexes[i], (uint64_t)i), bits = 0;
        for (unsigned j = 0; j < ARRAY_SIZE(indexes); j++)
            if (indexes[j] >= from && indexes[j] - from < PAGE_TREE_WAYS)
                bits |= BIT(indexes[j] - from);
        CHECK_EQUAL(page_tree_present(&tree, from), bits);
    }
    CHECK(page_tree_unmark(&tree, 63, PAGE_DIRTY) && !page_tree_unmark(&tree, 63, PAGE_DIRTY));
    CHECK(!page_tree_unmark(&tree, 64, PAGE_DIRTY) && !page_tree_unmark(&tree, 99999, PAGE_DIRTY));
    for (unsigned i = 0; i < ARRAY_SIZE(indexes); i++) /* marks go with their pages */
        if (page_tree_find(&tree, indexes[i]) && *page_tree_find(&tree, indexes[i]))
            page_tree_remove(&tree, indexes[i]);
    CHECK(tree.root == NULL);
    end();
}

/* --- Pagers: the states of a slot, with threads ------------------------------------------------------------------- */

#define PAGED_PAGES 64u

/* The service: pages of `backing`, of which page i begins with i + 1000. */
static struct memory *paged, *backing;
static uint32_t asked;   /* questions */
static int answer;       /* an error instead of pages */
static bool lie;         /* 0, and no page */
static uint32_t holding; /* no answer before it is 0 */
static uint64_t asked_length;

static int serve(const struct pager *pager, uint32_t op, uint64_t offset, uint64_t length,
                 unsigned how, struct pager_answer *place)
{
    uint64_t pages;

    (void)how;
    if (pager->source)
        *place = (struct pager_answer){offset, length * 2}; /* more than was asked for */
    CHECK_EQUAL(pager->key, 42);
    CHECK_EQUAL(op, OP_PAGE_IN);
    __atomic_store_n(&asked_length, length, __ATOMIC_SEQ_CST);
    __atomic_fetch_add(&asked, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&holding, __ATOMIC_SEQ_CST))
        usleep(100);
    if (answer || lie || pager->source)
        return answer;
    CHECK_EQUAL(pager_supply(paged, offset, length, backing, offset, 0, &pages), 0);
    return 0;
}

static void paged_begin(void)
{
    begin();
    fake_service = serve;
    asked = holding = 0;
    answer = 0;
    lie = false;
    CHECK_EQUAL(memory_new_paged(PAGED_PAGES * PAGE_SIZE, fake_port(), 42, &paged), 0);
    CHECK_EQUAL(memory_new(PAGED_PAGES * PAGE_SIZE, 0, &backing), 0);
    for (uint64_t i = 0; i < PAGED_PAGES; i++)
        set_word(backing, i * PAGE_SIZE, i + 1000);
}

static void paged_end(void)
{
    object_put(&paged->object);
    object_put(&backing->object);
    fake_service = NULL;
    end();
}

static uint64_t run_of(int (*find)(struct memory *, uint64_t, uint64_t, struct page_run *),
                       uint64_t from, uint64_t *first)
{
    struct page_run run;

    CHECK_EQUAL(find(paged, from * PAGE_SIZE, (PAGED_PAGES - from) * PAGE_SIZE, &run), 0);
    *first = run.first;
    return run.count;
}

TEST(absent_clean_dirty_writing)
{
    uint64_t first, pages;

    paged_begin();
    CHECK_EQUAL(word(paged, 5 * PAGE_SIZE), 1005);
    CHECK_EQUAL(asked, 1);
    CHECK_EQUAL(asked_length, 11 * PAGE_SIZE);
    CHECK_EQUAL(paged->committed, 11);
    CHECK_EQUAL(word(paged, 3 * PAGE_SIZE), 1003);
    CHECK_EQUAL(asked_length, 2 * PAGE_SIZE); /* up to what is there */
    CHECK_EQUAL(run_of(pager_dirty, 0, &first), 0);
    set_word(paged, 7 * PAGE_SIZE, 7); /* shared with backing: parts */
    set_word(paged, 8 * PAGE_SIZE, 8);
    CHECK_EQUAL(word(backing, 7 * PAGE_SIZE), 1007);
    CHECK_EQUAL(run_of(pager_dirty, 0, &first), 2);
    CHECK_EQUAL(first, 7);
    CHECK_EQUAL(run_of(pager_collect, 0, &first), 2);
    CHECK_EQUAL(run_of(pager_dirty, 0, &first), 0);
    CHECK_EQUAL(pager_evict(paged, 0, PAGED_PAGES * PAGE_SIZE, &pages), 0);
    CHECK_EQUAL(pages, 11); /* 3, 4 and 5 to 15 but 7 and 8 */
    pager_restart(paged);
    CHECK_EQUAL(run_of(pager_collect, 0, &first), 2);
    set_word(paged, 8 * PAGE_SIZE, 88);
    CHECK_EQUAL(pager_written(paged, 0, PAGED_PAGES * PAGE_SIZE), 0);
    CHECK_EQUAL(run_of(pager_dirty, 0, &first), 1);
    CHECK_EQUAL(first, 8);
    CHECK_EQUAL(pager_evict(paged, 0, PAGED_PAGES * PAGE_SIZE, &pages), 0);
    CHECK_EQUAL(pages, 1);
    CHECK_EQUAL(word(paged, 7 * PAGE_SIZE), 1007); /* asked for again */
    CHECK_EQUAL(memory_resize_to(paged, 8 * PAGE_SIZE), 0);
    CHECK_EQUAL(memory_resize_to(paged, PAGED_PAGES * PAGE_SIZE), 0);
    CHECK_EQUAL(run_of(pager_dirty, 0, &first), 0); /* the mark went with the page */
    CHECK_EQUAL(pager_dirty(backing, 0, 0, &(struct page_run){0}), -E_NOT_SUPPORTED);
    CHECK_EQUAL(pager_dirty(paged, 1, PAGE_SIZE, &(struct page_run){0}), -E_INVALID);
    CHECK_EQUAL(
        pager_dirty(paged, 0, ALIGN_DOWN(UINT64_MAX, (uint64_t)PAGE_SIZE), &(struct page_run){0}),
        -E_RANGE);
    paged_end();
}

/* What is dirty from the first moment; and which pages there are. */
TEST(supplied_dirty)
{
    uint64_t first, pages, words[2] = {0};
    struct memory *source;

    paged_begin();
    CHECK_EQUAL(memory_new(3 * PAGE_SIZE, 0, &source), 0);
    set_word(source, PAGE_SIZE, 77);
    CHECK_EQUAL(word(paged, 12 * PAGE_SIZE), 1012); /* 12 to 15 */
    CHECK_EQUAL(pager_supply(paged, 10 * PAGE_SIZE, 3 * PAGE_SIZE, source, 0,
                             SUPPLY_MOVE | SUPPLY_DIRTY, &pages),
                0);
    CHECK_EQUAL(pages, 2);
    CHECK_EQUAL(word(paged, 11 * PAGE_SIZE), 77);
    CHECK_EQUAL(run_of(pager_dirty, 0, &first), 2);
    CHECK_EQUAL(first, 10);
    CHECK_EQUAL(pager_evict(paged, 13 * PAGE_SIZE, PAGE_SIZE, &pages), 0);
    CHECK_EQUAL(pager_present(paged, 0, PAGED_PAGES * PAGE_SIZE, words), 0);
    CHECK_EQUAL(words[0], 0xdc00);
    CHECK_EQUAL(pager_present(paged, 11 * PAGE_SIZE, 4 * PAGE_SIZE, words), 0);
    CHECK_EQUAL(words[0], 0xb);
    CHECK_EQUAL(words[1], 0);
    CHECK_EQUAL(pager_present(paged, 1, PAGE_SIZE, words), -E_INVALID);
    CHECK_EQUAL(pager_present(paged, 0, (PAGED_PAGES + 1) * PAGE_SIZE, words), -E_RANGE);
    CHECK_EQUAL(pager_present(backing, 0, 0, words), -E_NOT_SUPPORTED);
    object_put(&source->object);
    paged_end();
}

TEST(answers_that_name_pages)
{
    paged_begin();
    CHECK_EQUAL(pager_set_source(paged, paged, 0), -E_NOT_SUPPORTED);
    CHECK_EQUAL(pager_set_source(backing, paged, 0), -E_NOT_SUPPORTED);
    CHECK_EQUAL(pager_set_source(paged, backing, 2), -E_INVALID);
    CHECK_EQUAL(pager_set_source(paged, backing, SUPPLY_MOVE), 0);
    CHECK_EQUAL(word(paged, 5 * PAGE_SIZE), 1005);
    CHECK_EQUAL(paged->committed, 11);
    CHECK_EQUAL(backing->committed, PAGED_PAGES - 11);
    CHECK_EQUAL(word(backing, 5 * PAGE_SIZE), 0);
    CHECK_EQUAL(pager_set_source(paged, NULL, 0), 0);
    CHECK_EQUAL(pager_set_source(paged, backing, 0), 0);
    CHECK_EQUAL(word(paged, 20 * PAGE_SIZE), 1020);
    CHECK_EQUAL(word(backing, 20 * PAGE_SIZE), 1020);
    CHECK_EQUAL(memory_resize_to(backing, 30 * PAGE_SIZE), 0); /* the source has no such place */
    CHECK_EQUAL(memory_commit(paged, 40 * PAGE_SIZE, 1), -E_IO);
    paged_end();
}

TEST(answers_that_bring_no_page)
{
    uint64_t value;

    paged_begin();
    answer = -E_IO;
    CHECK_EQUAL(memory_read_kernel(paged, 0, &value, 8), -E_IO);
    answer = -E_SERVICE_DOWN;
    CHECK_EQUAL(memory_commit(paged, 0, 1), -E_SERVICE_DOWN);
    answer = 0;
    lie = true;
    CHECK_EQUAL(memory_commit(paged, 0, 1), -E_IO);
    fake_is_service = true;
    CHECK_EQUAL(memory_commit(paged, 0, 1), -E_DEADLOCK);
    fake_is_service = false;
    pager_forbid();
    CHECK_EQUAL(memory_supply(paged, 0, 0), -E_AGAIN);
    pager_permit();
    lie = false;
    CHECK_EQUAL(memory_commit(paged, 0, PAGED_PAGES * PAGE_SIZE), 0);
    CHECK_EQUAL(paged->committed, PAGED_PAGES);
    paged_end();
}

struct faulter {
    pthread_t id;
    uint32_t cpu;
    uint64_t page, value;
    int result;
    struct thread *thread;
};

static void *fault_thread(void *argument)
{
    struct faulter *faulter = argument;

    fake_cpu_enter(faulter->cpu);
    fake_process_enter(NULL);
    __atomic_store_n(&faulter->thread, thread_current(), __ATOMIC_SEQ_CST);
    faulter->result = memory_read_kernel(paged, faulter->page * PAGE_SIZE, &faulter->value,
                                         sizeof(faulter->value));
    return NULL;
}

static void faulter_start(struct faulter *faulter, uint32_t cpu, uint64_t page)
{
    *faulter = (struct faulter){.cpu = cpu, .page = page};
    CHECK_EQUAL(pthread_create(&faulter->id, NULL, fault_thread, faulter), 0);
}

static void wait_asked(uint32_t count)
{
    while (__atomic_load_n(&asked, __ATOMIC_SEQ_CST) < count)
        usleep(100);
}

/* Until it waits for somebody else's question. */
static void wait_waiting(struct faulter *faulter)
{
    while (!__atomic_load_n(&faulter->thread, __ATOMIC_SEQ_CST) ||
           !__atomic_load_n(&faulter->thread->waiting, __ATOMIC_SEQ_CST))
        usleep(100);
}

TEST(in_transit)
{
    struct faulter asker, same, near, killed, far;

    paged_begin();
    holding = 1;
    faulter_start(&asker, 1, 4);
    wait_asked(1);
    faulter_start(&same, 2, 4);
    faulter_start(&near, 3, 9);
    faulter_start(&killed, 4, 5);
    faulter_start(&far, 5, 40); /* not in transit: a question of its own */
    wait_asked(2);
    wait_waiting(&same);
    wait_waiting(&near);
    wait_waiting(&killed);
    while (!fake_kill(killed.thread))
        usleep(100);
    pthread_join(killed.id, NULL);
    CHECK_EQUAL(killed.result, -E_INTERRUPTED);

    uint64_t pages; /* one page comes before the answer: its waiter goes on */

    CHECK_EQUAL(pager_supply(paged, 9 * PAGE_SIZE, PAGE_SIZE, backing, 9 * PAGE_SIZE, 0, &pages),
                0);
    pthread_join(near.id, NULL);
    CHECK_EQUAL(near.result, 0);
    CHECK_EQUAL(near.value, 1009);
    CHECK_EQUAL(asked, 2);
    __atomic_store_n(&holding, 0, __ATOMIC_SEQ_CST);
    pthread_join(asker.id, NULL);
    pthread_join(same.id, NULL);
    pthread_join(far.id, NULL);
    CHECK_EQUAL(asked, 2);
    CHECK(asker.result == 0 && same.result == 0 && far.result == 0);
    CHECK(asker.value == 1004 && same.value == 1004 && far.value == 1040);
    paged_end();
}

/* An error is everybody's who waited for it; who asked and was killed leaves the others to ask. */
TEST(transits_that_fail)
{
    struct faulter asker, other;

    paged_begin();
    holding = 1;
    answer = -E_IO;
    faulter_start(&asker, 1, 4);
    wait_asked(1);
    faulter_start(&other, 2, 6);
    wait_waiting(&other);
    __atomic_store_n(&holding, 0, __ATOMIC_SEQ_CST);
    pthread_join(asker.id, NULL);
    pthread_join(other.id, NULL);
    CHECK(asker.result == -E_IO && other.result == -E_IO);
    CHECK_EQUAL(asked, 1);

    holding = 1;
    answer = -E_INTERRUPTED;
    faulter_start(&asker, 1, 4);
    wait_asked(2);
    faulter_start(&other, 2, 6);
    wait_waiting(&other);
    __atomic_store_n(&holding, 0, __ATOMIC_SEQ_CST);
    pthread_join(asker.id, NULL);
    CHECK_EQUAL(asker.result, -E_INTERRUPTED);
    pthread_join(other.id, NULL);
    CHECK_EQUAL(asked, 3); /* the other asked itself, and was interrupted in its turn */
    CHECK_EQUAL(other.result, -E_INTERRUPTED);
    paged_end();
}

#define STORM_THREADS 4u
#define STORM_ROUNDS  400u

static void *storm(void *argument)
{
    uint64_t seed = (uint64_t)(uintptr_t)argument;
    uint64_t value, pages;

    fake_cpu_enter((uint32_t)seed);
    fake_process_enter(NULL);
    for (uint32_t i = 0; i < STORM_ROUNDS; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;

        uint64_t page = seed >> 40 & (PAGED_PAGES - 1);

        switch (seed >> 60) {
        case 0:
            CHECK_EQUAL(pager_evict(paged, page / 2 * PAGE_SIZE, 16 * PAGE_SIZE, &pages), 0);
            break;
        case 1:
            CHECK_EQUAL(pager_collect(paged, 0, PAGED_PAGES * PAGE_SIZE, &(struct page_run){0}), 0);
            break;
        case 2:
            CHECK_EQUAL(pager_written(paged, 0, PAGED_PAGES * PAGE_SIZE), 0);
            break;
        case 3:
            set_word(paged, page * PAGE_SIZE, page + 1000);
            break;
        default:
            CHECK_EQUAL(memory_read_kernel(paged, page * PAGE_SIZE, &value, 8), 0);
            CHECK_EQUAL(value, page + 1000);
        }
    }
    return NULL;
}

TEST(several_cpus_fetch_evict_and_write)
{
    pthread_t threads[STORM_THREADS];

    paged_begin();
    for (uint64_t i = 0; i < STORM_THREADS; i++)
        CHECK_EQUAL(pthread_create(&threads[i], NULL, storm, (void *)(uintptr_t)(i + 1)), 0);
    for (uint32_t i = 0; i < STORM_THREADS; i++)
        pthread_join(threads[i], NULL);
    for (uint64_t i = 0; i < PAGED_PAGES; i++)
        CHECK_EQUAL(word(paged, i * PAGE_SIZE), i + 1000);
    paged_end();
}
