/* Reads the clocks for a while, or says how long short sleeps take.
 *
 *     clock_watch SECONDS      ends with "steady" if real time went as monotonic time did and neither went back, else says how not
 *     clock_watch sleep        the shortest, the median and the longest of 200 sleeps of a millisecond, in microseconds
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SECOND INT64_C(1000000000)
#define SLEEPS 200

static int64_t now(clockid_t clock)
{
    struct timespec time;

    if (clock_gettime(clock, &time)) {
        printf("cannot read clock %d\n", (int)clock);
        exit(1);
    }
    return time.tv_sec * SECOND + time.tv_nsec;
}

/* How far real time is ahead lies between two bounds at each look; all of them must leave room for one value. */
static int watch(int64_t seconds)
{
    int64_t start = now(CLOCK_MONOTONIC), last = start, last_real = 0;
    int64_t least = INT64_MIN, most = INT64_MAX;

    while (last - start < seconds * SECOND) {
        int64_t before = now(CLOCK_MONOTONIC), real = now(CLOCK_REALTIME);

        if (before < last || real < last_real) {
            printf("a clock went back\n");
            return 1;
        }
        last = now(CLOCK_MONOTONIC);
        last_real = real;
        if (least < real - last)
            least = real - last;
        if (most > real - before)
            most = real - before;
        if (least > most) {
            printf("real time jumped by %" PRId64 " ns\n", least - most);
            return 1;
        }
    }
    printf("steady\n");
    return 0;
}

static int compare(const void *a, const void *b)
{
    int64_t first = *(const int64_t *)a, second = *(const int64_t *)b;

    return (first > second) - (first < second);
}

static int sleeps(void)
{
    struct timespec wanted = {0, 1000000};
    int64_t took[SLEEPS];

    for (int i = 0; i < SLEEPS; i++) {
        int64_t begun = now(CLOCK_MONOTONIC);

        nanosleep(&wanted, NULL);
        took[i] = now(CLOCK_MONOTONIC) - begun;
    }
    qsort(took, SLEEPS, sizeof(took[0]), compare);
    printf("%" PRId64 " %" PRId64 " %" PRId64 "\n", took[0] / 1000, took[SLEEPS / 2] / 1000,
           took[SLEEPS - 1] / 1000);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    return strcmp(argv[1], "sleep") == 0 ? sleeps() : watch(atoll(argv[1]));
}
