/* What the relay costs between two processes on one CPU: a forked child serves a port of ours. */
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "abi/ops.h"
#include "bench/bench.h"

#define NAME "bench"

static handle_t port, file;
static char buffer[4096];
static int there[2], back[2];

/* Answers every command with 0, and reads with as many bytes as were asked for. */
static void serve(void)
{
    static char data[4096];
    struct abi_return result = {0};
    struct abi_message message;
    int64_t status = sys_proto_accept(port, &message, data, sizeof(data), DEADLINE_NEVER);

    for (;;) {
        if (status || message.kind != MESSAGE_COMMAND) {
            status = sys_proto_accept(port, &message, data, sizeof(data), DEADLINE_NEVER);
            continue;
        }
        result.token = message.token;
        result.data = (uint64_t)data;
        result.data_length = message.op == OP_READ ? message.out_length : 0;
        status =
            sys_proto_return_accept(port, &result, &message, data, sizeof(data), DEADLINE_NEVER);
    }
}

static void call(uint32_t op, uint64_t in, uint64_t out)
{
    struct abi_command command = {
        .op = op,
        .in = (uint64_t)buffer,
        .in_length = in,
        .out = (uint64_t)buffer,
        .out_length = out,
    };

    if (sys_file_call(file, &command))
        _exit(1);
}

static void round_trip(void)
{
    call(OP_SYNC, 0, 0);
}

static void write_960(void)
{
    call(OP_WRITE, 960, 0);
}

static void read_4096(void)
{
    call(OP_READ, 0, 4096);
}

static void open_close(void)
{
    struct abi_open open = {.uri = (uint64_t)NAME "://x", .uri_length = strlen(NAME "://x")};
    int64_t handle = sys_open(HANDLE_SELF, &open);

    if (handle < 0 || sys_handle_close((handle_t)handle))
        _exit(1);
}

static void pipe_round_trip(void)
{
    char byte = 0;

    if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1)
        _exit(1);
}

static const struct figure figures[] = {
    {"command-round-trip", round_trip, 2000},
    {"command-960-bytes", write_960, 2000},
    {"command-read-4096", read_4096, 2000},
    {"open-close", open_close, 1000},
};

static const struct figure pipes[] = {{"pipe-round-trip", pipe_round_trip, 1000}};

static void echo(void)
{
    char byte;

    while (read(there[0], &byte, 1) == 1 && write(back[1], &byte, 1) == 1)
        ;
}

static pid_t start(void (*body)(void))
{
    pid_t child = fork();

    if (child == 0) {
        body();
        _exit(0);
    }
    return child;
}

static void stop(pid_t child)
{
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

int main(void)
{
    struct abi_open open = {.uri = (uint64_t)NAME "://x",
                            .uri_length = strlen(NAME "://x"),
                            .flags = OPEN_READ | OPEN_WRITE};
    int64_t handle = sys_proto_create(HANDLE_SELF, NAME, strlen(NAME));

    if (handle < 0 || pipe(there) || pipe(back))
        return 1;
    port = (handle_t)handle;

    pid_t server = start(serve);

    handle = sys_open(HANDLE_SELF, &open);
    if (handle < 0)
        return 1;
    file = (handle_t)handle;
    bench_run(figures, ARRAY_SIZE(figures));
    stop(server);
    server = start(echo);
    bench_run(pipes, ARRAY_SIZE(pipes));
    stop(server);
    return 0;
}
