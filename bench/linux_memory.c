/* Page faults and mappings. */
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench/common/bench.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define PAGE         4096
#define PAGES        128

static volatile char *pages;

static void pages_map(void)
{
    void *area =
        mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (area == MAP_FAILED)
        bench_refuse("mmap");
    pages = area;
    madvise(area, PAGES * PAGE, MADV_NOHUGEPAGE); /* a wish: not all know it */
}

static void pages_unmap(void)
{
    if (pages)
        munmap((void *)pages, PAGES * PAGE);
    pages = NULL;
}

static uint64_t touch(uint64_t count)
{
    uint64_t start = bench_start();

    for (uint64_t i = 0; i < count; i++)
        pages[i * PAGE] = 1;
    return bench_stop(start);
}

static uint64_t fault(uint64_t count)
{
    pages_map();

    uint64_t spent = touch(count);

    pages_unmap();
    return spent;
}

static void sleep_for_ever(void)
{
    for (;;)
        pause();
}

/* The parent writes first to what a child shares: a copy each. */
static uint64_t copy(uint64_t count)
{
    pages_map();
    (void)touch(PAGES);

    pid_t child = bench_child(sleep_for_ever);
    uint64_t spent = touch(count);

    bench_child_end(&child);
    pages_unmap();
    return spent;
}

static void map_touch_unmap(void)
{
    volatile char *page =
        mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (page == MAP_FAILED)
        bench_refuse("mmap");
    *page = 1;
    if (munmap((void *)page, PAGE))
        bench_refuse("munmap");
}

static const struct figure figures[] = {
    {.name = "fault-anonymous", .round = fault, .finish = pages_unmap, .most = PAGES},
    {.name = "fault-cow", .round = copy, .finish = pages_unmap, .most = PAGES},
    {.name = "mmap-touch-munmap", .call = map_touch_unmap},
};

int main(int argc, char **argv)
{
    return bench_main(figures, COUNT(figures), argc, argv);
}
