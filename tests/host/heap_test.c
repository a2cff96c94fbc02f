/* The heap: sizes, zeroing, nothing handed out twice, slabs given back, stable caches left alone. */
// sources: kernel/vmm/heap.c kernel/vmm/frame.c kernel/vmm/ram.c kernel/vmm/fail.c kernel/lock.c
// sources: tests/host/fake_arch.c
#include "kernel/boot.h"
#include "kernel/vmm/frame.h"
#include "kernel/vmm/heap.h"
#include "tests/host/test.h"

struct thing {
    uint64_t words[12];
};

/* Caches of this program live across tests, as those of heap.c do: so does the machine. */
static void start(void)
{
    static bool started;

    if (started)
        return;
    started = true;
    fake_init();
    fake_ram(0x100000, 32 << 20);
    frame_init(&boot_info);
    heap_init();
}

TEST(sizes)
{
    start();

    uint64_t bytes = heap_bytes(), frames = frame_count_free() + heap_frames();
    static const size_t sizes[] = {0, 1, 16, 17, 100, 2048, 2049, 4096, 4097, 100000, 4 << 20};
    void *blocks[ARRAY_SIZE(sizes)];

    for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
        blocks[i] = heap_alloc(sizes[i]);
        CHECK(blocks[i] != NULL);
        for (size_t j = 0; j < sizes[i]; j++)
            CHECK(((char *)blocks[i])[j] == 0);
        memset(blocks[i], 0x5a, sizes[i]);
    }
    CHECK(heap_bytes() > bytes + (4 << 20));
    for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++)
        heap_free(blocks[i]);
    heap_free(NULL);
    CHECK(heap_alloc((4 << 20) + 1) == NULL);
    CHECK_EQUAL(heap_bytes(), bytes);
    CHECK_EQUAL(frame_count_free() + heap_frames(), frames);
}

TEST(random_blocks)
{
    static unsigned char *blocks[2000];
    static size_t sizes[2000];
    uint64_t seed = 3;

    start();

    uint64_t bytes = heap_bytes(), frames = frame_count_free() + heap_frames();

    for (unsigned i = 0; i < 200000; i++) {
        unsigned which = (unsigned)(test_random(&seed) % 2000);

        if (blocks[which]) {
            for (size_t j = 0; j < sizes[which]; j += 13)
                CHECK_EQUAL(blocks[which][j], which % 251);
            heap_free(blocks[which]);
            blocks[which] = NULL;
            continue;
        }
        sizes[which] = test_random(&seed) % (test_random(&seed) % 16 ? 600 : 9000);
        fake_cpu_enter((uint32_t)(test_random(&seed) % FAKE_CPUS));
        blocks[which] = heap_alloc(sizes[which]);
        CHECK(blocks[which] != NULL);
        memset(blocks[which], which % 251, sizes[which]);
    }
    for (unsigned i = 0; i < 2000; i++)
        heap_free(blocks[i]);
    fake_cpu_enter(0);
    CHECK_EQUAL(heap_bytes(), bytes);
    CHECK_EQUAL(frame_count_free() + heap_frames(), frames);
    CHECK(heap_frames() < 300);
}

TEST(slabs_go_back)
{
    static struct cache cache = CACHE_INIT("thing", sizeof(struct thing), 64);
    static struct thing *things[1000];

    start();
    for (unsigned i = 0; i < 1000; i++) {
        things[i] = cache_alloc(&cache);
        CHECK(things[i] && (uintptr_t)things[i] % 64 == 0);
    }
    CHECK_EQUAL(cache_used(&cache), 1000);

    uint64_t frames = heap_frames();

    for (unsigned i = 0; i < 1000; i++)
        cache_free(&cache, things[i]);
    CHECK_EQUAL(cache_used(&cache), 0);
    CHECK(heap_frames() < frames - 20);
}

TEST(stable)
{
    static struct cache cache = {.name = "stable",
                                 .size = 96,
                                 .alignment = 8,
                                 .flags = CACHE_STABLE,
                                 .lock = LOCK_INIT(RANK_HEAP, "stable")};
    static struct thing *things[300];

    start();
    for (unsigned i = 0; i < 300; i++) {
        things[i] = cache_alloc(&cache);
        CHECK(things[i] && things[i]->words[0] == 0);
        things[i]->words[0] = things[i]->words[11] = i + 1;
    }

    uint64_t slabs = cache.slabs;

    for (unsigned i = 0; i < 300; i++)
        cache_free(&cache, things[i]);
    for (unsigned i = 0; i < 300; i++)
        CHECK(things[i]->words[0] == i + 1 && things[i]->words[11] == i + 1);
    CHECK_EQUAL(cache.slabs, slabs);
}

TEST(exhaustion)
{
    static void *blocks[20000];
    unsigned count = 0;

    start();

    uint64_t frames = frame_count_free() + heap_frames();

    while ((blocks[count] = heap_alloc(2048)) != NULL)
        count++;
    CHECK(count > 10000);
    while (count > 0)
        heap_free(blocks[--count]);
    CHECK_EQUAL(frame_count_free() + heap_frames(), frames);
}
