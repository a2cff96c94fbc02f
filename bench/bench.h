/* What the programs of bench/ share: ticks, and the best of a few rounds over a loop. */
#pragma once

#include <inttypes.h>
#include <stdio.h>

#include "lib/sys/syscall.h"

#define ROUNDS 5

struct figure {
    const char *name;
    void (*call)(void);
    uint64_t count; /* calls in one round */
};

/* TSC ticks: instructions under `make bench` (-icount). */
static inline uint64_t ticks(void)
{
    uint32_t low, high;

    __asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
}

static inline uint64_t measure(void (*call)(void), uint64_t count)
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

static void bench_nothing(void)
{
    __asm__ volatile("" : : : "memory");
}

/* Prints `bench NAME TICKS` for each, less what the loop itself costs. */
static inline void bench_run(const struct figure *figures, size_t count)
{
    uint64_t loop = measure(bench_nothing, 10000);

    for (size_t i = 0; i < count; i++) {
        printf("bench %s %" PRIu64 "\n", figures[i].name,
               measure(figures[i].call, figures[i].count) - loop);
        fflush(stdout);
    }
}
