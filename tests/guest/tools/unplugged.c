/* How soon who uses a USB device hears that it was pulled out: unplugged INTERFACE read|write|hear FILE
 *
 *     read     reads FILE over and over
 *     write    writes the same bytes of it and has them on the disk (fsync), over and over
 *     hear     waits in one read for a terminal to say something, which it never does
 *
 * `usb:///devices` is watched meanwhile. Prints "ready" when the first transfer has been done (hear: is about to be), and in the end what
 * the error was, how many ms after the list had said that the interface is gone, how long the same takes once more, how long it takes when
 * the driver has long ended, and opening FILE anew:
 *
 *     Input/output error after 3 ms; again after 0 ms: No such device; later after 0 ms: No such device; opened after 1 ms: No such file or directory
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

#include "tests/guest/tools/need.h"

#define LIST  "usb:///devices"
#define PIECE 65536
#define LATER 4 /* seconds: initd gives a driver two to end */

static const char *interface, *path;
static uint8_t bytes[PIECE];
static off_t position;
static bool ready;

static int64_t now_ms(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static bool listed(int list)
{
    static char text[65536];
    ssize_t length = pread(list, text, sizeof(text) - 1, 0);
    NEED(length >= 0);
    text[length] = '\0';
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, interface, strlen(interface)) == 0 && line[strlen(interface)] == ' ')
            return true;
    }
    return false;
}

/* When the list had lost it. */
static void *watch(void *argument)
{
    struct pollfd list = {.fd = open(LIST, O_RDONLY), .events = POLLIN};
    NEED(list.fd >= 0 && listed(list.fd));
    while (listed(list.fd))
        NEED(poll(&list, 1, -1) == 1);
    *(int64_t *)argument = now_ms();
    return NULL;
}

static ssize_t read_next(int file)
{
    ssize_t length = pread(file, bytes, PIECE, position);
    position = length < PIECE ? 0 : position + length;
    return length;
}

static ssize_t write_again(int file)
{
    ssize_t length = pwrite(file, bytes, PIECE, 0);
    return length < 0 || fsync(file) < 0 ? -1 : length;
}

/* A terminal that is hung up is at its end. */
static ssize_t hear(int file)
{
    ssize_t length = read(file, bytes, PIECE);
    if (length == 0)
        errno = 0;
    return length > 0 ? length : -1;
}

static int once(ssize_t (*transfer)(int file), int file)
{
    if (transfer == hear && !ready)
        printf("ready\n");
    ssize_t length = transfer(file);
    if (length >= 0 && !ready)
        printf("ready\n");
    ready = true;
    return length < 0 ? errno : -1;
}

static const char *text_of(int error)
{
    return error < 0 ? "it works" : error ? strerror(error) : "hung up";
}

int main(int argc, char **argv)
{
    pthread_t watcher;
    int64_t gone = 0, failed, from;
    int error;
    static const char *const more[] = {"again", "later"};
    NEED(argc == 4);
    interface = argv[1];
    path = argv[3];
    ssize_t (*transfer)(int file) = *argv[2] == 'r'   ? read_next
                                    : *argv[2] == 'w' ? write_again
                                                      : hear;
    int mode = transfer == write_again ? O_RDWR : O_RDONLY, file = open(path, mode | O_NOCTTY);
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    NEED(file >= 0);
    NEED(pthread_create(&watcher, NULL, watch, &gone) == 0);
    while ((error = once(transfer, file)) < 0)
        continue;
    failed = now_ms();
    NEED(pthread_join(watcher, NULL) == 0);
    printf("%s after %lld ms", text_of(error), (long long)(failed - gone));
    for (int i = 0; i < 2; i++) {
        sleep(i ? LATER : 0);
        from = now_ms();
        error = once(transfer, file);
        printf("; %s after %lld ms: %s", more[i], (long long)(now_ms() - from), text_of(error));
    }
    from = now_ms();
    error = open(path, mode | O_NOCTTY) < 0 ? errno : -1;
    printf("; opened after %lld ms: %s\n", (long long)(now_ms() - from), text_of(error));
    return 0;
}
