/* A fault that another process answers with a page. */
#include <sys/mman.h>

#include "abi/ops.h"
#include "bench/common/bench.h"
#include "lib/sys/syscall.h"

#define PAGES 64
#define SIZE  (PAGES * PAGE_SIZE)

static handle_t port = HANDLE_NONE, memory = HANDLE_NONE, source = HANDLE_NONE;
static pid_t child;
static volatile char *pages;

static handle_t must(int64_t handle, const char *what)
{
    if (handle < 0)
        bench_refuse_because(what);
    return (handle_t)handle;
}

/* One page a question, though more may be asked for: shared out of `source`, which has them all; the answer says where. */
static void serve(void)
{
    struct short_return completed = {.values = {0, PAGE_SIZE}};
    struct abi_message message;

    for (;;) {
        struct short_message got =
            sys_proto_return_accept_short(port, completed, &message, NULL, 0, DEADLINE_NEVER);

        completed.token = got.result > 0 ? got.token : 0;
        if (unlikely(got.result == 0 && message.kind == MESSAGE_COMMAND)) {
            completed.token = message.token;
            got.args[0] = message.args[0];
        }
        completed.values[0] = got.args[0];
    }
}

static void prepare(void)
{
    port = must(sys_proto_create(HANDLE_SELF, NULL, 0), "proto_create");
    memory = must(sys_memory_paged(port, SIZE, 1, 0), "memory_paged");
    source = must(sys_memory_create(SIZE, 0), "memory_create");
    if (sys_memory_op(source, MEMORY_OP_COMMIT, 0, SIZE, NULL) < 0)
        bench_refuse_because("memory_op");

    struct abi_supply supply = {.source = source};

    if (sys_memory_op(memory, MEMORY_OP_SOURCE, 0, 0, &supply) < 0)
        bench_refuse_because("source");

    struct abi_map map = {
        .length = SIZE, .memory = memory, .protection = PROT_READ_, .flags = MAP_SHARED_};
    int64_t address = sys_space_map(HANDLE_SELF, &map);

    if (address < 0)
        bench_refuse_because("space_map");
    pages = (volatile char *)address;
    child = bench_child(serve);
}

static uint64_t fault(uint64_t count)
{
    if (sys_memory_op(memory, MEMORY_OP_EVICT, 0, SIZE, NULL) < 0)
        bench_refuse_because("evict");

    uint64_t start = bench_start();

    for (uint64_t i = 0; i < count; i++)
        (void)pages[i * PAGE_SIZE];
    return bench_stop(start);
}

static void finish(void)
{
    bench_child_end(&child);
    if (pages)
        munmap((void *)pages, SIZE);
    handle_drop(memory);
    handle_drop(source);
    handle_drop(port);
    pages = NULL;
    port = memory = source = HANDLE_NONE;
}

static const struct figure figures[] = {
    {.name = "fault-pager", .prepare = prepare, .round = fault, .finish = finish, .most = PAGES},
};

int main(int argc, char **argv)
{
    return bench_main(figures, ARRAY_SIZE(figures), argc, argv);
}
