#include "sbin/outputd/serial_line.h"

#include <stdio.h>

#include "lib/sys/error.h"
#include "lib/sys/startup.h"
#include "sbin/outputd/control.h"
#include "sbin/outputd/serial.h"

#define BASE 0x3f8
#define RDEV (4 << 8 | 64) /* Linux's ttyS0 */

struct terminal serial_terminal;
static struct serial serial;
static handle_t irq = HANDLE_NONE;

/* Sends while both sides are willing; the transmitter interrupts when it is empty again. */
static void attend(struct terminal *from)
{
    struct tty_attributes *attributes = &from->line->attributes;
    uint8_t bytes[16];
    size_t room, count = 0;
    attributes->control = serial_configure(&serial, attributes->control);
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

static void receive(void)
{
    uint8_t bytes[64], byte;
    size_t count = 0;
    enum line_error error;
    while (serial_receive(&serial, &byte, &error)) {
        if (error == LINE_GOOD)
            bytes[count++] = byte;
        if (error == LINE_GOOD && count < sizeof(bytes))
            continue;
        terminal_input(&serial_terminal, bytes, count);
        count = 0;
        if (error != LINE_GOOD)
            terminal_input_error(&serial_terminal, byte, error);
    }
    if (count)
        terminal_input(&serial_terminal, bytes, count);
}

static void work(void)
{
    receive();
    if (serial_hung_up(&serial))
        terminal_hang_up(&serial_terminal);
    attend(&serial_terminal);
    terminal_drained(&serial_terminal);
    attend(&serial_terminal);
}

void serial_line_interrupt(void)
{
    work();
    sys_ignore(sys_irq_ack(irq, 0));
    work(); /* what came before the acknowledgement may not interrupt again */
}

static void set_break(struct terminal *terminal, bool on)
{
    (void)terminal;
    serial_break(&serial, on);
}

static int64_t control(struct terminal *terminal, struct command *command)
{
    uint32_t now = serial.present ? serial_modem(&serial) : 0, wanted;
    (void)terminal;
    int64_t result = serial.present ? control_modem(command, now, &wanted) : -E_NOT_TERMINAL;
    if (result >= 0 && wanted != now)
        serial_set_modem(&serial, wanted);
    return result;
}

static const struct terminal_device device = {
    .attend = attend,
    .control = control,
    .set_break = set_break,
};

void serial_line_start(handle_t port, struct terminal_kept *kept)
{
    handle_t ports = startup_handle("ioport:0x3f8");
    terminal_init(&serial_terminal, port, kept, &device);
    serial_terminal.rdev = RDEV;
    irq = startup_handle("irq:4");
    if (ports == HANDLE_NONE || irq == HANDLE_NONE) {
        fprintf(stderr, "was not given the serial port\n");
        return;
    }
    int64_t result = sys_ioport_grant(ports);
    if (result >= 0)
        result = sys_port_bind(port, irq, SIGNAL_READABLE, SERIAL_LINE_KEY, 0);
    if (result < 0) {
        fprintf(stderr, "cannot use the serial port: %s\n", error_text(result));
        return;
    }
    serial_start(&serial, BASE, serial_terminal.line->attributes.control);
    if (!serial.present)
        fprintf(stderr, "no serial port at 0x%x\n", BASE);
    sys_ignore(sys_irq_ack(irq, 0));
}
