/* Calls that need no other process: what entering, answering and returning cost. */
#include <signal.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "bench/common/bench.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void parent_id(void)
{
    getppid();
}

/* Past the C library, whose clock_gettime reads Linux's vDSO, and whose syscall() takes 39 instructions itself. */
static inline void clock_read_one(clockid_t clock)
{
    struct timespec now;
    long result;

    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(SYS_clock_gettime), "D"(clock), "S"(&now)
                     : "rcx", "r11", "memory");
    if (result)
        bench_refuse_because("clock_gettime");
}

static void clock_read(void)
{
    clock_read_one(CLOCK_MONOTONIC);
}

static void clock_real(void)
{
    clock_read_one(CLOCK_REALTIME);
}

static void random_bytes(void)
{
    char bytes[16];

    if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
        bench_refuse("getrandom");
}

static pid_t self;
static volatile sig_atomic_t handled;

static void handler(int number)
{
    handled += number;
}

static void signal_prepare(void)
{
    struct sigaction action = {.sa_handler = handler};

    self = getpid();
    if (sigaction(SIGUSR1, &action, NULL))
        bench_refuse("sigaction");
}

static void signal_self(void)
{
    sig_atomic_t before = handled;

    if (kill(self, SIGUSR1) || handled == before)
        bench_refuse_because("the handler did not run");
}

static void signal_finish(void)
{
    signal(SIGUSR1, SIG_DFL);
}

static const struct figure figures[] = {
    {.name = "getppid", .call = parent_id},
    {.name = "clock_gettime", .call = clock_read},
    {.name = "clock_gettime-real", .call = clock_real},
    {.name = "getrandom-16", .call = random_bytes},
    {.name = "signal-self",
     .prepare = signal_prepare,
     .call = signal_self,
     .finish = signal_finish},
};

int main(int argc, char **argv)
{
    return bench_main(figures, COUNT(figures), argc, argv);
}
