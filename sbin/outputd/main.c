/* outputd: tty://, terminals. tty:///serial is on the first serial port, tty:///1 to 4 are consoles on the screen where there is
 * one; tty:/// is the serial line.
 *
 * Alt-F1 to F4 show a console; keys come from input://, as events of a file that is bound to our port. The first console
 * begins with the log. One thread accepts commands, cancellations, the serial line's interrupt and keys, so nothing here needs
 * a lock; see session.h for what must not hold it up. docs/terminal.md has the rules of job control.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sys/error.h"
#include "lib/sys/file.h"
#include "lib/sys/keep.h"
#include "lib/sys/service.h"
#include "lib/sys/startup.h"
#include "sbin/outputd/console.h"
#include "sbin/outputd/serial.h"
#include "sbin/outputd/session.h"
#include "sbin/outputd/terminal.h"

#define SERIAL_BASE  0x3f8
#define KEY_SERIAL   1 /* of notifications */
#define KEY_INPUT    2
#define SERIAL_RDEV  (4 << 8 | 64) /* Linux's ttyS0 */
#define CONSOLE_RDEV (4 << 8)      /* tty0, tty1 ... */
#define CONSOLES     4u
#define KEY_F1_CODE  59

/* A keyboard service that hangs does not stop the terminals. */
#define INPUT_PATIENCE (INT64_C(250) * 1000 * 1000)

/* Of what is kept: the serial terminal, what main.c knows, consoles from here on (two keys each). */
#define KEPT_SERIAL  1
#define KEPT_STATE   2
#define KEPT_CONSOLE 16

struct state {
    uint64_t input_at; /* offset of the next event of input:// */
    uint32_t shown;    /* console */
    uint32_t logged;   /* the log was printed on the first console */
};

static struct terminal serial_terminal;
static struct serial serial;
static handle_t irq = HANDLE_NONE, port, input = HANDLE_NONE;
static struct screen screen;
static struct console consoles[CONSOLES];
static uint32_t console_count;
static struct state *state;

/* --- The serial line --------------------------------------------------------------------------------------------- */

/* Sends while both sides are willing; the transmitter interrupts when it is empty again. */
static void serial_output(struct terminal *from)
{
    uint8_t bytes[16];
    size_t room, count = 0;
    while ((room = serial_room(&serial)) > 0) {
        count = line_output_take(from->line, bytes, MIN(room, sizeof(bytes)));
        if (count == 0)
            break;
        serial_send(&serial, bytes, count);
    }
    /* Without hardware all output is lost, but nobody waits for it. */
    if (!serial.present)
        line_flush_output(from->line);
    serial_want_room(&serial, line_output_pending(from->line) > 0 && !from->line->stopped);
}

static void serial_work(void)
{
    uint8_t bytes[64];
    size_t count;
    while ((count = serial_receive(&serial, bytes, sizeof(bytes))) > 0)
        terminal_input(&serial_terminal, bytes, count);
    serial_output(&serial_terminal);
    terminal_drained(&serial_terminal);
    serial_output(&serial_terminal);
}

/* --- Keys -------------------------------------------------------------------------------------------------------- */

static void console_switch(uint32_t number)
{
    if (number >= console_count || number == state->shown)
        return;
    console_show(&consoles[state->shown], false);
    state->shown = number;
    console_show(&consoles[number], true);
}

static void key_pressed(const struct input_event *event)
{
    uint32_t number = (uint32_t)event->code - KEY_F1_CODE;
    if (event->modifiers & INPUT_ALT && number < CONSOLES)
        console_switch(number);
    else
        console_key(&consoles[state->shown], event);
}

static void input_lost(int64_t error)
{
    fprintf(stderr, "input://: %s\n", error_text(error));
    handle_drop(input);
    input = HANDLE_NONE;
}

static void input_work(void)
{
    struct input_event events[32];
    while (input != HANDLE_NONE) {
        struct abi_command command = {
            .op = OP_READ,
            .flags = COMMAND_NONBLOCK,
            .args = {state->input_at},
            .deadline = sys_clock_get(CLOCK_MONOTONIC_) + INPUT_PATIENCE,
            .out = (uintptr_t)events,
            .out_length = sizeof(events),
        };
        int64_t result = file_command(input, &command);
        if (result == -E_AGAIN || result == -E_TIMED_OUT)
            return;
        if (result < 0) {
            input_lost(result);
            return;
        }
        for (size_t i = 0; i < MIN(command.values[0], sizeof(events)) / sizeof(events[0]); i++)
            if (events[i].type == INPUT_KEY && events[i].value)
                key_pressed(&events[i]);
        state->input_at = command.values[1];
    }
}

