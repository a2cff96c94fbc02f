/* The first serial port (16550 at 0x3f8), polled, for the kernel's log.
 *
 * The log works from the first instruction on: the port is set up by whoever writes first. A port that is not
 * there reads as all ones and is never written to again. A line whose other side stopped taking bytes is
 * given up after LINE_PATIENCE polls per byte and tried again with the next text: the kernel never hangs on it.
 * The driver of tty:// takes the port over with interrupts; it and this file only share the transmitter.
 * Lock: the log's; a panic does not lock.
 */
#include "kernel/x86_64/serial.h"

#include "kernel/arch.h"
#include "kernel/x86_64/port.h"

#define PORT 0x3f8u

enum {
    DATA = 0,
    INTERRUPT_ENABLE = 1,
    FIFO_CONTROL = 2,
    LINE_CONTROL = 3,
    MODEM_CONTROL = 4,
    LINE_STATUS = 5,
    SCRATCH = 7,
};

#define LINE_EMPTY    0x20u /* LINE_STATUS: the transmitter takes a byte */
#define LINE_PATIENCE 200000u

bool arch_console_port(uint64_t base, uint64_t count)
{
    return PORT >= base && PORT - base < count;
}

static enum { UNKNOWN, PRESENT, ABSENT } state;

static void start(void)
{
    state = ABSENT;
    port_out8(PORT + SCRATCH, 0x5a);
    if (port_in8(PORT + SCRATCH) != 0x5a || port_in8(PORT + LINE_STATUS) == 0xff)
        return;
    port_out8(PORT + INTERRUPT_ENABLE, 0);
    port_out8(PORT + LINE_CONTROL, 0x80); /* the divisor's registers */
    port_out8(PORT + DATA, 1);            /* 115200 */
    port_out8(PORT + INTERRUPT_ENABLE, 0);
    port_out8(PORT + LINE_CONTROL, 0x03); /* 8 bits, no parity, one stop bit */
    port_out8(PORT + FIFO_CONTROL, 0x07);
    port_out8(PORT + MODEM_CONTROL,
              0x0b); /* DTR, RTS, OUT2: the interrupt line is wired through it */
    state = PRESENT;
}

static bool write_byte(char c)
{
    for (uint32_t i = 0; !(port_in8(PORT + LINE_STATUS) & LINE_EMPTY); i++) {
        if (i == LINE_PATIENCE)
            return false;
        __asm__ volatile("pause");
    }
    port_out8(PORT + DATA, (uint8_t)c);
    return true;
}

void serial_write(const char *text, size_t length)
{
    if (state == UNKNOWN)
        start();
    for (size_t i = 0; state == PRESENT && i < length; i++) {
        if (text[i] == '\n' && !write_byte('\r'))
            return;
        if (!write_byte(text[i]))
            return;
    }
}

bool serial_present(void)
{
    return state == PRESENT;
}
