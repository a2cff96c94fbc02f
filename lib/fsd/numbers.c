/* See numbers.h. */
#include "lib/fsd/numbers.h"

#include "lib/sys/keep.h"

struct numbers {
    struct numbered unanswered[NUMBERS_ROOM]; /* the oldest goes first */
    uint32_t count;                           /* there ever were */
};

static struct numbers *numbers;

static struct numbered *find(uint64_t number)
{
    for (size_t i = 0; number && i < MIN(numbers->count, NUMBERS_ROOM); i++)
        if (numbers->unanswered[i].number == number)
            return &numbers->unanswered[i];
    return NULL;
}

const struct numbered *numbers_find(uint64_t number)
{
    return find(number);
}

/* One that is known came further. Who dies in here has done nothing yet, so the next one finds the same last. */
int64_t numbers_recover(handle_t port, uint64_t key, const struct numbered *last)
{
    numbers = keep_memory(port, key, sizeof(*numbers));
    if (!numbers)
        return -E_NO_MEMORY;
    struct numbered *known = find(last->number);
    if (known)
        *known = *last;
    if (!last->number || known)
        return 0;
    numbers->unanswered[numbers->count % NUMBERS_ROOM] = *last;
    keep_commit(&numbers->count, numbers->count + 1);
    return 0;
}
