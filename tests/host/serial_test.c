/* The terminal on the serial line, with a 16550 whose modem lines and breaks QEMU's consoles cannot show. */
// sources: sbin/outputd/serial_line.c sbin/outputd/serial.c sbin/outputd/terminal.c sbin/outputd/control.c
// sources: lib/sys/held.c sbin/outputd/line.c
#include "sbin/outputd/serial_line.h"

#include "abi/tty.h"
#include "tests/host/fake_session.h"
#include "tests/host/test.h"

#include "tests/host/fake_16550.h"

#define SIGHUP_  1
#define SIGCONT_ 18

static struct terminal_kept *kept;
static struct {
    int32_t group;
    int signal;
} signals[8];
static uint32_t signal_count;
static uint32_t modem_argument; /* what a command brings */

/* --- What is around it ------------------------------------------------------------------------------------------ */

int64_t syscall_raw(uint32_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
                    uint64_t f)
{
    (void)number, (void)a, (void)b, (void)c, (void)d, (void)e, (void)f;
    return 0;
}

handle_t startup_handle(const char *name)
{
    (void)name;
    return 1;
}

const char *error_text(int64_t error)
{
    (void)error;
    return "";
}

void command_return(handle_t port, uint64_t token, int64_t status, struct abi_return *reply)
{
    (void)port, (void)token, (void)status, (void)reply;
}

int64_t command_read_exactly(const struct command *command, void *buffer, size_t length)
{
    (void)command;
    CHECK_EQUAL(length, sizeof(modem_argument));
    memcpy(buffer, &modem_argument, length);
    return 0;
}

void session_signal(int32_t pgid, int signal)
{
    CHECK(signal_count < ARRAY_SIZE(signals));
    signals[signal_count].group = pgid;
    signals[signal_count++].signal = signal;
}

/* --- Both ends --------------------------------------------------------------------------------------------------- */

static struct tty_attributes *attributes(void)
{
    return &serial_terminal.line->attributes;
}

static void start(void)
{
    free(kept);
    kept = calloc(1, sizeof(*kept));
    CHECK(kept);
    uart = (struct uart){.modem_status = UART_CTS | UART_DSR | UART_CARRIER};
    signal_count = 0;
    serial_line_start(1, kept);
    serial_terminal.session = 7;
    serial_terminal.foreground = 8;
}

static void stop(void)
{
    free(kept);
    kept = NULL;
}

/* Whatever asks for an interrupt gets one, and does not ask for ever. */
static void interrupt(void)
{
    for (int i = 0; i < 4 && uart_interrupts(); i++) {
        serial_line_interrupt();
        uart.empty_told = uart.sent_count > 0;
    }
    CHECK(!uart_interrupts() || uart.interrupts & 2);
}

static void put(const char *text)
{
    CHECK_EQUAL(line_write(serial_terminal.line, (const uint8_t *)text, strlen(text)),
                strlen(text));
    serial_terminal.device->attend(&serial_terminal);
}

static void check_sent(const char *want)
{
    CHECK_EQUAL(uart.sent_count, strlen(want));
    CHECK(memcmp(uart.sent, want, uart.sent_count) == 0);
}

static void check_read(const char *want, size_t count)
{
    uint8_t got[64];
    bool end;
    CHECK_EQUAL(line_read(serial_terminal.line, got, sizeof(got), &end), count);
    CHECK(memcmp(got, want, count) == 0);
}

static void check_signal(uint32_t index, int32_t group, int signal)
{
    CHECK(index < signal_count);
    CHECK_EQUAL(signals[index].group, group);
    CHECK_EQUAL(signals[index].signal, signal);
}

static uint64_t modem(uint32_t code, uint32_t lines)
{
    struct command command = {.message.args = {code}};
    modem_argument = lines;
    CHECK_EQUAL(terminal_control(&serial_terminal, &command), 0);
    return command.reply.values[0];
}

static void reconfigure(void)
{
    serial_terminal.device->attend(&serial_terminal);
}

