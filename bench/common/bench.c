#include "bench/common/bench.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

uint64_t bench_windows;

static jmp_buf refused;
static char reason[128];

void bench_refuse_because(const char *why)
{
    snprintf(reason, sizeof(reason), "%s", why);
    longjmp(refused, 1);
}

void bench_refuse(const char *what)
{
    snprintf(reason, sizeof(reason), "%s: %s", what, strerror(errno));
    longjmp(refused, 1);
}

pid_t bench_child(void (*body)(void))
{
    pid_t child = fork();

    if (child < 0)
        bench_refuse("fork");
    if (child == 0) {
        body();
        _exit(0);
    }
    return child;
}

void bench_child_end(pid_t *child)
{
    if (*child > 0) {
        kill(*child, SIGKILL);
        waitpid(*child, NULL, 0);
    }
    *child = 0;
}

static void nothing(void)
{
    __asm__ volatile("" : : : "memory");
}

static uint64_t round_of(const struct figure *figure, uint64_t count)
{
    if (figure->round)
        return figure->round(count);

    void (*volatile call)(void) = figure->call; /* volatile: the empty one must cost what all do */
    void (*operation)(void) = call;
    uint64_t start = bench_start();

    for (uint64_t i = 0; i < count; i++)
        operation();
    return bench_stop(start);
}

static const struct figure empty = {.name = "empty", .call = nothing};

/* What `count` empty operations take. A figure with a round of its own pays only for reading the TSC. */
static uint64_t overhead(const struct figure *figure, uint64_t count)
{
    uint64_t best = UINT64_MAX;

    for (int i = 0; i < ROUNDS; i++) {
        uint64_t spent = round_of(&empty, figure->round ? 0 : count);

        best = spent < best ? spent : best;
    }
    return best;
}

/* Operations in a round: two rounds warm up and show what one takes. */
static uint64_t round_size(const struct figure *figure)
{
    uint64_t first = figure->most && figure->most < 16 ? figure->most : 16;

    (void)round_of(figure, first);

    uint64_t each = round_of(figure, first) / first + 1;
    uint64_t count = ROUND_TICKS / each;

    count = count < 4 ? 4 : count;
    return figure->most && count > figure->most ? figure->most : count;
}

static void measure(const struct figure *figure, uint64_t count, unsigned rounds)
{
    uint64_t best = UINT64_MAX, each = figure->operations ? figure->operations : 1;

    if (count == 0 && !figure->exactly)
        count = round_size(figure);
    else
        (void)round_of(figure, count = count ? count : figure->exactly);

    uint64_t first = bench_windows + 1;

    for (unsigned i = 0; i < rounds; i++) {
        uint64_t spent = round_of(figure, count);

        best = spent < best ? spent : best;
    }
    if (figure->counted) {
        printf("bench %s counted %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", figure->name, first,
               bench_windows, count * each);
        return;
    }

    uint64_t cost = overhead(figure, count);

    printf("bench %s %" PRIu64 " %" PRIu64 "\n", figure->name, best > cost ? best - cost : 0,
           count * each);
}

static void run(const struct figure *figure, uint64_t count, unsigned rounds)
{
    if (setjmp(refused) == 0) {
        if (figure->prepare)
            figure->prepare();
        measure(figure, count, rounds);
    } else {
        printf("bench %s - %s\n", figure->name, reason);
    }
    if (figure->finish)
        figure->finish();
    fflush(stdout);
}

static int wanted(const char *name, char **names, int count)
{
    for (int i = 0; i < count; i++)
        if (strstr(name, names[i]))
            return 1;
    return count == 0;
}

int bench_main(const struct figure *figures, size_t count, int argc, char **argv)
{
    uint64_t operations = 0;
    unsigned rounds = 0;
    int option;

    while ((option = getopt(argc, argv, "r:n:")) >= 0) {
        if (option == 'r')
            rounds = (unsigned)strtoul(optarg, NULL, 10);
        else if (option == 'n')
            operations = strtoull(optarg, NULL, 10);
        else
            return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < count; i++)
        if (wanted(figures[i].name, argv + optind, argc - optind))
            run(&figures[i], operations,
                rounds               ? rounds
                : figures[i].exactly ? ROUNDS_LONG
                                     : ROUNDS);
    printf("bench-windows %" PRIu64 "\n", bench_windows);
    return 0;
}
