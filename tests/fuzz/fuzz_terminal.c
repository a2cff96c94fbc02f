// sources: sbin/outputd/terminal.c sbin/outputd/control.c lib/sys/held.c sbin/outputd/line.c sbin/outputd/pty_master.c
/* A terminal, on a device or a pseudo terminal with a master: commands of several programs (opens, reads, writes, every control with
 * any value and any bytes), keys, output, line errors, cancellations, closings, hang-ups and procd's verdicts in any order; and the
 * end of outputd, after which the terminal goes on with what was kept. What must hold: each held command is answered once, with
 * no more bytes than it asked for. */
#include <stdlib.h>
#include <string.h>

#include "lib/sys/service.h"
#include "sbin/outputd/pty.h"
#include "sbin/outputd/pty_master.h"
#include "sbin/outputd/session.h"
#include "tests/fuzz/input.h"

#define OPERATIONS 96u
#define TOKENS     64u
#define FILES      4u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

static struct input input;
static struct pty pty;
static struct terminal *const terminal = &pty.terminal;
static bool is_pty;
static struct terminal_file *open_files[FILES];
static uint64_t waiting[TOKENS]; /* by token: 1 + the window's length; 0: it does not wait */
static uint64_t clock_now;

static void check(bool condition)
{
    if (!condition)
        abort();
}

/* --- What is around it ------------------------------------------------------------------------------------------ */

