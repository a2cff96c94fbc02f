/* The few macros everything shares: kernel, services, personality and host tests. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MUST_CHECK   __attribute__((warn_unused_result))
#define NORETURN     __attribute__((noreturn))
#define PRINTF(f, a) __attribute__((format(printf, f, a)))
#define PACKED       __attribute__((packed))
#define ALIGNED(n)   __attribute__((aligned(n)))
#define COLD         __attribute__((cold, noinline))
#define NOINLINE     __attribute__((noinline))

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define container_of(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

#define MIN(a, b)                          \
    ({                                     \
        __typeof__(a) min_a_ = (a);        \
        __typeof__(b) min_b_ = (b);        \
        min_a_ < min_b_ ? min_a_ : min_b_; \
    })
#define MAX(a, b)                          \
    ({                                     \
        __typeof__(a) max_a_ = (a);        \
        __typeof__(b) max_b_ = (b);        \
        max_a_ > max_b_ ? max_a_ : max_b_; \
    })

/* alignment: a power of two */
#define ALIGN_DOWN(x, alignment) ((x) & ~((__typeof__(x))(alignment)-1))
#define ALIGN_UP(x, alignment)   ALIGN_DOWN((x) + ((__typeof__(x))(alignment)-1), alignment)
#define IS_ALIGNED(x, alignment) (((x) & ((__typeof__(x))(alignment)-1)) == 0)

#define BIT(n) (UINT64_C(1) << (n))
