/* The 16550's registers. */
#include "sbin/outputd/serial.h"

#define DATA          0 /* with LCR_DIVISOR: divisor, low */
#define INTERRUPTS    1 /* with LCR_DIVISOR: divisor, high */
#define FIFO_CONTROL  2
#define LINE_CONTROL  3
#define MODEM_CONTROL 4
#define LINE_STATUS   5
#define SCRATCH       7

#define INTERRUPT_RECEIVE  0x01
#define INTERRUPT_TRANSMIT 0x02

#define FIFO_ENABLE_CLEAR \
    0x87 /* on, both cleared, receive interrupt at 8 of 16 (or after 4 character times) */
#define LCR_8N1     0x03
#define LCR_DIVISOR 0x80
#define MCR_READY   0x0b /* DTR, RTS, and OUT2: the gate of the interrupt */

#define LSR_DATA  0x01
#define LSR_EMPTY 0x20 /* the transmit FIFO is */

#define FIFO_SIZE 16u
#define DIVISOR   1 /* 115200 */

static void out8(const struct serial *serial, uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"((uint16_t)(serial->base + port)));
}

static uint8_t in8(const struct serial *serial, uint16_t port)
{
    uint8_t value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"((uint16_t)(serial->base + port)));
    return value;
}

static bool scratch_works(const struct serial *serial)
{
    out8(serial, SCRATCH, 0x5a);
    if (in8(serial, SCRATCH) != 0x5a)
        return false;
    out8(serial, SCRATCH, 0xa5);
    return in8(serial, SCRATCH) == 0xa5;
}

void serial_start(struct serial *serial, uint16_t base)
{
    serial->base = base;
    serial->present = scratch_works(serial);
    if (!serial->present)
        return;
    out8(serial, INTERRUPTS, 0);
    out8(serial, LINE_CONTROL, LCR_DIVISOR | LCR_8N1);
    out8(serial, DATA, DIVISOR);
    out8(serial, INTERRUPTS, 0);
    out8(serial, LINE_CONTROL, LCR_8N1);
    out8(serial, FIFO_CONTROL, FIFO_ENABLE_CLEAR);
    out8(serial, MODEM_CONTROL, MCR_READY);
    serial->interrupts = INTERRUPT_RECEIVE;
    out8(serial, INTERRUPTS, serial->interrupts);
}

size_t serial_receive(struct serial *serial, uint8_t *buffer, size_t size)
{
    size_t count = 0;
    while (serial->present && count < size && (in8(serial, LINE_STATUS) & LSR_DATA))
        buffer[count++] = in8(serial, DATA);
    return count;
}

size_t serial_room(const struct serial *serial)
{
    return serial->present && (in8(serial, LINE_STATUS) & LSR_EMPTY) ? FIFO_SIZE : 0;
}

void serial_send(struct serial *serial, const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        out8(serial, DATA, bytes[i]);
}

void serial_want_room(struct serial *serial, bool wanted)
{
    uint8_t interrupts = INTERRUPT_RECEIVE | (wanted ? INTERRUPT_TRANSMIT : 0);
    if (!serial->present || interrupts == serial->interrupts)
        return;
    serial->interrupts = interrupts;
    out8(serial, INTERRUPTS, interrupts);
}
