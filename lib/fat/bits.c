/* See bits.h. */
#include "lib/fat/bits.h"

#include <stdlib.h>
#include <string.h>

bool bits_create(struct bits *bits, uint32_t limit)
{
    memset(bits, 0, sizeof(*bits));
    bits->limit = limit;
    size_t words = limit;
    do {
        words = words / 64 + 1;
        bits->level[bits->levels] = calloc(words, sizeof(uint64_t));
        if (!bits->level[bits->levels++]) {
            bits_destroy(bits);
            return false;
        }
    } while (words > 1);
    return true;
}

void bits_destroy(struct bits *bits)
{
    for (uint32_t i = 0; i < bits->levels; i++)
        free(bits->level[i]);
    memset(bits, 0, sizeof(*bits));
}

void bits_add(struct bits *bits, uint32_t number)
{
    for (uint32_t i = 0; i < bits->levels; i++, number /= 64) {
        uint64_t *word = &bits->level[i][number / 64], before = *word;
        *word |= BIT(number % 64);
        if (before)
            return; /* those above know of the word */
    }
}

void bits_remove(struct bits *bits, uint32_t number)
{
    for (uint32_t i = 0; i < bits->levels; i++, number /= 64) {
        uint64_t *word = &bits->level[i][number / 64];
        *word &= ~BIT(number % 64);
        if (*word)
            return;
    }
}

/* Up until a word has a member at or above the number, then down to the least in it. */
uint32_t bits_next(const struct bits *bits, uint32_t number)
{
    if (number >= bits->limit)
        return BITS_NONE;
    for (uint32_t i = 0; i < bits->levels; i++) {
        uint64_t word = bits->level[i][number / 64] & (UINT64_MAX << number % 64);
        if (word) {
            number = number / 64 * 64 + (uint32_t)__builtin_ctzll(word);
            while (i-- > 0)
                number = number * 64 + (uint32_t)__builtin_ctzll(bits->level[i][number]);
            return number;
        }
        number =
            number / 64 +
            1; /* at the next level: behind this word; one word more than its members need is there */
    }
    return BITS_NONE;
}

uint32_t bits_run(const struct bits *bits, uint32_t number, uint32_t most)
{
    uint32_t count = 0;
    while (count < most && number < bits->limit) {
        uint64_t rest = ~bits->level[0][number / 64] >> number % 64;
        uint32_t room = 64 - number % 64;
        uint32_t here = rest ? (uint32_t)__builtin_ctzll(rest) : room;
        here = MIN(here, room);
        count += here;
        number += here;
        if (here < room)
            break;
    }
    return MIN(count, most);
}
