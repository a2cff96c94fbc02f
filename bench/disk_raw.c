/* Disks without a file system: read from their start to some place, in pieces, none of it in memory before; and by O_DIRECT,
 * which has Linux keep nothing in memory afterwards either. Whoever waits for the disk has his instructions counted from
 * outside (bench/profile/plugin.c). */
#define _GNU_SOURCE /* O_DIRECT */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench/common/bench.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define SIZE         (8 << 20)
#define SMALL        (64 << 10)
#define LARGE        (1 << 20)

#define WAIT_US (100 * 1000) /* until a disk that is plugged in is found */
#define WAITS   300

static const char *const virtio[] = {"/dev/vda", "disk:///vd0", NULL};
static const char *const usb[] = {"/dev/sda", "disk:///usb1-1", NULL};

static char *buffer;
static const char *path;

static void disk_find(const char *const *names)
{
    if (!buffer)
        buffer = aligned_alloc(4096, LARGE);
    if (!buffer)
        bench_refuse("memory");
    for (int i = 0; i < WAITS; i++) {
        for (const char *const *name = names; *name; name++)
            if (!access(*name, R_OK)) {
                path = *name;
                return;
            }
        usleep(WAIT_US);
    }
    bench_refuse(names[0]);
}

static void virtio_find(void)
{
    disk_find(virtio);
}

static void usb_find(void)
{
    disk_find(usb);
}

/* Who closes a disk last has nothing of it kept in memory. */
static uint64_t read_through(int flags, size_t piece)
{
    int file = open(path, O_RDONLY | flags);

    if (file < 0)
        bench_refuse(path);

    uint64_t start = bench_start();

    for (size_t done = 0; done < SIZE; done += piece)
        if (read(file, buffer, piece) != (ssize_t)piece)
            bench_refuse("read");

    uint64_t spent = bench_stop(start);

    close(file);
    return spent;
}

static uint64_t read_small(uint64_t count)
{
    (void)count;
    return read_through(0, SMALL);
}

static uint64_t read_large(uint64_t count)
{
    (void)count;
    return read_through(0, LARGE);
}

static uint64_t direct_small(uint64_t count)
{
    (void)count;
    return read_through(O_DIRECT, SMALL);
}

static uint64_t direct_large(uint64_t count)
{
    (void)count;
    return read_through(O_DIRECT, LARGE);
}

#define READ(named, disk, reads)                                                                 \
    {                                                                                            \
        .name = named, .prepare = disk##_find, .round = reads, .exactly = 1, .operations = SIZE, \
        .counted = 1                                                                             \
    }

static const struct figure figures[] = {
    READ("virtio-read-sequential", virtio, read_small),
    READ("virtio-read-large", virtio, read_large),
    READ("virtio-direct-sequential", virtio, direct_small),
    READ("virtio-direct-large", virtio, direct_large),
    READ("usb-read-sequential", usb, read_small),
    READ("usb-read-large", usb, read_large),
    READ("usb-direct-sequential", usb, direct_small),
    READ("usb-direct-large", usb, direct_large),
    READ("uas-read-sequential", usb, read_small),
    READ("uas-read-large", usb, read_large),
};

int main(int argc, char **argv)
{
    return bench_main(figures, COUNT(figures), argc, argv);
}
