/* Two processes, or two threads, that hand a byte, a word or the CPU to each other and back. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench/common/bench.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static pid_t child;
static int there[2] = {-1, -1}, back[2] = {-1, -1};

static void ends_close(int ends[2])
{
    for (int i = 0; i < 2; i++) {
        if (ends[i] >= 0)
            close(ends[i]);
        ends[i] = -1;
    }
}

static void finish(void)
{
    bench_child_end(&child);
    ends_close(there);
    ends_close(back);
}

/* --- Pipes and sockets: the child sends back what it gets ------------------------------------ */

/* What each side reads from and writes to. */
static int near_in, near_out, far_in, far_out;

static void echo(void)
{
    char byte;

    while (read(far_in, &byte, 1) == 1 && write(far_out, &byte, 1) == 1)
        ;
}

static void byte_round_trip(void)
{
    char byte = 0;

    if (write(near_out, &byte, 1) != 1 || read(near_in, &byte, 1) != 1)
        bench_refuse("round trip");
}

static void pipe_prepare(void)
{
    if (pipe(there) || pipe(back))
        bench_refuse("pipe");
    near_out = there[1];
    far_in = there[0];
    far_out = back[1];
    near_in = back[0];
    child = bench_child(echo);
}

static void socket_prepare(void)
{
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, there))
        bench_refuse("socketpair");
    near_in = near_out = there[0];
    far_in = far_out = there[1];
    child = bench_child(echo);
}

/* --- eventfd ------------------------------------------------------------------------------------ */

static void event_echo(void)
{
    uint64_t count;

    while (read(there[0], &count, sizeof(count)) == sizeof(count) &&
           write(back[0], &count, sizeof(count)) == sizeof(count))
        ;
}

static void event_prepare(void)
{
    there[0] = eventfd(0, 0);
    back[0] = eventfd(0, 0);
    if (there[0] < 0 || back[0] < 0)
        bench_refuse("eventfd");
    child = bench_child(event_echo);
}

static void event_round_trip(void)
{
    uint64_t one = 1;

    if (write(there[0], &one, sizeof(one)) != sizeof(one) ||
        read(back[0], &one, sizeof(one)) != sizeof(one))
        bench_refuse("round trip");
}

/* --- Futex: two threads take turns ---------------------------------------------------------------- */

/* Linux's numbers: musl has no header for them. */
#define FUTEX_WAIT_PRIVATE 128
#define FUTEX_WAKE_PRIVATE 129

enum turn { TURN_MAIN, TURN_OTHER, TURN_END };

static _Atomic uint32_t turn;
static pthread_t other;
static int other_runs;

/* As the locks of C libraries call it: in place. */
static void futex(int operation, uint32_t value)
{
    register void *timeout __asm__("r10") = NULL;
    long result = SYS_futex;

    __asm__ volatile("syscall"
                     : "+a"(result)
                     : "D"(&turn), "S"(operation), "d"(value), "r"(timeout)
                     : "rcx", "r11", "memory");
}

static void turn_give(enum turn whose)
{
    atomic_store(&turn, whose);
    futex(FUTEX_WAKE_PRIVATE, 1);
}

static void turn_await(enum turn not_ours)
{
    while (atomic_load(&turn) == not_ours)
        futex(FUTEX_WAIT_PRIVATE, not_ours);
}

static void *take_turns(void *unused)
{
    for (;;) {
        turn_await(TURN_MAIN);
        if (atomic_load(&turn) == TURN_END)
            return unused;
        turn_give(TURN_MAIN);
    }
}

static void futex_prepare(void)
{
    atomic_store(&turn, TURN_MAIN);
    if (pthread_create(&other, NULL, take_turns, NULL))
        bench_refuse("pthread_create");
    other_runs = 1;
}

static void futex_round_trip(void)
{
    turn_give(TURN_OTHER);
    turn_await(TURN_OTHER);
}

static void futex_finish(void)
{
    if (other_runs) {
        turn_give(TURN_END);
        pthread_join(other, NULL);
    }
    other_runs = 0;
}

/* --- Yield: two processes that do nothing else -------------------------------------------------------- */

static _Atomic uint64_t *yields; /* of the child */

static void yield_for_ever(void)
{
    for (;;) {
        atomic_fetch_add_explicit(yields, 1, memory_order_relaxed);
        sched_yield();
    }
}

static void yield_prepare(void)
{
    struct sched_param priority = {.sched_priority = 1};
    void *page =
        mmap(NULL, sizeof(*yields), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (page == MAP_FAILED)
        bench_refuse("mmap");
    yields = page;
    syscall(SYS_sched_setscheduler, 0, SCHED_RR,
            &priority); /* inherited; not every system has it */
    child = bench_child(yield_for_ever);
}

/* A yield that does not switch would be cheap: the child must have run each time. (Linux's fair class compares who had how
 * much and often lets the caller go on; its real-time class switches.) */
static uint64_t yield_round(uint64_t count)
{
    uint64_t before = atomic_load(yields);
    uint64_t start = bench_start();

    for (uint64_t i = 0; i < count; i++)
        sched_yield();

    uint64_t spent = bench_stop(start);
    uint64_t theirs = atomic_load(yields) - before;

    if (theirs + 1 < count)
        bench_refuse_because("a yield does not switch");
    return spent;
}

static void yield_finish(void)
{
    finish();
    if (yields)
        munmap((void *)yields, sizeof(*yields));
    yields = NULL;
    syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, &(struct sched_param){0});
}

static const struct figure figures[] = {
    {.name = "pipe-round-trip", .prepare = pipe_prepare, .call = byte_round_trip, .finish = finish},
    {.name = "unix-stream-round-trip",
     .prepare = socket_prepare,
     .call = byte_round_trip,
     .finish = finish},
    {.name = "eventfd-round-trip",
     .prepare = event_prepare,
     .call = event_round_trip,
     .finish = finish},
    {.name = "futex-round-trip",
     .prepare = futex_prepare,
     .call = futex_round_trip,
     .finish = futex_finish},
    {.name = "yield-switch",
     .prepare = yield_prepare,
     .round = yield_round,
     .finish = yield_finish,
     .operations = 2}, /* there and back */
};

int main(int argc, char **argv)
{
    return bench_main(figures, COUNT(figures), argc, argv);
}
