/* Files of a tmpfs: /tmp/data, 1 MiB, is made at the start. */
#include "bench/common/bench.h"
#include "bench/common/files.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define FEW          32

static void data_make(void)
{
    files_use("/tmp");
    files_data();
}

static void data_open(void)
{
    files_use("/tmp");
    file_open_data();
}

static void new_prepare(void)
{
    files_use("/tmp");
    files_new();
}

static const struct figure figures[] = {
    {.name = "open-close", .prepare = data_make, .call = file_open_close},
    {.name = "stat", .prepare = data_make, .call = file_stat},
    {.name = "read-4k", .prepare = data_open, .call = file_read_page, .finish = file_close},
    {.name = "read-sequential",
     .prepare = data_open,
     .call = file_read_all,
     .finish = file_close,
     .operations = DATA_SIZE,
     .most = 2},
    {.name = "write-sequential",
     .prepare = data_open,
     .call = file_write_all,
     .finish = file_close,
     .operations = DATA_SIZE,
     .most = 2},
    {.name = "create-100", .prepare = new_prepare, .round = files_create, .most = FEW},
    {.name = "create-1000", .prepare = new_prepare, .round = files_create, .exactly = NEW_MAX},
    {.name = "unlink-1000", .prepare = new_prepare, .round = files_remove, .exactly = NEW_MAX},
};

int main(int argc, char **argv)
{
    return bench_main(figures, COUNT(figures), argc, argv);
}
