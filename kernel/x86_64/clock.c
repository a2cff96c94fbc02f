/* The clock: nanoseconds since the start, never going back on any CPU.
 *
 * It is the TSC, scaled, where the TSC is steady: invariant by CPUID, or in a virtual machine, and found equal on
 * all CPUs while they start. Else it is the HPET, if that has 64 bits; else the TSC again, held back to the latest
 * time any CPU has seen. The switch happens before there are programs, and continues where the TSC was.
 *
 * The TSC's rate comes from CPUID (leaf 0x15, or 0x40000010 of a hypervisor), or is measured against the best
 * reference counter. A measurement is two pairs of readings; of several attempts at each pair the one that was
 * least disturbed (by SMM, or a host that runs something else) counts.
 *
 * Written at boot only, but for `latest` and the check's words, which are atomic.
 */
#include "kernel/x86_64/clock.h"

#include "kernel/arch.h"
#include "kernel/log.h"
#include "kernel/x86_64/msr.h"
#include "kernel/x86_64/scale.h"
#include "lib/base/clock.h"

#define NS_PER_S UINT64_C(1000000000)
/* A reading is off by 100 ns or so: 10 ppm of the TSC's rate, as good as its crystal. The local APIC's timer is armed
 * anew when it fires early by the clock, so 50 ppm do for it. The machine waits for both at each start. */
#define TSC_MEASURE_NS   UINT64_C(10000000)
#define TIMER_MEASURE_NS UINT64_C(2000000)

#define ATTEMPTS              8u
#define WRAPPING_MEASUREMENTS 3u
#define TSC_MIN_HZ            UINT64_C(10000000)
#define TSC_MAX_HZ            UINT64_C(100000000000)
#define GUESSED_HZ            UINT64_C(1000000000) /* with no reference at all: time runs, at a wrong rate */

static struct {
    uint64_t (*read)(void); /* NULL: not started, it is 0 */
    uint64_t base_count, base_ns;
    uint64_t factor; /* clock_scale's */
    bool held;       /* keep to `latest` */
} source;

static uint64_t latest; /* ns, with source.held */
static uint64_t tsc_hz;
static bool tsc_trusted;
static const struct reference *reference;

static uint64_t check_last; /* the latest TSC any CPU saw while they started */
static uint64_t check_warp; /* the farthest another CPU's was behind it */

uint64_t arch_clock(void)
{
    if (unlikely(!source.read))
        return 0;

    int64_t passed = (int64_t)(source.read() - source.base_count);
    uint64_t now = source.base_ns;

    if (likely(passed > 0))
        now += clock_scale((uint64_t)passed, source.factor);
    if (unlikely(source.held)) {
        uint64_t seen = __atomic_load_n(&latest, __ATOMIC_RELAXED);

        while (seen < now && !__atomic_compare_exchange_n(&latest, &seen, now, true,
                                                          __ATOMIC_RELAXED, __ATOMIC_RELAXED))
            ;
        now = MAX(now, seen);
    }
    return now;
}

uint64_t arch_cycles_hz(void)
{
    return tsc_hz;
}

void arch_clock_source(struct abi_time *time)
{
    time->cycles_base = source.base_count;
    time->base = source.base_ns;
    time->factor = tsc_trusted ? source.factor : 0;
}

bool clock_tsc_steady(void)
{
    return tsc_trusted;
}

void clock_delay(uint64_t ns)
{
    uint64_t end = arch_clock() + ns;

    while (arch_clock() < end)
        arch_pause();
}

/* --- Measuring ------------------------------------------------------------------------------------- */

struct reading {
    uint64_t reference, tsc;
};

static struct reading read_both(void)
{
    struct reading best = {0, 0};
    uint64_t shortest = UINT64_MAX;

    for (unsigned i = 0; i < ATTEMPTS; i++) {
        uint64_t before = tsc_read_ordered(), count = reference->read(), after = tsc_read_ordered();

        if (after - before < shortest) {
            shortest = after - before;
            best = (struct reading){count, before + (after - before) / 2};
        }
    }
    return best;
}

/* How far the reference came since `start`, and waits until that is `ns`. A reference that wraps within the time is
 * added up. */
static uint64_t wait_reference(struct reading start, uint64_t ns, struct reading *end)
{
    uint64_t wanted = scale_apply(scale_make(NS_PER_S, reference->hz), ns), passed = 0;
    uint64_t last = start.reference;

    while (passed < wanted) {
        *end = read_both();
        passed += (end->reference - last) & reference->mask;
        last = end->reference;
    }
    return passed;
}

static uint64_t measure_tsc(void)
{
    struct reading start = read_both(), end = start;
    uint64_t passed = wait_reference(start, TSC_MEASURE_NS, &end);

    return scale_apply(scale_make(passed, reference->hz), end.tsc - start.tsc);
}

