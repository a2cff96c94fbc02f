/* See numbers.h. */
#include "lib/fsd/numbers.h"

#include "lib/sys/keep.h"

struct numbers {
    uint64_t unanswered[NUMBERS_ROOM]; /* the oldest goes first */
    uint32_t count;                    /* there ever were */
};

static struct numbers *numbers;

bool numbers_known(uint64_t number)
{
    for (size_t i = 0; number && i < MIN(numbers->count, NUMBERS_ROOM); i++)
        if (numbers->unanswered[i] == number)
            return true;
    return false;
}

int64_t numbers_recover(handle_t port, uint64_t key, uint64_t last)
{
    numbers = keep_memory(port, key, sizeof(*numbers));
    if (!numbers)
        return -E_NO_MEMORY;
    if (!last || numbers_known(last))
        return 0;
    numbers->unanswered[numbers->count % NUMBERS_ROOM] = last;
    keep_commit(&numbers->count, numbers->count + 1);
    return 0;
}