static void raw(void)
{
    attributes()->local = attributes()->input = 0;
    reconfigure();
}

/* --- Speed and format ---------------------------------------------------------------------------------------------- */

TEST(starts)
{
    start();
    CHECK_EQUAL(uart.divisor, 1);
    CHECK_EQUAL(uart.line_control, 3);
    CHECK_EQUAL(uart.modem_control, 0xb);
    CHECK_EQUAL(uart.fifo_control & 1, 1);
    put("hello");
    check_sent("hello");
    uart_receive('x', 0);
    uart_receive('\r', 0);
    interrupt();
    check_read("x\n", 2);
    stop();
}

TEST(without_hardware)
{
    start();
    uart.absent = true;
    serial_line_start(1, kept);
    put("lost");
    CHECK_EQUAL(line_output_pending(serial_terminal.line), 0);
    struct command command = {.message.args = {TTY_MODEM_GET}};
    CHECK_EQUAL(terminal_control(&serial_terminal, &command), -E_NOT_TERMINAL);
    stop();
}

TEST(speeds_and_formats)
{
    start();
    attributes()->control =
        13 | 0x20 | LINE_CSTOPB | LINE_PARENB | LINE_CREAD; /* B9600, CS7, even */
    reconfigure();
    CHECK_EQUAL(uart.divisor, 12);
    CHECK_EQUAL(uart.line_control, 0x1e);
    attributes()->control =
        0x1008 | LINE_CSIZE | LINE_PARENB | LINE_PARODD; /* no such speed here */
    reconfigure();
    CHECK_EQUAL(attributes()->control & LINE_SPEED, 13);
    CHECK_EQUAL(uart.divisor, 12);
    CHECK_EQUAL(uart.line_control, 0xb);
    stop();
}

/* --- Breaks and damaged bytes ---------------------------------------------------------------------------------------- */

TEST(breaks_that_interrupt)
{
    start();
    attributes()->input = LINE_BRKINT;
    uart_receive('a', 0);
    uart_receive(0, UART_BREAK | UART_FRAMING);
    interrupt();
    check_signal(0, 8, LINE_SIGINT);
    CHECK_EQUAL(line_pending(serial_terminal.line), 0);
    stop();
}

/* Whoever sends looks at the same register. */
TEST(breaks_while_sending)
{
    start();
    attributes()->input = LINE_BRKINT;
    uart_receive(0, UART_BREAK | UART_FRAMING);
    put("x");
    uart_receive('a', 0);
    interrupt();
    check_signal(0, 8, LINE_SIGINT);
    CHECK_EQUAL(signal_count, 1);
    stop();
}

TEST(breaks_that_are_read)
{
    start();
    raw();
    uart_receive(0, UART_BREAK | UART_FRAMING);
    interrupt();
    check_read("\0", 1);
    attributes()->input = LINE_PARMRK;
    uart_receive('a', 0);
    uart_receive(0, UART_BREAK | UART_FRAMING);
    uart_receive(0xff, 0);
    interrupt();
    check_read("a\xff\0\0\xff\xff", 6);
    attributes()->input = LINE_IGNBRK | LINE_BRKINT;
    uart_receive(0, UART_BREAK);
    interrupt();
    check_read("", 0);
    CHECK_EQUAL(signal_count, 0);
    stop();
}

TEST(damaged_bytes)
{
    start();
    raw();
    uart_receive('p', UART_PARITY); /* nobody asked */
    attributes()->input = 0;
    interrupt();
    check_read("p", 1);
    attributes()->input = LINE_INPCK;
    uart_receive('p', UART_PARITY);
    interrupt();
    check_read("\0", 1);
    attributes()->input = LINE_INPCK | LINE_PARMRK;
    uart_receive('p', UART_FRAMING);
    interrupt();
    check_read("\xff\0p", 3);
    attributes()->input = LINE_INPCK | LINE_IGNPAR;
    uart_receive('p', UART_PARITY);
    interrupt();
    check_read("", 0);
    stop();
}