struct count {
    uint64_t time; /* arch_clock */
    uint32_t value;
};

static struct count read_count(uint32_t (*read)(void))
{
    struct count best = {0, 0};
    uint64_t shortest = UINT64_MAX;

    for (unsigned i = 0; i < ATTEMPTS; i++) {
        uint64_t before = arch_clock();
        uint32_t value = read();
        uint64_t after = arch_clock();

        if (after - before < shortest) {
            shortest = after - before;
            best = (struct count){before + (after - before) / 2, value};
        }
    }
    return best;
}

/* The rate of a counter that counts down from its highest value, by the clock. */
void clock_measure_lapic(uint32_t (*read)(void), uint64_t *hz)
{
    struct count start = read_count(read), end;

    do
        end = read_count(read);
    while (end.time - start.time < TIMER_MEASURE_NS);
    *hz = scale_apply(scale_make(end.time - start.time, NS_PER_S), start.value - end.value);
}

/* What the CPU or the hypervisor says; 0: nothing. */
static uint64_t tsc_hz_told(bool virtual)
{
    uint32_t highest = cpuid(0, 0).eax;
    uint64_t hz = 0;

    if (virtual && cpuid(0x40000000, 0).eax >= 0x40000010 && cpuid(0x40000000, 0).eax < 0x40010000)
        hz = UINT64_C(1000) * cpuid(0x40000010, 0).eax;
    if (hz == 0 && highest >= 0x15) {
        struct cpuid r = cpuid(0x15, 0);

        if (r.eax && r.ebx && r.ecx)
            hz = (uint64_t)r.ecx * r.ebx / r.eax;
    }
    return hz >= TSC_MIN_HZ && hz <= TSC_MAX_HZ ? hz : 0;
}

/* --- Choosing -------------------------------------------------------------------------------------- */

static void use(uint64_t (*read)(void), uint64_t hz)
{
    uint64_t now = arch_clock();

    source.factor = clock_factor(hz);
    source.base_ns = now;
    source.base_count = read();
    source.read = read;
}

void clock_start(const struct acpi *acpi)
{
    bool invariant = cpuid(0x80000000, 0).eax >= 0x80000007 && cpuid(0x80000007, 0).edx & BIT(8);
    bool virtual = cpuid(1, 0).ecx & BIT(31);
    const char *from = "CPUID";

    reference = reference_find(acpi);
    tsc_trusted = invariant || virtual;
    tsc_hz = tsc_hz_told(virtual);
    if (tsc_hz == 0 && reference) {
        tsc_hz = measure_tsc();
        /* While the host runs something else the PIT wraps unseen (55 ms), and the TSC seems faster than it is. */
        for (unsigned i = 1; reference->mask <= UINT16_MAX && i < WRAPPING_MEASUREMENTS; i++)
            tsc_hz = MIN(tsc_hz, measure_tsc());
        from = reference->name;
    }
    if (tsc_hz < TSC_MIN_HZ || tsc_hz > TSC_MAX_HZ) {
        log_error("clock: nothing to measure the TSC by: time will be wrong");
        tsc_hz = GUESSED_HZ;
        from = "a guess";
    }
    use(tsc_read_ordered, tsc_hz);
    log_info("clock: TSC %lu.%03lu MHz by %s%s", tsc_hz / 1000000, tsc_hz / 1000 % 1000, from,
             invariant ? ", invariant" : "");
}

/* One observation. Two CPUs whose counters are equal never see the other's earlier reading ahead of their own. */
void clock_check(void)
{
    uint64_t last = __atomic_load_n(&check_last, __ATOMIC_ACQUIRE), now = tsc_read_ordered();

    if (now < last) {
        uint64_t warp = __atomic_load_n(&check_warp, __ATOMIC_RELAXED);

        while (warp < last - now &&
               !__atomic_compare_exchange_n(&check_warp, &warp, last - now, true, __ATOMIC_RELAXED,
                                            __ATOMIC_RELAXED))
            ;
        return;
    }
    while (last < now && !__atomic_compare_exchange_n(&check_last, &last, now, true,
                                                      __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        ;
}

void clock_settle(void)
{
    if (check_warp > 0) {
        log_warning("clock: the TSCs of the CPUs differ by %lu cycles", check_warp);
        tsc_trusted = false;
    }
    if (tsc_trusted)
        return;
    if (hpet_wide()) {
        use(hpet_read, hpet_hz());
        log_info("clock: HPET, as the TSC is not steady");
        return;
    }
    latest = arch_clock();
    source.held = true;
    log_warning("clock: the TSC is not steady, and there is no HPET to use instead");
}
