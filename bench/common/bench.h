/* The frame of a benchmark program: a table of figures, each measured in rounds of which the cheapest counts.
 *
 *     static void parent_id(void) { getppid(); }
 *     static const struct figure figures[] = {{.name = "getppid", .call = parent_id}};
 *     int main(int argc, char **argv) { return bench_main(figures, ARRAY_SIZE(figures), argc, argv); }
 *
 * Arguments of the program: [-r rounds] [-n operations in a round] [name of a figure, or a part of it]...
 * It prints, for each figure, one of
 *
 *     bench NAME TICKS OPERATIONS      the cheapest round's time, less what measuring costs
 *     bench NAME counted FIRST LAST OPERATIONS     of a round that waits: it is one of these windows between markers
 *     bench NAME - WHY                 this system cannot do it
 *
 * and at its end
 *
 *     bench-windows COUNT              the next program's begin behind so many more
 *
 * Ticks are the TSC's: instructions under `make bench` (icount). What a round takes beside its operations (reading the
 * TSC, the loop, the call through a pointer) is measured with an empty operation and taken off. Before the
 * rounds counts a warm-up: caches of the system, page tables and free lists are then as they will stay. A round is
 * short enough (ROUND_TICKS) that most see no timer interrupt of the system.
 *
 * In a round that counts, all that is measured lies between two marker instructions, which do nothing but that
 * a plugin of QEMU sees them (bench/profile).
 *
 * Programs named linux_* are Linux programs: they run on Linux too, so they may include nothing of abi/ or lib/.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define ROUND_TICKS UINT64_C(400000)
#define ROUNDS      9
#define ROUNDS_LONG 3 /* of figures whose round is long by its nature */

struct figure {
    const char *name;

    /* Makes ready what the operation needs; calls bench_refuse() where that is not to be had. */
    void (*prepare)(void);

    /* One operation; or `round`: so many of them, and what they took (from bench_start() and bench_stop()), for those
     * that have something to do in between that is not measured. */
    void (*call)(void);
    uint64_t (*round)(uint64_t count);

    /* Undoes prepare; is called as well after a refusal. */
    void (*finish)(void);

    uint64_t most;       /* operations in a round; 0: any number */
    uint64_t exactly;    /* so many in each round, which is long; 0: as many as make a short one */
    uint64_t operations; /* that one call counts for (bytes, switches); 0: 1 */
    int counted;         /* it waits for devices: its instructions are counted, not its ticks */
};

extern uint64_t bench_windows; /* pairs of markers so far */

int bench_main(const struct figure *figures, size_t count, int argc, char **argv);

/* Leaves the figure: it is printed as refused, with errno's text behind `what`. For prepare and the operation. */
_Noreturn void bench_refuse(const char *what);

/* The same with a reason of its own. */
_Noreturn void bench_refuse_because(const char *why);

/* A child that runs body and then ends; bench_child_end() kills it if it has not, and waits. */
pid_t bench_child(void (*body)(void));
void bench_child_end(pid_t *child);

/* Of one round. The TSC is read behind lfence, which on real machines keeps what is measured inside. */
static inline uint64_t bench_ticks(void)
{
    uint32_t low, high;

    __asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
}

/* Long no-ops whose displacement is the marker: "benS" and "benE". */
#define BENCH_MARK(letter) \
    __asm__ volatile(".byte 0x0f, 0x1f, 0x80, 'b', 'e', 'n', '" letter "'" : : : "memory")

static inline uint64_t bench_start(void)
{
    BENCH_MARK("S");
    return bench_ticks();
}

static inline uint64_t bench_stop(uint64_t start)
{
    uint64_t spent = bench_ticks() - start;

    BENCH_MARK("E");
    bench_windows++;
    return spent;
}
