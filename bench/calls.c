/* What single calls cost. */
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/bench.h"

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

static void clock_read(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
}

static const struct figure figures[] = {
    {"native-null-call", null_call, 10000},      {"getppid", parent_id, 10000},
    {"clock-gettime", clock_read, 10000},        {"yield-alone", yield, 10000},
    {"pipe-write-read-1-byte", pipe_byte, 2000}, {"mmap-touch-munmap", map_touch_unmap, 1000},
    {"fork-exit-wait", fork_exit_wait, 50},
};

int main(void)
{
    if (pipe(pipe_ends))
        return 1;
    bench_run(figures, ARRAY_SIZE(figures));
    return 0;
}
