/* Files of a tmpfs: /tmp/data, 1 MiB, is made at the start. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/common/bench.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define DATA         "/tmp/data"
#define DATA_SIZE    (1 << 20)
#define PIECE        (64 << 10)

static int file = -1;
static char buffer[PIECE];

/* One for all figures, made by the first. */
static void data_make(void)
{
    struct stat stated;

    if (!stat(DATA, &stated) && stated.st_size == DATA_SIZE)
        return;
    if (mkdir("/tmp", 01777) && errno != EEXIST)
        bench_refuse("/tmp");
    int made = open(DATA, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    for (int done = 0; done < DATA_SIZE; done += PIECE)
        if (write(made, buffer, PIECE) != PIECE)
            bench_refuse(DATA);
    close(made);
}

static void open_close(void)
{
    int opened = open(DATA, O_RDONLY);

    if (opened < 0 || close(opened))
        bench_refuse(DATA);
}

static void status(void)
{
    struct stat stated;

    if (stat(DATA, &stated) || stated.st_size != DATA_SIZE)
        bench_refuse(DATA);
}

static void data_open(void)
{
    data_make();
    file = open(DATA, O_RDONLY);
    if (file < 0)
        bench_refuse(DATA);
}

static void data_close(void)
{
    if (file >= 0)
        close(file);
    file = -1;
}

static void read_page(void)
{
    if (pread(file, buffer, 4096, 4096) != 4096)
        bench_refuse("pread");
}

static void read_all(void)
{
    ssize_t got;
    size_t total = 0;

    if (lseek(file, 0, SEEK_SET))
        bench_refuse("lseek");
    while ((got = read(file, buffer, sizeof(buffer))) > 0)
        total += (size_t)got;
    if (got || total != DATA_SIZE)
        bench_refuse("read");
}

#define NEW_FILES 32

static char names[NEW_FILES][24];

static void create_one(const char *name)
{
    int created = open(name, O_WRONLY | O_CREAT | O_EXCL, 0644);

    if (created < 0 || write(created, buffer, 100) != 100 || close(created))
        bench_refuse(name);
}

static uint64_t create(uint64_t count)
{
    uint64_t start = bench_start();

    for (uint64_t i = 0; i < count; i++)
        create_one(names[i]);

    uint64_t spent = bench_stop(start);

    for (uint64_t i = 0; i < count; i++)
        if (unlink(names[i]))
            bench_refuse("unlink");
    return spent;
}

static void create_prepare(void)
{
    if (mkdir("/tmp", 01777) && errno != EEXIST)
        bench_refuse("/tmp");
    for (int i = 0; i < NEW_FILES; i++)
        snprintf(names[i], sizeof(names[i]), "/tmp/bench-%d", i);
}

static const struct figure figures[] = {
    {.name = "open-close", .prepare = data_make, .call = open_close},
    {.name = "stat", .prepare = data_make, .call = status},
    {.name = "read-4k", .prepare = data_open, .call = read_page, .finish = data_close},
    {.name = "read-sequential",
     .prepare = data_open,
     .call = read_all,
     .finish = data_close,
     .operations = DATA_SIZE,
     .most = 2},
    {.name = "create-100", .prepare = create_prepare, .round = create, .most = NEW_FILES},
};

int main(int argc, char **argv)
{
    return bench_main(figures, COUNT(figures), argc, argv);
}
