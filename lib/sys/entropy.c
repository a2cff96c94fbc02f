/* RDRAND (Intel SDM vol. 1, 7.3.17: retry up to 10 times) mixed with time stamps by splitmix64's finaliser. */
#include "lib/sys/entropy.h"

#include <string.h>

static bool rdrand_present(void)
{
    uint32_t a = 1, b, c = 0, d;
    __asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    return c >> 30 & 1;
}

static uint64_t rdrand(void)
{
    uint64_t value = 0;
    bool done = false;
    for (int tries = 0; tries < 10 && !done; tries++)
        __asm__ volatile("rdrand %0" : "=r"(value), "=@ccc"(done));
    return done ? value : 0;
}

static uint64_t time_stamp(void)
{
    uint32_t low, high;
    __asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

void entropy_collect(uint8_t *bytes, size_t length)
{
    bool hardware = rdrand_present();
    uint64_t state = (uintptr_t)bytes;
    while (length) {
        for (int i = 0; i < 8; i++)
            state = mix(state + time_stamp());
        if (hardware)
            state ^= rdrand();
        size_t part = MIN(length, sizeof(state));
        uint64_t output = mix(state ^ UINT64_C(0x9e3779b97f4a7c15));
        memcpy(bytes, &output, part);
        bytes += part;
        length -= part;
    }
}
