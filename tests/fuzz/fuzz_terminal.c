// sources: sbin/outputd/terminal.c sbin/outputd/control.c sbin/outputd/held.c sbin/outputd/line.c
/* A terminal: commands of several programs (opens, reads, writes, every control with any value and any bytes), keys, output,
 * cancellations, closings and procd's verdicts in any order; and the end of outputd, after which the terminal goes on with
 * what was kept. What must hold: each held command is answered once, with no more bytes than it asked for. */
#include <stdlib.h>
#include <string.h>

#include "lib/sys/service.h"
#include "sbin/outputd/session.h"
#include "sbin/outputd/terminal.h"

#define OPERATIONS 96u
#define TOKENS     64u
#define FILES      4u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

struct input {
    const uint8_t *at, *end;
};

static struct input input;
static struct terminal terminal;
static struct terminal_file *open_files[FILES];
static uint64_t waiting[TOKENS]; /* by token: 1 + the window's length; 0: it does not wait */
static uint64_t clock_now;

static uint64_t next(size_t bytes)
{
    uint64_t value = 0;
    while (bytes-- && input.at < input.end)
        value = value << 8 | *input.at++;
    return value;
}

static void check(bool condition)
{
    if (!condition)
        abort();
}

/* --- What is around it ------------------------------------------------------------------------------------------ */

/* The calls terminal.c makes: file_ready, clock_get, cmd_read. */
int64_t syscall_raw(uint32_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
                    uint64_t f)
{
    (void)a, (void)f;
    switch (number) {
    case 0x2c:
        check(b < TOKENS && waiting[b]);
        if (next(1) % 8 == 0)
            return -E_CANCELLED;
        memset((void *)d, (int)c, e);
        return (int64_t)e;
    case 0x33:
        check(!((c | d) & ~(uint64_t)(SIGNAL_READABLE | SIGNAL_WRITABLE)));
        return 0;
    case 0x4b:
        return (int64_t)(clock_now += 1000000);
    default:
        abort();
    }
}

void command_return(handle_t port, uint64_t token, int64_t status, struct abi_return *reply)
{
    (void)port;
    check(token < TOKENS && waiting[token] && status <= 0);
    check(reply->data_length < waiting[token] && reply->values[0] < waiting[token]);
    waiting[token] = 0;
}

int64_t command_read_exactly(const struct command *command, void *buffer, size_t length)
{
    if (command->in_length != length)
        return -E_INVALID;
    memset(buffer, 0, length);
    memcpy(buffer, command->data, MIN(command->data_length, length));
    return 0;
}

int64_t command_answer(struct command *command, const void *structure, size_t length)
{
    command->reply.data = (uintptr_t)structure;
    command->reply.data_length = length;
    return command->message.out_length < length ? -E_INVALID : 0;
}

enum proc_terminal session_check(uint64_t badge, int32_t session, int32_t foreground, int signal,
                                 struct caller *caller)
{
    uint64_t answer = next(1);
    (void)session, (void)foreground, (void)signal;
    *caller = (struct caller){
        .pid = (int32_t)badge,
        .pgid = (int32_t)(answer >> 6),
        .sid = answer & 8 ? (int32_t)badge : 1,
        .uid = answer >> 4 & 1,
        .known = answer & 32,
    };
    return answer % 8 == 0   ? TERMINAL_SIGNALLED
           : answer % 8 == 1 ? TERMINAL_ORPHANED
                             : TERMINAL_ALLOWED;
}

void session_signal(int32_t pgid, int signal)
{
    (void)pgid;
    check(signal > 0 && signal < 32);
}

bool session_exists(int32_t pid)
{
    (void)pid;
    return next(1) & 1;
}

/* The device takes some of the output, when it likes. */
static void output_ready(struct terminal *from)
{
    uint8_t bytes[256];
    check(from == &terminal);
    check(line_output_take(from->line, bytes, next(1)) <= 255);
}

/* --- Commands ------------------------------------------------------------------------------------------------------- */

typedef int64_t handler(struct terminal *terminal, struct command *command);

