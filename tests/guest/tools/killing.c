/* A file is copied and compared again and again while a service is killed, and what that costs.
 *
 *     killing VICTIM PROBE KILLS PERIOD_MS SOURCE TARGET
 *
 * VICTIM: the service's name in front of its `@`; `-`: nobody, for as many periods. After each kill the file PROBE, a URI, is opened
 * and read until that has been answered without the one who was killed: so long was the recovery. Prints, last of all,
 *
 *     N kills: recovery median US us, longest US us; PASSES copies, KIB KiB/s
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/sys/clock.h"
#include "lib/sys/error.h"
#include "lib/sys/file.h"
#include "tests/guest/tools/need.h"

#define PIECE       65536u
#define MICROSECOND INT64_C(1000)
#define MILLISECOND (1000 * MICROSECOND)
#define SECOND      (1000 * MILLISECOND)

static const char *source, *target;
static atomic_bool stop;
static atomic_uint_fast64_t moved; /* bytes copied and compared */
static unsigned passes;

/* --- The copy --- */

static void copy(void)
{
    static char piece[PIECE];
    int how = passes % 2 ? 0 : O_TRUNC; /* or over what is there */
    int from = open(source, O_RDONLY), to = open(target, O_WRONLY | O_CREAT | how, 0644);
    ssize_t length;
    NEED(from >= 0 && to >= 0);
    while ((length = read(from, piece, PIECE)) > 0) {
        NEED(write(to, piece, (size_t)length) == length);
        moved += (uint64_t)length;
    }
    NEED(length == 0);
    NEED(fsync(to) == 0);
    NEED(close(from) == 0 && close(to) == 0);
}

static void compare(void)
{
    static char pieces[2][PIECE];
    int from = open(source, O_RDONLY), to = open(target, O_RDONLY);
    ssize_t length;
    NEED(from >= 0 && to >= 0);
    do {
        length = read(from, pieces[0], PIECE);
        NEED(length >= 0 && read(to, pieces[1], PIECE) == length);
        if (memcmp(pieces[0], pieces[1], (size_t)length) != 0) {
            printf("copy %u differs within %u bytes of %jd\n", passes, PIECE,
                   (intmax_t)lseek(from, 0, SEEK_CUR));
            exit(1);
        }
        moved += (uint64_t)length;
    } while (length > 0);
    NEED(close(from) == 0 && close(to) == 0);
}

static void *copy_main(void *unused)
{
    do {
        copy();
        compare();
        passes++;
    } while (!stop);
    return unused;
}

/* --- The kills --- */

static bool is_named(const char *pid, const char *name)
{
    char path[300], text[128] = {0};
    snprintf(path, sizeof(path), "/proc/%s/cmdline", pid);
    int file = open(path, O_RDONLY);
    if (file < 0)
        return false;
    ssize_t length = read(file, text, sizeof(text) - 1);
    close(file);
    size_t wanted = strlen(name);
    return length > 0 && strncmp(text, name, wanted) == 0 && strchr("@", text[wanted]);
}

static pid_t find(const char *name)
{
    pid_t found = 0;
    DIR *processes = opendir("/proc");
    NEED(processes);
    for (struct dirent *entry; !found && (entry = readdir(processes)) != NULL;)
        if (isdigit((unsigned char)entry->d_name[0]) && is_named(entry->d_name, name))
            found = atoi(entry->d_name);
    closedir(processes);
    return found;
}

static void probe(const char *uri)
{
    static char page[4096];
    handle_t file;
    int64_t result = file_open(HANDLE_SELF, uri, OPEN_READ, &file);
    if (result >= 0) {
        result = file_read(file, 0, page, sizeof(page));
        handle_drop(file);
    }
    if (result >= 0)
        return;
    printf("%s: %s\n", uri, error_text(result));
    exit(1);
}

/* How long it took until the file was had without its victim, ns. */
static int64_t recovery(pid_t victim, const char *uri)
{
    int64_t began = clock_monotonic();
    NEED(kill(victim, SIGKILL) == 0);
    do {
        probe(uri); /* the one who dies may have answered */
    } while (kill(victim, 0) == 0);
    return clock_monotonic() - began;
}

static void sleep_until(int64_t when)
{
    int64_t left = when - clock_monotonic();
    if (left > 0)
        usleep((useconds_t)(left / MICROSECOND));
}

static int order(const void *a, const void *b)
{
    int64_t first = *(const int64_t *)a, second = *(const int64_t *)b;
    return (first > second) - (first < second);
}

int main(int argc, char **argv)
{
    static int64_t took[10000];
    if (argc != 7 || atoi(argv[3]) < 1 || atoi(argv[3]) > 10000)
        return 2;
    const char *victim = argv[1], *uri = argv[2];
    int kills = atoi(argv[3]);
    int64_t period = atoi(argv[4]) * MILLISECOND;
    source = argv[5];
    target = argv[6];

    pthread_t thread;
    int64_t began = clock_monotonic();
    NEED(pthread_create(&thread, NULL, copy_main, NULL) == 0);
    for (int i = 0; i < kills; i++) {
        sleep_until(began + (i + 1) * period);
        if (strcmp(victim, "-") == 0)
            continue;
        pid_t pid;
        while (!(pid = find(victim)))
            usleep(1000);
        took[i] = recovery(pid, uri);
    }
    sleep_until(began + (kills + 1) * period);
    int64_t speed = (int64_t)(moved / 1024) * SECOND / (clock_monotonic() - began);
    stop = true;
    NEED(pthread_join(thread, NULL) == 0);
    qsort(took, (size_t)kills, sizeof(took[0]), order);
    printf("%d kills: recovery median %" PRId64 " us, longest %" PRId64 " us; %u copies, %" PRId64
           " KiB/s\n",
           kills, took[kills / 2] / MICROSECOND, took[kills - 1] / MICROSECOND, passes, speed);
    return 0;
}