static void input_start(void)
{
    struct abi_command end = {.op = INPUT_END}, focus = {.op = INPUT_FOCUS};
    int64_t result = file_open(HANDLE_SELF, "input:///events", OPEN_READ, &input);
    if (result >= 0)
        result = file_command(input, &end);
    if (result >= 0 && (!state->input_at || state->input_at > end.values[0]))
        state->input_at = end.values[0];
    if (result >= 0)
        result = file_command(input, &focus);
    if (result >= 0)
        result = sys_port_bind(port, input, SIGNAL_READABLE, KEY_INPUT, 0);
    if (result < 0)
        input_lost(result);
    else
        input_work();
}

static void tty_notified(void *context, uint64_t key, uint64_t signals)
{
    (void)context;
    (void)signals;
    if (key == KEY_INPUT)
        input_work();
    if (key != KEY_SERIAL)
        return;
    serial_work();
    sys_ignore(sys_irq_ack(irq, 0));
    serial_work(); /* what came before the acknowledgement may not interrupt again */
}

/* --- Commands ---------------------------------------------------------------------------------------------------- */

static struct terminal *terminal_of(const struct command *command)
{
    const struct terminal_file *file =
        (const struct terminal_file *)(uintptr_t)command->message.cookie;
    return command->message.file && file ? file->terminal : NULL;
}

/* The terminal a path names, and Linux's number of it; NULL: none. */
static struct terminal *terminal_named(const struct command *command, uint64_t *rdev)
{
    *rdev = SERIAL_RDEV;
    if (command_names(command, "") || command_names(command, "serial"))
        return &serial_terminal;
    for (uint32_t i = 0; i < console_count; i++) {
        *rdev = CONSOLE_RDEV | (i + 1);
        if (command_names(command, (const char[]){(char)('1' + i), '\0'}))
            return &consoles[i].terminal;
    }
    return NULL;
}

/* tty:///tty: the terminal of the caller's session. When procd does not say, the serial line. */
static struct terminal *terminal_controlling(const struct command *command)
{
    struct caller caller;
    if (session_check(command->message.caller, 0, 0, 0, &caller) != TERMINAL_ALLOWED ||
        !caller.known)
        return &serial_terminal;
    if (serial_terminal.session == caller.sid)
        return &serial_terminal;
    for (uint32_t i = 0; i < console_count; i++)
        if (consoles[i].terminal.session == caller.sid)
            return &consoles[i].terminal;
    return NULL;
}

static int64_t tty_open(void *context, struct command *command)
{
    uint64_t rdev;
    struct terminal *terminal = command_names(command, "tty") ? terminal_controlling(command)
                                                              : terminal_named(command, &rdev);
    (void)context;
    if (!terminal)
        return -E_NOT_FOUND;
    if (command->message.args[0] & OPEN_DIRECTORY)
        return -E_NOT_DIRECTORY;
    return terminal_open(terminal, command);
}

static int64_t tty_read(void *context, struct command *command)
{
    (void)context;
    struct terminal *of = terminal_of(command);
    return of ? terminal_read(of, command) : -E_INVALID;
}

static int64_t tty_write(void *context, struct command *command)
{
    (void)context;
    struct terminal *of = terminal_of(command);
    return of ? terminal_write(of, command) : -E_INVALID;
}

static int64_t tty_control(void *context, struct command *command)
{
    (void)context;
    struct terminal *of = terminal_of(command);
    return of ? terminal_control(of, command) : -E_INVALID;
}

static int64_t tty_stat(void *context, struct command *command)
{
    static struct abi_stat stat;
    uint64_t rdev = SERIAL_RDEV;
    const struct terminal *terminal = terminal_of(command);
    (void)context;
    if (!terminal && !terminal_named(command, &rdev))
        return -E_NOT_FOUND;
    for (uint32_t i = 0; i < console_count; i++)
        if (terminal == &consoles[i].terminal)
            rdev = CONSOLE_RDEV | (i + 1);
    stat = (struct abi_stat){
        .inode = rdev,
        .device = 1,
        .type = FILE_CHARACTER,
        .mode = 0620,
        .links = 1,
        .block_size = 1024,
        .rdev = rdev,
    };
    return command_answer(command, &stat, sizeof(stat));
}

static int64_t tty_truncate(void *context, struct command *command)
{
    (void)context; /* open(O_TRUNC) of a terminal succeeds everywhere */
    (void)command;
    return 0;
}

