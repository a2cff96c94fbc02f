/* Names are hashed and compared eight bytes at a time. Behind each name eight more bytes can be read. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The first bytes of a name as a number, at most eight. */
static inline uint64_t word_at(const char *name, size_t length)
{
    uint64_t word;
    memcpy(&word, name, sizeof(word));
    return length >= sizeof(word) ? word : word & ~(UINT64_MAX << 8 * length);
}

static inline uint32_t words_hash(const char *name, size_t length)
{
    const uint64_t odd = UINT64_C(0x9e3779b97f4a7c15);
    uint64_t hash = length;
    for (; length > 8; name += 8, length -= 8) {
        hash = (hash ^ word_at(name, 8)) * odd;
        hash ^= hash >> 32;
    }
    return (uint32_t)((hash ^ word_at(name, length)) * odd >> 32);
}

static inline bool words_equal(const char *a, const char *b, size_t length)
{
    for (; length > 8; a += 8, b += 8, length -= 8)
        if (word_at(a, 8) != word_at(b, 8))
            return false;
    return word_at(a, length) == word_at(b, length);
}
