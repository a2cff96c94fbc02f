#include "bench/common/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/common/bench.h"

static char data[32], names[NEW_MAX][32];
static const char *folder;
static int file = -1;
static char buffer[PIECE];

void files_use(const char *place)
{
    if (mkdir(place, 01777) && errno != EEXIST)
        bench_refuse(place);
    folder = place;
    snprintf(data, sizeof(data), "%s/data", place);
}

void file_write_through(int to, uint64_t size)
{
    for (uint64_t done = 0; done < size; done += PIECE)
        if (write(to, buffer, PIECE) != PIECE)
            bench_refuse("write");
}

void file_read_through(int from, uint64_t size)
{
    ssize_t got;
    size_t total = 0;

    while ((got = read(from, buffer, sizeof(buffer))) > 0)
        total += (size_t)got;
    if (got || total != size)
        bench_refuse("read");
}

void file_make(const char *path, uint64_t size)
{
    int made = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

    if (made < 0)
        bench_refuse(path);
    file_write_through(made, size);
    close(made);
}

/* One for all figures, made by the first. */
void files_data(void)
{
    struct stat stated;

    if (stat(data, &stated) || stated.st_size != DATA_SIZE)
        file_make(data, DATA_SIZE);
}

void file_open_close(void)
{
    int opened = open(data, O_RDONLY);

    if (opened < 0 || close(opened))
        bench_refuse(data);
}

void file_stat(void)
{
    struct stat stated;

    if (stat(data, &stated) || stated.st_size != DATA_SIZE)
        bench_refuse(data);
}

void file_open_data(void)
{
    files_data();
    file = open(data, O_RDWR);
    if (file < 0)
        bench_refuse(data);
}

void file_close(void)
{
    if (file >= 0)
        close(file);
    file = -1;
}

void file_read_page(void)
{
    if (pread(file, buffer, 4096, 4096) != 4096)
        bench_refuse("pread");
}

static void rewind_data(void)
{
    if (lseek(file, 0, SEEK_SET))
        bench_refuse("lseek");
}

void file_read_all(void)
{
    rewind_data();
    file_read_through(file, DATA_SIZE);
}

void file_write_all(void)
{
    rewind_data();
    file_write_through(file, DATA_SIZE);
}

void files_new(void)
{
    for (int i = 0; i < NEW_MAX; i++)
        snprintf(names[i], sizeof(names[i]), "%s/bench-%d", folder, i);
}

static void create_one(const char *name)
{
    int created = open(name, O_WRONLY | O_CREAT | O_EXCL, 0644);

    if (created < 0 || write(created, buffer, NEW_SIZE) != NEW_SIZE || close(created))
        bench_refuse(name);
}

static void create_all(uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        create_one(names[i]);
}

static void remove_all(uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        if (unlink(names[i]))
            bench_refuse(names[i]);
}

uint64_t files_create(uint64_t count)
{
    uint64_t start = bench_start();

    create_all(count);

    uint64_t spent = bench_stop(start);

    remove_all(count);
    return spent;
}

uint64_t files_remove(uint64_t count)
{
    create_all(count);

    uint64_t start = bench_start();

    remove_all(count);
    return bench_stop(start);
}