/* The calls terminal.c makes: handle_close, handle_info, port_bind, file_ready, clock_get, cmd_read. */
int64_t syscall_raw(uint32_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
                    uint64_t f)
{
    (void)a, (void)f;
    switch (number) {
    case 0x01:
    case 0x2e:
        return 0;
    case 0x03:
        ((struct abi_handle_info *)b)->signals = next64(&input, 1) & 1 ? SIGNAL_EXITED : 0;
        return 0;
    case 0x2c:
        check(b < TOKENS && waiting[b]);
        if (next64(&input, 1) % 8 == 0)
            return -E_CANCELLED;
        memset((void *)d, (int)c, e);
        return (int64_t)e;
    case 0x33:
        check(!((c | d) & ~UINT64_C(0x1f)));
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

enum proc_terminal session_check(uint64_t badge, int32_t session, int32_t foreground, int signal,
                                 struct caller *caller)
{
    uint64_t answer = next64(&input, 1);
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

int64_t session_leader(int32_t session, handle_t *leader)
{
    (void)session;
    *leader = next64(&input, 1) & 1 ? 7 : HANDLE_NONE;
    return *leader == HANDLE_NONE ? -E_NO_PROCESS : 0;
}

bool session_exists(int32_t pid)
{
    (void)pid;
    return next64(&input, 1) & 1;
}

/* The device takes some of the output, when it likes. */
static void attend(struct terminal *from)
{
    uint8_t bytes[256];
    check(from == terminal);
    check(line_output_take(from->line, bytes, next64(&input, 1)) <= 255);
}

static void set_break(struct terminal *from, bool on)
{
    (void)on;
    check(from == terminal);
}

static const struct terminal_device plain = {.attend = attend, .set_break = set_break};

/* --- Commands ------------------------------------------------------------------------------------------------------- */

typedef int64_t handler(struct terminal *terminal, struct command *command);

static int64_t master_read(struct terminal *of, struct command *command)
{
    check(of == terminal);
    return pty_read(&pty.master, command);
}

static int64_t master_write(struct terminal *of, struct command *command)
{
    check(of == terminal);
    return pty_write(&pty.master, command);
}

static int64_t master_control(struct terminal *of, struct command *command)
{
    check(of == terminal);
    return pty_control(&pty.master, command);
}

/* The program's bytes end where their block does. */
static void command_make(handler *handle, uint64_t out_length, uint64_t argument)
{
    uint64_t token = next64(&input, 1) % TOKENS, length = next64(&input, 1);
    uint8_t *bytes = malloc(length);
    struct command command = {
        .message = {.token = token,
                    .args = {argument, next64(&input, 1), next64(&input, 1)},
                    .flags = next64(&input, 1) & 1 ? COMMAND_NONBLOCK : 0,
                    .caller = next64(&input, 1) % 4,
                    .file = 1,
                    .out_length = out_length},
        .data = bytes,
        .data_length = length,
        .in_length = length + (next64(&input, 1) & 1 ? 1000 * next64(&input, 1) : 0),
    };
    bool writes = handle == terminal_write || handle == master_write;
    bool controls = handle == terminal_control || handle == master_control;
    uint64_t window = writes ? command.in_length : out_length;
    for (uint64_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)next64(&input, 1);
    if (!waiting[token]) {
        waiting[token] = 1 + window; /* a handler may answer before it says that it holds */
        int64_t result = handle(terminal, &command);
        check(result <= 0 || result == COMMAND_HELD);
        if (result == 0 && !controls)
            check(command.reply.data_length <= out_length && command.reply.values[0] <= window);
        if (result != COMMAND_HELD)
            waiting[token] = 0;
    }
    free(bytes);
}

static void open_or_close(void)
{
    size_t at = next64(&input, 1) % FILES;
    struct command command = {.message = {.file = at}};
    if (open_files[at]) {
        terminal_close(open_files[at]);
        open_files[at] = NULL;
    } else if (terminal_open(terminal, &command) == 0) {
        pty.kept->opened = 1;
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
        TTY_EXCLUSIVE,
        TTY_SHARED,
        TTY_DETACH,
        TTY_OUTPUT_PENDING,
        TTY_SEND_BREAK_LONG,
        TTY_BREAK_ON,
        TTY_PACKET,
        (uint32_t)TTY_NUMBER,
        TTY_LOCK,
        0,
    };
    command_make(is_pty && next64(&input, 1) & 1 ? master_control : terminal_control,
                 next64(&input, 1), codes[next64(&input, 1) % ARRAY_SIZE(codes)]);
}

static void type(void)
{
    uint8_t bytes[64];
    size_t count = next64(&input, 1) % sizeof(bytes);
    for (size_t i = 0; i < count; i++)
        bytes[i] = (uint8_t)next64(&input, 1);
    terminal_input(terminal, bytes, count);
    terminal_input_error(terminal, (uint8_t)next64(&input, 1),
                         (enum line_error)(next64(&input, 1) % 3));
}

static bool cancelled(uint64_t token)
{
    return terminal_cancel(terminal, token) || (is_pty && pty_master_cancel(&pty, token));
}

static void cancel(void)
{
    uint64_t token = next64(&input, 1) % TOKENS;
    bool held = waiting[token];
    check(cancelled(token) == held && !waiting[token]);
}

static void drain(void)
{
    uint8_t bytes[4096];
    line_output_take(terminal->line, bytes, sizeof(bytes));
    terminal_drained(terminal);
}

static void terminal_end(void)
{
    for (uint64_t token = 0; token < TOKENS; token++)
        if (waiting[token])
            check(cancelled(token));
    for (size_t i = 0; i < FILES; i++)
        if (open_files[i])
            terminal_close(open_files[i]);
    memset(open_files, 0, sizeof(open_files));
}

static void hang_up(void)
{
    if (next64(&input, 1) & 1)
        terminal_leader_ended(terminal, terminal->session);
    else
        terminal_hang_up(terminal);
    for (size_t i = 0; i < FILES; i++) {
        if (open_files[i] && !open_files[i]->terminal) {
            terminal_close(open_files[i]);
            open_files[i] = NULL;
        }
    }
}

static void begin(struct terminal_kept *kept, struct pty_kept *pty_kept)
{
    pty = (struct pty){.kept = pty_kept, .master = {.terminal = terminal, .master = true}};
    list_init(&pty.reads);
    list_init(&pty.writes);
    terminal_init(terminal, 1, kept, is_pty ? &pty_device : &plain);
}

static void operate(struct terminal_kept *kept, struct pty_kept *pty_kept)
{
    switch (next64(&input, 1) % 13) {
    case 0:
        open_or_close();
        break;
    case 1:
        command_make(terminal_read, next64(&input, 1) * 17, 0);
        break;
    case 2:
        command_make(terminal_write, 0, 0);
        break;
    case 10:
        if (is_pty)
            command_make(master_read, next64(&input, 1) * 17, 0);
        break;
    case 11:
        if (is_pty)
            command_make(master_write, 0, 0);
        break;
    case 12:
        hang_up();
        break;
    case 3:
        cancel();
        break;
    case 4:
        drain();
        break;
    case 5:
        clock_now += 100000000;
        if (terminal_deadline(terminal) != DEADLINE_NEVER)
            terminal_expire(terminal);
        break;
    case 6:
        terminal_end(); /* the kernel sends what waited to the next instance */
        begin(kept, pty_kept);
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
    struct pty_kept *pty_kept = calloc(1, sizeof(*pty_kept));
    input = (struct input){data, data + length};
    clock_now = 0;
    is_pty = next64(&input, 1) & 1;
    begin(kept, pty_kept);
    for (unsigned i = 0; i < OPERATIONS && input.at < input.end; i++)
        operate(kept, pty_kept);
    terminal_end();
    free(kept);
    free(pty_kept);
    return 0;
}
