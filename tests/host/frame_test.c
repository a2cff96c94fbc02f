/* The frame allocator: what it makes of odd memory maps, and that no frame is lost or given twice. */
// sources: kernel/vmm/frame.c kernel/vmm/ram.c kernel/vmm/fail.c kernel/lock.c tests/host/fake_arch.c
#include "kernel/boot.h"
#include "kernel/sched/thread.h"
#include "kernel/vmm/frame.h"
#include "kernel/vmm/ram.h"
#include "tests/host/test.h"

#define MIB UINT64_C(0x100000)

static void start(uint64_t mib)
{
    fake_init();
    fake_ram(0, 640 * 1024);
    fake_ram(MIB, (mib - 1) * MIB);
    boot_info.kernel_start = PADDR(MIB);
    boot_info.kernel_end = PADDR(2 * MIB + 123);
    frame_init(&boot_info);
}

TEST(one_frame)
{
    start(16);

    uint64_t before = frame_count_free();
    struct frame *frame;

    CHECK_EQUAL(frame_alloc(FRAME_ZERO, &frame), 0);
    CHECK_EQUAL(frame_owners(frame), 1);
    CHECK_EQUAL(frame_count_free(), before - 1);
    CHECK(frame_of(frame_paddr(frame)) == frame);
    for (unsigned i = 0; i < PAGE_SIZE; i++)
        CHECK(((char *)frame_data(frame))[i] == 0);
    frame_get(frame);
    frame_put(frame);
    CHECK_EQUAL(frame_count_free(), before - 1);
    frame_put(frame);
    CHECK_EQUAL(frame_count_free(), before);
}

TEST(everything_once)
{
    static struct frame *frames[4096];
    unsigned count = 0;

    start(16);

    uint64_t before = frame_count_free();

    while (frame_alloc(FRAME_KERNEL, &frames[count]) == 0) {
        uint64_t at = frame_paddr(frames[count]).value;

        CHECK(at >= 2 * MIB + PAGE_SIZE && at < 16 * MIB);
        memset(frame_data(frames[count]), (int)count, PAGE_SIZE);
        *(unsigned *)frame_data(frames[count]) = count;
        count++;
    }
    CHECK_EQUAL(count, before);
    CHECK_EQUAL(frame_count_free(), 0);
    for (unsigned i = 0; i < count; i++) {
        CHECK_EQUAL(*(unsigned *)frame_data(frames[i]), i);
        frame_put(frames[i]);
    }
    CHECK_EQUAL(frame_count_free(), before);
}

static uint64_t left_by(unsigned flags)
{
    struct frame *frame;

    while (frame_alloc(flags, &frame) == 0)
        ;
    return frame_count_free();
}

TEST(reserve_in_its_order)
{
    static struct process process;
    static struct thread thread = {.process = &process};

    start(64);
    CHECK(!frame_scarce());

    uint64_t whole = left_by(0);

    CHECK(whole >= 256);
    CHECK(frame_scarce());
    cpu_self()->current = &thread;
    CHECK_EQUAL(left_by(FRAME_KERNEL), whole / 2);
    CHECK_EQUAL(left_by(FRAME_SYSTEM), whole / 4);
    CHECK_EQUAL(left_by(0), whole / 4);
    process.system = true;
    CHECK_EQUAL(left_by(FRAME_KERNEL), 0);
    cpu_self()->current = NULL;
}

/* What was given back to this CPU's cache is anybody's; what is taken for one is not left there for another. */
TEST(cache_holds_no_reserve)
{
    struct frame *frame;

    start(64);
    (void)left_by(0);
    CHECK_EQUAL(frame_alloc(FRAME_KERNEL, &frame), 0);
    CHECK_EQUAL(frame_alloc(0, &frame), -E_NO_MEMORY);
}