static void tty_cancelled(void *context, uint64_t token)
{
    (void)context;
    bool found = terminal_cancel(&serial_terminal, token);
    for (uint32_t i = 0; i < console_count && !found; i++)
        found = terminal_cancel(&consoles[i].terminal, token);
}

static void tty_closed(void *context, uint64_t cookie)
{
    (void)context;
    if (cookie)
        terminal_close((struct terminal_file *)(uintptr_t)cookie);
}

static int64_t tty_deadline(void *context)
{
    (void)context;
    int64_t deadline = terminal_deadline(&serial_terminal);
    for (uint32_t i = 0; i < console_count; i++)
        deadline = MIN(deadline, terminal_deadline(&consoles[i].terminal));
    return deadline;
}

static void tty_expired(void *context)
{
    (void)context;
    terminal_expire(&serial_terminal);
    for (uint32_t i = 0; i < console_count; i++)
        terminal_expire(&consoles[i].terminal);
}

static command_handler *const operations[SERVICE_OPERATIONS] = {
    [OP_OPEN] = tty_open, [OP_READ] = tty_read,       [OP_WRITE] = tty_write,
    [OP_STAT] = tty_stat, [OP_CONTROL] = tty_control, [OP_TRUNCATE] = tty_truncate,
};

/* --- The start --------------------------------------------------------------------------------------------------- */

/* Memory that outlives us; without it, memory. */
static void *kept(uint64_t key, size_t size)
{
    void *memory = keep_memory(port, key, size);
    if (!memory)
        memory = calloc(1, size);
    if (!memory) {
        fprintf(stderr, "no memory\n");
        exit(1);
    }
    return memory;
}

static void serial_prepare(void)
{
    handle_t ports = startup_handle("ioport:0x3f8");
    terminal_init(&serial_terminal, port, kept(KEPT_SERIAL, sizeof(struct terminal_kept)),
                  serial_output);
    irq = startup_handle("irq:4");
    if (ports == HANDLE_NONE || irq == HANDLE_NONE) {
        fprintf(stderr, "was not given the serial port\n");
        return;
    }
    int64_t result = sys_ioport_grant(ports);
    if (result >= 0)
        result = sys_port_bind(port, irq, SIGNAL_READABLE, KEY_SERIAL, 0);
    if (result < 0) {
        fprintf(stderr, "cannot use the serial port: %s\n", error_text(result));
        return;
    }
    serial_start(&serial, SERIAL_BASE);
    if (!serial.present)
        fprintf(stderr, "no serial port at 0x%x\n", SERIAL_BASE);
    sys_ignore(sys_irq_ack(irq, 0));
}

/* What was said before there was a console to read it on. */
static void log_print(struct console *console)
{
    char bytes[4096];
    handle_t log;
    uint64_t at = 0;
    int64_t count;
    if (file_open(HANDLE_SELF, "log:///", OPEN_READ | OPEN_NONBLOCK, &log) < 0)
        return;
    while ((count = file_read(log, at, bytes, sizeof(bytes))) > 0) {
        console_print(console, bytes, (size_t)count);
        at += (uint64_t)count;
    }
    handle_drop(log);
}

static void consoles_prepare(void)
{
    if (!screen_start(&screen))
        return;
    for (uint32_t i = 0; i < CONSOLES; i++) {
        uint64_t key = KEPT_CONSOLE + 2 * i;
        if (!console_init(&consoles[i], &screen, port, kept(key, sizeof(struct terminal_kept)),
                          kept(key + 1, sizeof(struct console_kept)))) {
            fprintf(stderr, "no memory for console %u\n", i + 1);
            break;
        }
        console_count++;
    }
    if (!console_count)
        return;
    if (!state->logged)
        log_print(&consoles[0]);
    state->logged = 1;
    if (state->shown >= console_count)
        state->shown = 0;
    console_show(&consoles[state->shown], true);
    input_start();
}

int main(void)
{
    port = startup_require("port:tty");
    struct service service = {
        .port = port,
        .operations = operations,
        .notified = tty_notified,
        .cancelled = tty_cancelled,
        .closed = tty_closed,
        .deadline = tty_deadline,
        .expired = tty_expired,
    };
    state = kept(KEPT_STATE, sizeof(*state));
    session_start();
    serial_prepare();
    consoles_prepare();
    fprintf(stderr, "cannot serve: %s\n", error_text(service_run(&service, 1)));
    return 1;
}
