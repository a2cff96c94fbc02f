/* Files of a FAT32 volume on a disk, which is mounted on /mnt. Whoever waits for the disk has his instructions
 * counted from outside (bench/profile/plugin.c). */
#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/common/bench.h"
#include "bench/common/files.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define PLACE        "/mnt"
#define BIG          PLACE "/big"
#define BIG_SIZE     (8 << 20)

static const char *const disks[] = {"/dev/vda", "disk:///vd0"};

/* Anew: nothing of it is in memory. */
static void volume_mount(void)
{
    if (mkdir(PLACE, 0755) && errno != EEXIST)
        bench_refuse(PLACE);
    if (umount(PLACE) && errno != EINVAL)
        bench_refuse("umount");
    for (size_t i = 0; i < COUNT(disks); i++)
        if (!mount(disks[i], PLACE, "vfat", 0, NULL)) {
            files_use(PLACE);
            return;
        }
    bench_refuse("mount");
}

static void data_make(void)
{
    volume_mount();
    files_data();
}

static void data_open(void)
{
    volume_mount();
    file_open_data();
}

static void new_prepare(void)
{
    volume_mount();
    files_new();
}

static void big_prepare(void)
{
    volume_mount();
    file_make(BIG, BIG_SIZE);
}

static uint64_t read_cold(uint64_t count)
{
    (void)count;
    volume_mount();

    int file = open(BIG, O_RDONLY);

    if (file < 0)
        bench_refuse(BIG);

    uint64_t start = bench_start();

    file_read_through(file, BIG_SIZE);

    uint64_t spent = bench_stop(start);

    close(file);
    return spent;
}

/* A new file each time: its clusters are part of it. */
static uint64_t write_fsync(uint64_t count)
{
    (void)count;
    if (unlink(BIG) && errno != ENOENT)
        bench_refuse("unlink");
    sync();

    uint64_t start = bench_start();
    int file = open(BIG, O_WRONLY | O_CREAT, 0644);

    if (file < 0)
        bench_refuse(BIG);
    file_write_through(file, BIG_SIZE);
    if (fsync(file))
        bench_refuse("fsync");

    uint64_t spent = bench_stop(start);

    close(file);
    return spent;
}

static const struct figure figures[] = {
    {.name = "fat-open-close", .prepare = data_make, .call = file_open_close},
    {.name = "fat-stat", .prepare = data_make, .call = file_stat},
    {.name = "fat-read-4k", .prepare = data_open, .call = file_read_page, .finish = file_close},
    {.name = "fat-read-sequential",
     .prepare = data_open,
     .call = file_read_all,
     .finish = file_close,
     .operations = DATA_SIZE,
     .most = 2},
    {.name = "fat-write-sequential",
     .prepare = data_open,
     .call = file_write_all,
     .finish = file_close,
     .operations = DATA_SIZE,
     .most = 2},
    {.name = "fat-create-1000",
     .prepare = new_prepare,
     .round = files_create,
     .exactly = NEW_MAX,
     .counted = 1},
    {.name = "fat-unlink-1000",
     .prepare = new_prepare,
     .round = files_remove,
     .exactly = NEW_MAX,
     .counted = 1},
    {.name = "fat-read-cold",
     .prepare = big_prepare,
     .round = read_cold,
     .exactly = 1,
     .operations = BIG_SIZE,
     .counted = 1},
    {.name = "fat-write-fsync",
     .prepare = volume_mount,
     .round = write_fsync,
     .exactly = 1,
     .operations = BIG_SIZE,
     .counted = 1},
};

int main(int argc, char **argv)
{
    return bench_main(figures, COUNT(figures), argc, argv);
}
