/* RDSEED and RDRAND (Intel SDM vol. 1, 7.3.17), and jitter: differences of successive time stamps around work
 * whose duration caches, interrupts and the host decide. */
#include "sbin/rngd/sources.h"

#include <cpuid.h>
#include <string.h>

#include "lib/sys/clock.h"
#include "lib/sys/syscall.h"

#define HARDWARE_WORDS 8u
#define RETRIES        64
#define JITTER_LIMIT   (1u << 18) /* samples before giving up */
#define WORK_SIZE      4096u

unsigned sources_present(void)
{
    uint32_t a, b, c, d;
    unsigned present = 0;
    if (__get_cpuid(1, &a, &b, &c, &d) && (c >> 30 & 1))
        present |= SOURCE_RDRAND;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d) && (b >> 18 & 1))
        present |= SOURCE_RDSEED;
    return present;
}

static void sample_add(struct sample *sample, const void *bytes, size_t length)
{
    length = MIN(length, sizeof(sample->bytes) - sample->length);
    memcpy(sample->bytes + sample->length, bytes, length);
    sample->length += length;
}

static uint64_t time_stamp(void)
{
    uint32_t low, high;
    __asm__ volatile("lfence; rdtsc; lfence" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
}

static bool rdseed(uint64_t *word)
{
    bool done = false;
    for (int i = 0; i < RETRIES && !done; i++)
        __asm__ volatile("rdseed %0" : "=r"(*word), "=@ccc"(done));
    return done;
}

static bool rdrand(uint64_t *word)
{
    bool done = false;
    for (int i = 0; i < RETRIES && !done; i++)
        __asm__ volatile("rdrand %0" : "=r"(*word), "=@ccc"(done));
    return done;
}

/* A generator that only ever gives one value is broken (it happened on real CPUs after suspend). */
static void hardware_words(struct sample *sample, bool (*next)(uint64_t *))
{
    uint64_t words[HARDWARE_WORDS];
    bool differ = false;
    for (size_t i = 0; i < HARDWARE_WORDS; i++) {
        if (!next(&words[i]))
            return;
        differ |= words[i] != words[0];
    }
    sample_add(sample, words, sizeof(words));
    if (differ)
        sample->bits += sizeof(words) * 8 / 2;
}

void sample_hardware(struct sample *sample)
{
    unsigned present = sources_present();
    if (present & SOURCE_RDSEED)
        hardware_words(sample, rdseed);
    if (present & SOURCE_RDRAND)
        hardware_words(sample, rdrand);
}

void sample_identity(struct sample *sample)
{
    struct abi_process_info info = {0};
    uint64_t stamp = time_stamp();
    int64_t now = clock_monotonic();
    struct abi_system_info system = {0};
    const void *place = &stamp;
    sys_ignore(sys_process_info(HANDLE_SELF, &info));
    sys_ignore(sys_system_info(&system, sizeof(system)));
    sample_add(sample, &stamp, sizeof(stamp));
    sample_add(sample, &now, sizeof(now));
    sample_add(sample, &info.id, sizeof(info.id));
    sample_add(sample, &system.interrupts, sizeof(system.interrupts));
    sample_add(sample, &system.context_switches, sizeof(system.context_switches));
    sample_add(sample, &place, sizeof(place));
}

/* Touches memory in an order that depends on what it finds. */
static void work(uint8_t *memory, uint64_t seed)
{
    size_t at = seed % WORK_SIZE;
    for (int i = 0; i < 32; i++) {
        memory[at]++;
        at = (at * 73 + memory[at] + 1) % WORK_SIZE;
    }
}

void sample_jitter(struct sample *sample, unsigned bits)
{
    static uint8_t memory[WORK_SIZE];
    uint64_t last = time_stamp(), last_delta = 0, pool = 0;
    unsigned half = 2, found = 0; /* half: the first bit of a von Neumann pair; 2: none yet */
    for (unsigned i = 0; i < JITTER_LIMIT && found < bits * 4; i++) {
        work(memory, last);
        uint64_t now = time_stamp(), delta = now - last;
        uint64_t change = delta ^ last_delta;
        last = now;
        last_delta = delta;
        pool = (pool << 7 | pool >> 57) ^ delta;
        if (i % 64 == 63)
            sample_add(sample, &pool, sizeof(pool));
        if (change == 0)
            continue; /* stuck: no pair may be made of it */
        unsigned bit = __builtin_parityll(delta);
        if (half == 2) {
            half = bit;
            continue;
        }
        found += half != bit;
        half = 2;
        /* The buffer is full of folded samples: go on folding into its end. */
        if (sample->length == sizeof(sample->bytes))
            sample->bytes[found % sizeof(sample->bytes)] ^= (uint8_t)pool;
    }
    sample_add(sample, &pool, sizeof(pool));
    sample->bits += found / 4;
}