TEST(breaks_that_are_sent)
{
    start();
    serial_terminal.device->set_break(&serial_terminal, true);
    CHECK_EQUAL(uart.line_control, 0x43);
    serial_terminal.device->set_break(&serial_terminal, false);
    CHECK_EQUAL(uart.line_control, 3);
    stop();
}

/* --- Modem lines ------------------------------------------------------------------------------------------------------ */

TEST(modem_lines)
{
    start();
    CHECK_EQUAL(modem(TTY_MODEM_GET, 0),
                TTY_MODEM_DTR | TTY_MODEM_RTS | TTY_MODEM_CTS | TTY_MODEM_DSR | TTY_MODEM_CAR);
    modem(TTY_MODEM_DROP, TTY_MODEM_DTR);
    CHECK_EQUAL(uart.modem_control, 0xa);
    attributes()->control |= LINE_CSTOPB; /* another format leaves them alone */
    reconfigure();
    CHECK_EQUAL(uart.modem_control, 0xa);
    modem(TTY_MODEM_RAISE, TTY_MODEM_DTR);
    modem(TTY_MODEM_SET, TTY_MODEM_RTS);
    CHECK_EQUAL(uart.modem_control, 0xa);
    uart_modem(UART_RING);
    CHECK_EQUAL(modem(TTY_MODEM_GET, 0), TTY_MODEM_RTS | TTY_MODEM_RNG);
    stop();
}

/* Speed 0 hangs up (POSIX tcsetattr, B0). */
TEST(hangs_up_by_speed)
{
    start();
    uint32_t before = attributes()->control;
    attributes()->control = before & ~(uint32_t)LINE_SPEED;
    reconfigure();
    CHECK_EQUAL(uart.modem_control, 8);
    attributes()->control = before;
    reconfigure();
    CHECK_EQUAL(uart.modem_control, 0xb);
    stop();
}

TEST(waits_to_be_cleared_to_send)
{
    start();
    attributes()->control |= (uint32_t)LINE_CRTSCTS;
    uart_modem(UART_DSR | UART_CARRIER);
    reconfigure();
    put("wait");
    check_sent("");
    CHECK_EQUAL(line_output_pending(serial_terminal.line), 4);
    uart_modem(UART_CTS | UART_DSR | UART_CARRIER);
    CHECK(uart_interrupts());
    serial_line_interrupt();
    check_sent("wait");
    CHECK_EQUAL(signal_count, 0);
    stop();
}

TEST(hung_up_by_the_other_side)
{
    start();
    uart_receive('x', 0);
    uart_modem(UART_CTS | UART_DSR);
    CHECK(uart_interrupts());
    interrupt();
    check_signal(0, -7, SIGHUP_);
    check_signal(1, -7, SIGCONT_);
    check_signal(2, 8, SIGHUP_);
    CHECK_EQUAL(serial_terminal.session, 0);
    CHECK_EQUAL(line_pending(serial_terminal.line), 0);
    uart_modem(UART_CTS | UART_DSR | UART_CARRIER); /* who calls next */
    serial_terminal.session = 9;
    signal_count = 0;
    interrupt();
    CHECK_EQUAL(signal_count, 0);
    stop();
}

/* The carrier means nothing with CLOCAL; a cable that never had one does not hang up; its fall is seen by whoever reads it first. */
TEST(carriers_that_do_not_matter)
{
    start();
    attributes()->control |= LINE_CLOCAL;
    reconfigure();
    uart_modem(UART_CTS);
    CHECK(!uart_interrupts());
    serial_line_interrupt();
    CHECK_EQUAL(signal_count, 0);
    attributes()->control &= ~(uint32_t)LINE_CLOCAL;
    reconfigure();
    uart_modem(UART_CTS | UART_DSR);
    interrupt();
    CHECK_EQUAL(signal_count, 0);
    uart_modem(UART_CTS | UART_CARRIER);
    interrupt();
    uart_modem(UART_CTS);
    modem(TTY_MODEM_GET, 0);
    serial_line_interrupt();
    check_signal(0, -7, SIGHUP_);
    stop();
}
