/* What the relay costs between two processes: a forked child serves a port of ours. */
#include <string.h>

#include "abi/ops.h"
#include "bench/common/bench.h"
#include "lib/sys/syscall.h"

#define NAME     "bench"
#define URI      NAME "://x"
#define DATA_MAX (64u << 10)

static handle_t port = HANDLE_NONE, file = HANDLE_NONE;
static pid_t child;
static char buffer[DATA_MAX];

/* --- Commands ------------------------------------------------------------------------------------- */

/* Answers every command with 0, and reads with as many bytes as were asked for. */
static void serve(void)
{
    static char data[DATA_MAX];
    struct abi_message message;
    struct short_return completed = {.data = data};

    for (;;) {
        struct short_message got = sys_proto_return_accept_short(port, completed, &message, data,
                                                                 sizeof(data), DEADLINE_NEVER);

        if (likely(got.result > 0)) {
            completed.token = got.token;
            completed.data_length = (uint32_t)got.op_flags == OP_READ ? got.lengths >> 32 : 0;
        } else {
            completed.token =
                got.result == 0 && message.kind == MESSAGE_COMMAND ? message.token : 0;
            completed.data_length = 0;
        }
    }
}

/* The same with structures, as lib/sys/service.c does it. */
static void serve_structures(void)
{
    static char data[DATA_MAX];
    struct abi_return result = {0};
    struct abi_message message = {0};

    for (;;) {
        int64_t status =
            sys_proto_return_accept(port, &result, &message, data, sizeof(data), DEADLINE_NEVER);

        result.token = status == 0 && message.kind == MESSAGE_COMMAND ? message.token : 0;
    }
}

static void serve_prepare(void (*service)(void))
{
    struct abi_open open = {
        .uri = (uintptr_t)URI, .uri_length = strlen(URI), .flags = OPEN_READ | OPEN_WRITE};
    int64_t handle = sys_proto_create(HANDLE_SELF, NAME, strlen(NAME));

    if (handle < 0)
        bench_refuse_because("proto_create");
    port = (handle_t)handle;
    child = bench_child(service);
    handle = sys_open(HANDLE_SELF, &open);
    if (handle < 0)
        bench_refuse_because("open");
    file = (handle_t)handle;
}

static void prepare(void)
{
    serve_prepare(serve);
}

static void prepare_structures(void)
{
    serve_prepare(serve_structures);
}

static void finish(void)
{
    bench_child_end(&child);
    handle_drop(file);
    if (port != HANDLE_NONE)
        sys_ignore(sys_namespace_bind(HANDLE_SELF, NAME, strlen(NAME), HANDLE_NONE));
    handle_drop(port);
    file = port = HANDLE_NONE;
}

static void call(uint32_t op, uint64_t in, uint64_t out)
{
    struct abi_command command = {
        .op = op,
        .in = (uintptr_t)buffer,
        .in_length = in,
        .out = (uintptr_t)buffer,
        .out_length = out,
    };

    if (sys_file_call(file, &command))
        bench_refuse_because("file_call");
}

static void round_trip_long(void)
{
    call(OP_SYNC, 0, 0);
}

static void call_short(uint32_t op, uint32_t flags, uint64_t length)
{
    struct short_completion completion;

    if (sys_file_call_short(file, op, flags, 0, 0, (uintptr_t)buffer, length, &completion))
        bench_refuse_because("file_call_short");
}

static void round_trip(void)
{
    call_short(OP_SYNC, 0, 0);
}

static void write_960(void)
{
    call_short(OP_WRITE, COMMAND_IN, 960);
}

static void write_64k(void)
{
    call_short(OP_WRITE, COMMAND_IN, 64 << 10);
}

static void read_64(void)
{
    call_short(OP_READ, COMMAND_OUT, 64);
}

static void read_4k(void)
{
    call_short(OP_READ, COMMAND_OUT, 4 << 10);
}

static void read_64k(void)
{
    call_short(OP_READ, COMMAND_OUT, 64 << 10);
}

static void open_close(void)
{
    struct abi_open open = {.uri = (uintptr_t)URI, .uri_length = strlen(URI)};
    int64_t handle = sys_open(HANDLE_SELF, &open);

    if (handle < 0 || sys_handle_close((handle_t)handle))
        bench_refuse_because("open");
}

/* --- The same with client and service on CPUs of their own ------------------------------------------ */

static void stay_on(unsigned cpu)
{
    sys_ignore(sys_thread_control(HANDLE_SELF, THREAD_AFFINITY, UINT64_C(1) << cpu, NULL));
}

static void serve_elsewhere(void)
{
    stay_on(1);
    serve();
}

static void prepare_elsewhere(void)
{
    struct abi_system_info info;

    if (sys_system_info(&info, sizeof(info)) < 0 || info.cpus < 2)
        bench_refuse_because("one CPU");
    stay_on(0);
    serve_prepare(serve_elsewhere);
}

static void finish_elsewhere(void)
{
    finish();
    sys_ignore(sys_thread_control(HANDLE_SELF, THREAD_AFFINITY, 0, NULL));
}

/* --- Notifications: two ports, each process notifies the other's --------------------------------------- */

static handle_t other_port = HANDLE_NONE;

static int notification_await(handle_t from)
{
    struct abi_message message;
    struct short_message got = sys_proto_return_accept_short(from, (struct short_return){0},
                                                             &message, NULL, 0, DEADLINE_NEVER);

    return got.result == MESSAGE_NOTIFY || (got.result == 0 && message.kind == MESSAGE_NOTIFY);
}

static void notify_back(void)
{
    while (notification_await(other_port) && sys_port_notify(port, 1) == 0)
        ;
}

static void notify_prepare(void)
{
    int64_t mine = sys_proto_create(HANDLE_SELF, NULL, 0);
    int64_t other = sys_proto_create(HANDLE_SELF, NULL, 0);

    port = (handle_t)(mine < 0 ? HANDLE_NONE : mine);
    other_port = (handle_t)(other < 0 ? HANDLE_NONE : other);
    if (mine < 0 || other < 0)
        bench_refuse_because("proto_create");
    child = bench_child(notify_back);
}

static void notify_round_trip(void)
{
    if (sys_port_notify(other_port, 1) || !notification_await(port))
        bench_refuse_because("port_notify");
}

static void notify_finish(void)
{
    bench_child_end(&child);
    handle_drop(port);
    handle_drop(other_port);
    port = other_port = HANDLE_NONE;
}

#define COMMAND_FIGURE(figure_name, function)                                           \
    {                                                                                   \
        .name = (figure_name), .prepare = prepare, .call = (function), .finish = finish \
    }

static const struct figure figures[] = {
    COMMAND_FIGURE("command-round-trip", round_trip),
    {.name = "command-structures",
     .prepare = prepare_structures,
     .call = round_trip,
     .finish = finish},
    COMMAND_FIGURE("command-long", round_trip_long),
    COMMAND_FIGURE("command-960", write_960),
    COMMAND_FIGURE("command-read-64", read_64),
    COMMAND_FIGURE("command-read-4k", read_4k),
    COMMAND_FIGURE("command-read-64k", read_64k),
    COMMAND_FIGURE("command-write-64k", write_64k),
    COMMAND_FIGURE("native-open-close", open_close),
    {.name = "notify-round-trip",
     .prepare = notify_prepare,
     .call = notify_round_trip,
     .finish = notify_finish},
    {.name = "command-cross-cpu",
     .prepare = prepare_elsewhere,
     .call = round_trip,
     .finish = finish_elsewhere},
};

int main(int argc, char **argv)
{
    return bench_main(figures, ARRAY_SIZE(figures), argc, argv);
}
