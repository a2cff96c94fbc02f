/* The clocks, read from the time page (abi/time.h): no system call where the machine's counter is to be trusted. */
#pragma once

#include "lib/base/clock.h"
#include "lib/sys/syscall.h"

static inline const volatile struct abi_time *clock_page(void)
{
    const volatile struct abi_time *page = (const volatile struct abi_time *)TIME_PAGE;

    __asm__("" : "+r"(page)); /* one constant, not one for each field */
    return page;
}

/* Not before what stands before it was read: what another CPU told of its clock is in the past here. */
static inline uint64_t clock_cycles(void)
{
    uint32_t low, high;

    __asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
}

#ifdef PROTOS_HOST
static inline int64_t clock_monotonic(void)
{
    return sys_clock_get(CLOCK_MONOTONIC_);
}
#else
static inline int64_t clock_monotonic(void)
{
    const volatile struct abi_time *time = clock_page();
    uint64_t factor = time->factor;

    if (unlikely(!factor))
        return sys_clock_get(CLOCK_MONOTONIC_);
    return (int64_t)(time->base + clock_scale(clock_cycles() - time->cycles_base, factor));
}
#endif

/* The description of real time that is in use, and whether it was while it was read.
 *
 *     here                                        kernel/time.c
 *     sequence: which of the two                  writes the other one
 *     reads it, and the counter                   sequence + 1
 *     sequence again: it may have been written    writes the first one, at the next change
 */
static inline const volatile struct abi_time_real *clock_real_begin(uint32_t *sequence)
{
    const volatile struct abi_time *time = clock_page();

    *sequence = __atomic_load_n(&time->sequence, __ATOMIC_ACQUIRE);
    return &time->real[*sequence & 1];
}

static inline bool clock_real_changed(uint32_t sequence)
{
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return unlikely(__atomic_load_n(&clock_page()->sequence, __ATOMIC_RELAXED) != sequence);
}

/* Real time, and the monotonic time when it was that. */
static inline int64_t clock_realtime_at(int64_t *monotonic)
{
    uint32_t sequence;
    int64_t now;

    do {
        const volatile struct abi_time_real *real = clock_real_begin(&sequence);

        *monotonic = clock_monotonic();
        now = clock_real_at(real, *monotonic);
    } while (clock_real_changed(sequence));
    return now;
}

static inline int64_t clock_realtime(void)
{
    int64_t monotonic;

    return clock_realtime_at(&monotonic);
}

/* How real time goes at present, and the monotonic time when it went so. */
static inline struct abi_time_real clock_real_state(int64_t *monotonic)
{
    struct abi_time_real real;
    uint32_t sequence;

    do {
        real = *clock_real_begin(&sequence);
        *monotonic = clock_monotonic();
    } while (clock_real_changed(sequence));
    return real;
}
