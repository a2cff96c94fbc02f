/* A CPU exception that another process handles: it says where the thread goes on. */
#include "abi/ops.h"
#include "bench/common/bench.h"
#include "lib/sys/syscall.h"

static handle_t port = HANDLE_NONE;
static pid_t child;

#define UD2_LENGTH 2u

/* Behind the instruction. */
static void handle(void)
{
    struct short_return completed = {0};
    struct abi_message message;

    for (;;) {
        struct short_message got =
            sys_proto_return_accept_short(port, completed, &message, NULL, 0, DEADLINE_NEVER);

        if (unlikely(got.result == 0 && message.kind == MESSAGE_COMMAND)) {
            got.token = message.token;
            got.args[2] = message.args[2];
        }
        completed.token = got.token;
        completed.values[0] = got.args[2] + UD2_LENGTH;
    }
}

static void prepare(void)
{
    int64_t created = sys_proto_create(HANDLE_SELF, NULL, 0);

    if (created < 0)
        bench_refuse_because("proto_create");
    port = (handle_t)created;
    if (sys_process_control(HANDLE_SELF, PROCESS_EXCEPTIONS, (uint64_t)port))
        bench_refuse_because("process_control");
    child = bench_child(handle);
}

static void raise_one(void)
{
    __asm__ volatile("ud2" : : : "memory");
}

static void finish(void)
{
    sys_ignore(sys_process_control(HANDLE_SELF, PROCESS_EXCEPTIONS, (uint64_t)HANDLE_NONE));
    bench_child_end(&child);
    handle_drop(port);
    port = HANDLE_NONE;
}

static const struct figure figures[] = {
    {.name = "exception-round-trip", .prepare = prepare, .call = raise_one, .finish = finish},
};

int main(int argc, char **argv)
{
    return bench_main(figures, ARRAY_SIZE(figures), argc, argv);
}
