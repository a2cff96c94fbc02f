/* Native calls that need no other process. */
#include "bench/common/bench.h"
#include "lib/sys/clock.h"
#include "lib/sys/syscall.h"

/* A call that fails at once in the dispatcher: entry, check, return. */
static void null_call(void)
{
    sys_ignore(syscall_raw3(SYSCALL_LIMIT - 1, 0, 0, 0));
}

static void yield_alone(void)
{
    sys_ignore(sys_thread_control(HANDLE_SELF, THREAD_YIELD, 0, NULL));
}

static void clock_read(void)
{
    sys_ignore(sys_clock_get(CLOCK_MONOTONIC_));
}

static volatile int64_t clock_seen;

static void clock_page_read(void)
{
    clock_seen = clock_monotonic();
}

static void clock_page_real(void)
{
    clock_seen = clock_realtime();
}

#define MAP_ADDRESS UINT64_C(0x200000000000)
#define MAP_COUNT   64

static handle_t memory = HANDLE_NONE;

static void memory_prepare(void)
{
    int64_t result = sys_memory_create(PAGE_SIZE, 0);

    if (result < 0)
        bench_refuse_because("memory_create");
    memory = (handle_t)result;
    if (sys_memory_op(memory, MEMORY_OP_COMMIT, 0, PAGE_SIZE, NULL))
        bench_refuse_because("memory_op");
}

static void memory_finish(void)
{
    handle_drop(memory);
    memory = HANDLE_NONE;
}

/* The page is there and goes into the page table at once: no fault follows. */
static void map_one(uint64_t index)
{
    struct abi_map map = {
        .address = MAP_ADDRESS + index * PAGE_SIZE,
        .length = PAGE_SIZE,
        .memory = memory,
        .protection = PROT_READ_ | PROT_WRITE_,
        .flags = MAP_FIXED_ | MAP_SHARED_ | MAP_POPULATE_,
    };

    if (sys_space_map(HANDLE_SELF, &map) < 0)
        bench_refuse_because("space_map");
}

static void unmap_one(uint64_t index)
{
    if (sys_space_unmap(HANDLE_SELF, MAP_ADDRESS + index * PAGE_SIZE, PAGE_SIZE))
        bench_refuse_because("space_unmap");
}

/* The page beside it stays mapped, so page tables neither come nor go. */
static uint64_t map_round(uint64_t count)
{
    map_one(MAP_COUNT);

    uint64_t start = bench_start();

    for (uint64_t i = 0; i < count; i++)
        map_one(i);

    uint64_t spent = bench_stop(start);

    for (uint64_t i = 0; i < count; i++)
        unmap_one(i);
    unmap_one(MAP_COUNT);
    return spent;
}

static uint64_t unmap_round(uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        map_one(i);
    map_one(MAP_COUNT);

    uint64_t start = bench_start();

    for (uint64_t i = 0; i < count; i++)
        unmap_one(i);

    uint64_t spent = bench_stop(start);

    unmap_one(MAP_COUNT);
    return spent;
}

static const struct figure figures[] = {
    {.name = "null-call", .call = null_call},
    {.name = "native-clock", .call = clock_read},
    {.name = "native-clock-page", .call = clock_page_read},
    {.name = "native-real-page", .call = clock_page_real},
    {.name = "native-yield-alone", .call = yield_alone},
    {.name = "map-page",
     .prepare = memory_prepare,
     .round = map_round,
     .finish = memory_finish,
     .most = MAP_COUNT},
    {.name = "unmap-page",
     .prepare = memory_prepare,
     .round = unmap_round,
     .finish = memory_finish,
     .most = MAP_COUNT},
};

int main(int argc, char **argv)
{
    return bench_main(figures, ARRAY_SIZE(figures), argc, argv);
}