/* The program's bytes end where their block does. */
static void command_make(handler *handle, uint64_t out_length, uint64_t argument)
{
    uint64_t token = next(1) % TOKENS, length = next(1);
    uint8_t *bytes = malloc(length);
    struct command command = {
        .message = {.token = token,
                    .args = {argument, next(1), next(1)},
                    .flags = next(1) & 1 ? COMMAND_NONBLOCK : 0,
                    .caller = next(1) % 4,
                    .file = 1,
                    .out_length = out_length},
        .data = bytes,
        .data_length = length,
        .in_length = length + (next(1) & 1 ? 1000 * next(1) : 0),
    };
    uint64_t window = handle == terminal_write ? command.in_length : out_length;
    for (uint64_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)next(1);
    if (!waiting[token]) {
        waiting[token] = 1 + window; /* a handler may answer before it says that it holds */
        int64_t result = handle(&terminal, &command);
        check(result <= 0 || result == COMMAND_HELD);
        if (result == 0 && handle != terminal_control)
            check(command.reply.data_length <= out_length && command.reply.values[0] <= window);
        if (result != COMMAND_HELD)
            waiting[token] = 0;
    }
    free(bytes);
}

static void open_or_close(void)
{
    size_t at = next(1) % FILES;
    struct command command = {.message = {.file = at}};
    if (open_files[at]) {
        terminal_close(open_files[at]);
        open_files[at] = NULL;
    } else if (terminal_open(&terminal, &command) == 0) {
        open_files[at] = (struct terminal_file *)(uintptr_t)command.reply.values[0];
    }
}

static void control(void)
{
    static const uint32_t codes[] = {
        TTY_GET_ATTRIBUTES,
        TTY_SET_ATTRIBUTES,
        TTY_SET_ATTRIBUTES_DRAIN,
        TTY_SET_ATTRIBUTES_FLUSH,
        TTY_SEND_BREAK,
        TTY_FLOW,
        TTY_FLUSH,
        TTY_CONTROLLING,
        TTY_GET_GROUP,
        TTY_SET_GROUP,
        TTY_GET_SIZE,
        TTY_SET_SIZE,
        TTY_PENDING,
        TTY_GET_SESSION,
        0,
    };
    command_make(terminal_control, next(1), codes[next(1) % ARRAY_SIZE(codes)]);
}

static void type(void)
{
    uint8_t bytes[64];
    size_t count = next(1) % sizeof(bytes);
    for (size_t i = 0; i < count; i++)
        bytes[i] = (uint8_t)next(1);
    terminal_input(&terminal, bytes, count);
}

static void cancel(void)
{
    uint64_t token = next(1) % TOKENS;
    bool held = waiting[token];
    check(terminal_cancel(&terminal, token) == held && !waiting[token]);
}

static void drain(void)
{
    uint8_t bytes[4096];
    line_output_take(terminal.line, bytes, sizeof(bytes));
    terminal_drained(&terminal);
}

static void terminal_end(void)
{
    for (uint64_t token = 0; token < TOKENS; token++)
        if (waiting[token])
            check(terminal_cancel(&terminal, token));
    for (size_t i = 0; i < FILES; i++)
        if (open_files[i])
            terminal_close(open_files[i]);
    memset(open_files, 0, sizeof(open_files));
}

static void operate(struct terminal_kept *kept)
{
    switch (next(1) % 10) {
    case 0:
        open_or_close();
        break;
    case 1:
        command_make(terminal_read, next(1) * 17, 0);
        break;
    case 2:
        command_make(terminal_write, 0, 0);
        break;
    case 3:
        cancel();
        break;
    case 4:
        drain();
        break;
    case 5:
        clock_now += 100000000;
        if (terminal_deadline(&terminal) != DEADLINE_NEVER)
            terminal_expire(&terminal);
        break;
    case 6:
        terminal_end(); /* the kernel sends what waited to the next instance */
        terminal_init(&terminal, 1, kept, output_ready);
        break;
    case 7:
    case 8:
        control();
        break;
    default:
        type();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    struct terminal_kept *kept = calloc(1, sizeof(*kept));
    input = (struct input){data, data + length};
    clock_now = 0;
    terminal_init(&terminal, 1, kept, output_ready);
    for (unsigned i = 0; i < OPERATIONS && input.at < input.end; i++)
        operate(kept);
    terminal_end();
    free(kept);
    return 0;
}
