/* What single calls cost, in TSC ticks: instructions under `make bench` (-icount). Each figure is the best of a few
 * rounds over a loop; the loop's own cost is taken off. Prints `bench NAME TICKS`.
 */
#include <inttypes.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/sys/syscall.h"

#define ROUNDS 5

static uint64_t ticks(void)
{
    uint32_t low, high;
    __asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
}

static void nothing(void)
{
    __asm__ volatile("" : : : "memory");
}

/* A call that fails at once in the dispatcher: entry, check, return. */
static void null_call(void)
{
    (void)syscall_raw3(SYSCALL_LIMIT - 1, 0, 0, 0);
}

static void parent_id(void)
{
    getppid();
}

static void yield(void)
{
    int64_t ignored = sys_thread_control(HANDLE_SELF, THREAD_YIELD, 0, NULL);
    (void)ignored;
}

static void map_touch_unmap(void)
{
    volatile char *page =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *page = 1;
    munmap((void *)page, 4096);
}

static void fork_exit_wait(void)
{
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    waitpid(child, NULL, 0);
}

static int pipe_ends[2];

static void pipe_byte(void)
{
    char byte = 0;
    if (write(pipe_ends[1], &byte, 1) != 1 || read(pipe_ends[0], &byte, 1) != 1)
        _exit(1);
}

static uint64_t measure(void (*call)(void), uint64_t count)
{
    uint64_t best = UINT64_MAX;
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t start = ticks();
        for (uint64_t i = 0; i < count; i++)
            call();
        uint64_t spent = ticks() - start;
        best = spent < best ? spent : best;
    }
    return best / count;
}

static const struct {
    const char *name;
    void (*call)(void);
    uint64_t count;
} figures[] = {
    {"native-null-call", null_call, 10000},
    {"getppid", parent_id, 10000},
    {"yield-alone", yield, 10000},
    {"pipe-write-read-1-byte", pipe_byte, 2000},
    {"mmap-touch-munmap", map_touch_unmap, 1000},
    {"fork-exit-wait", fork_exit_wait, 50},
};

int main(void)
{
    if (pipe(pipe_ends))
        return 1;
    uint64_t loop = measure(nothing, 10000);
    for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++)
        printf("bench %s %" PRIu64 "\n", figures[i].name,
               measure(figures[i].call, figures[i].count) - loop);
    return 0;
}