TEST(blocks_are_aligned_and_join_again)
{
    struct frame *blocks[64];
    uint64_t seed = 7;

    start(64);

    uint64_t before = frame_count_free();

    for (unsigned round = 0; round < 200; round++) {
        unsigned count = 0;

        while (count < 64) {
            unsigned order = (unsigned)(test_random(&seed) % (FRAME_ORDER_MAX + 1));

            if (frame_alloc_order(order, 0, &blocks[count]) != 0)
                break;
            CHECK(IS_ALIGNED(frame_paddr(blocks[count]).value, (uint64_t)PAGE_SIZE << order));
            count++;
        }
        CHECK(count > 0);
        while (count > 0) {
            unsigned which = (unsigned)(test_random(&seed) % count);
            struct frame *block = blocks[which];

            blocks[which] = blocks[--count];
            if (test_random(&seed) % 2) {
                frame_free_order(block, block->order);
            } else {
                unsigned order = block->order;

                frame_split(block, order);
                for (unsigned i = 0; i < 1u << order; i++)
                    frame_put(&block[i]);
            }
        }
        CHECK_EQUAL(frame_count_free(), before);
    }
    CHECK_EQUAL(frame_alloc_order(FRAME_ORDER_MAX, 0, &blocks[0]), 0);
    CHECK_EQUAL(frame_alloc_order(FRAME_ORDER_MAX + 1, 0, &blocks[1]), -E_RANGE);
}

TEST(odd_maps)
{
    fake_init();
    fake_ram(0x123, 3 * PAGE_SIZE);
    fake_ram(8 * MIB, 8 * MIB);
    fake_ram(4 * MIB + 17, 8 * MIB); /* unsorted, overlapping, not aligned */
    fake_ram(100 * MIB, 100);        /* less than a page */
    boot_info.ranges[boot_info.range_count++] =
        (struct boot_range){PADDR(UINT64_MAX - 10), UINT64_MAX, BOOT_RAM};
    boot_info.ranges[boot_info.range_count++] =
        (struct boot_range){PADDR(6 * MIB + 1), 1, BOOT_RESERVED};
    boot_info.ranges[boot_info.range_count++] =
        (struct boot_range){PADDR(15 * MIB), UINT64_MAX, BOOT_RECLAIM};
    boot_info.module = PADDR(10 * MIB + 5);
    boot_info.module_length = PAGE_SIZE;
    frame_init(&boot_info);
    /* 4 MiB + 1 page .. 15 MiB less one page; two pages at 0x1000 */
    CHECK_EQUAL(frame_count_total(), 11 * 256 - 2 + 2);
    CHECK(frame_of(PADDR(6 * MIB)) != NULL); /* in the table, but nobody's */
    CHECK(frame_of(PADDR(100 * MIB)) == NULL);
    CHECK(frame_of(PADDR(15 * MIB)) == NULL);
    CHECK(frame_of(PADDR(UINT64_MAX)) == NULL);
    CHECK_EQUAL(frame_low().value, 0x1000);
    CHECK_EQUAL(frame_low().value, 0x2000);
    CHECK_EQUAL(frame_low().value, 0);

    uint64_t before = frame_count_free();

    frame_release_boot(PADDR(10 * MIB), 2 * PAGE_SIZE);
    CHECK_EQUAL(frame_count_free(), before + 2);
}

TEST(early_frames_are_nobody_elses)
{
    fake_init();
    fake_ram(0, 8 * MIB);
    boot_info.kernel_start = PADDR(MIB);
    boot_info.kernel_end = PADDR(2 * MIB);

    paddr_t first = frame_early(), second = frame_early();

    CHECK_EQUAL(first.value, 2 * MIB);
    CHECK_EQUAL(second.value, 2 * MIB + PAGE_SIZE);
    frame_init(&boot_info);

    struct frame *frame;

    while (frame_alloc(FRAME_KERNEL, &frame) == 0)
        CHECK(frame_paddr(frame).value > second.value);
}

TEST(memory_above_4_gib_and_holes)
{
    fake_init();
    fake_ram(0, 640 * 1024);
    fake_ram(MIB, 15 * MIB);
    fake_ram(UINT64_C(4) << 30, 16 * MIB);
    fake_ram(UINT64_C(700) << 30, 16 * MIB);
    frame_init(&boot_info);

    struct frame *frame;

    CHECK_EQUAL(frame_alloc(0, &frame), 0);
    CHECK(frame_paddr(frame).value >= UINT64_C(4) << 30);
    frame_put(frame);
    CHECK_EQUAL(frame_alloc(FRAME_DMA32, &frame), 0);
    CHECK(frame_paddr(frame).value < UINT64_C(4) << 30);
    frame_put(frame);
    CHECK(frame_of(PADDR(UINT64_C(300) << 30)) == NULL);
    CHECK(frame_of(PADDR(UINT64_C(700) << 30)) != NULL);
}
