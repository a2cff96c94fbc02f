/* outputd: tty://, terminals. For now one, tty:///serial, on the first serial port; tty:/// is the same.
 *
 * One thread accepts commands, cancellations and the interrupt, so nothing here needs a lock; see session.h for
 * what must not hold it up. docs/terminal.md has the rules of job control.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sys/error.h"
#include "lib/sys/keep.h"
#include "lib/sys/service.h"
#include "lib/sys/startup.h"
#include "sbin/outputd/serial.h"
#include "sbin/outputd/session.h"
#include "sbin/outputd/terminal.h"

#define SERIAL_BASE  0x3f8
#define KEY_SERIAL   1
#define KEY_TERMINAL 1             /* of what is kept */
#define SERIAL_RDEV  (4 << 8 | 64) /* Linux's ttyS0 */

static struct terminal terminal;
static struct serial serial;
static handle_t irq = HANDLE_NONE;

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
        terminal_input(&terminal, bytes, count);
    serial_output(&terminal);
    terminal_drained(&terminal);
    serial_output(&terminal);
}

static void tty_notified(void *context, uint64_t key, uint64_t signals)
{
    (void)context;
    (void)signals;
    if (key != KEY_SERIAL)
        return;
    serial_work();
    sys_ignore(sys_irq_ack(irq, 0));
    serial_work(); /* what came before the acknowledgement may not interrupt again */
}

static struct terminal *terminal_of(const struct command *command)
{
    const struct terminal_file *file =
        (const struct terminal_file *)(uintptr_t)command->message.cookie;
    return command->message.file && file ? file->terminal : NULL;
}

static bool path_names_terminal(const struct command *command)
{
    const char *name;
    size_t length = command_name(command, &name);
    return length == 0 || (length == strlen("serial") && memcmp(name, "serial", length) == 0);
}

static int64_t tty_open(void *context, struct command *command)
{
    (void)context;
    if (!path_names_terminal(command))
        return -E_NOT_FOUND;
    if (command->message.args[0] & OPEN_DIRECTORY)
        return -E_NOT_DIRECTORY;
    return terminal_open(&terminal, command);
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
    (void)context;
    static struct abi_stat stat;
    if (command->message.file == 0 && !path_names_terminal(command))
        return -E_NOT_FOUND;
    stat = (struct abi_stat){
        .inode = 1,
        .device = 1,
        .type = FILE_CHARACTER,
        .mode = 0620,
        .links = 1,
        .block_size = 1024,
        .rdev = SERIAL_RDEV,
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
    terminal_cancel(&terminal, token);
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
    return terminal_deadline(&terminal);
}

static void tty_expired(void *context)
{
    (void)context;
    terminal_expire(&terminal);
}

static command_handler *const operations[SERVICE_OPERATIONS] = {
    [OP_OPEN] = tty_open, [OP_READ] = tty_read,       [OP_WRITE] = tty_write,
    [OP_STAT] = tty_stat, [OP_CONTROL] = tty_control, [OP_TRUNCATE] = tty_truncate,
};

static void serial_prepare(handle_t port)
{
    handle_t ports = startup_handle("ioport:0x3f8");
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

int main(void)
{
    handle_t port = startup_require("port:tty");
    struct service service = {
        .port = port,
        .operations = operations,
        .notified = tty_notified,
        .cancelled = tty_cancelled,
        .closed = tty_closed,
        .deadline = tty_deadline,
        .expired = tty_expired,
    };
    terminal_init(&terminal, port, keep_memory(port, KEY_TERMINAL, sizeof(struct terminal_kept)),
                  serial_output);
    session_start();
    serial_prepare(port);
    fprintf(stderr, "cannot serve: %s\n", error_text(service_run(&service, 1)));
    return 1;
}
