/* The 16550's registers. */
#include "sbin/outputd/serial.h"

#define DATA          0 /* with LCR_DIVISOR: divisor, low */
#define INTERRUPTS    1 /* with LCR_DIVISOR: divisor, high */
#define FIFO_CONTROL  2
#define LINE_CONTROL  3
#define MODEM_CONTROL 4
#define LINE_STATUS   5
#define MODEM_STATUS  6
#define SCRATCH       7

#define INTERRUPT_RECEIVE  0x01
#define INTERRUPT_TRANSMIT 0x02
#define INTERRUPT_STATUS   0x04 /* breaks and errors */
#define INTERRUPT_MODEM    0x08

#define FIFO_ENABLE_CLEAR \
    0x87 /* on, both cleared, receive interrupt at 8 of 16 (or after 4 character times) */

#define LCR_STOP_2  0x04
#define LCR_PARITY  0x08
#define LCR_EVEN    0x10
#define LCR_BREAK   0x40
#define LCR_DIVISOR 0x80

#define MCR_DTR  0x01
#define MCR_RTS  0x02
#define MCR_OUT2 0x08 /* the gate of the interrupt */

#define LSR_DATA    0x01
#define LSR_PARITY  0x04
#define LSR_FRAMING 0x08
#define LSR_BREAK   0x10
#define LSR_EMPTY   0x20 /* the transmit FIFO is */

#define MSR_CTS     0x10
#define MSR_DSR     0x20
#define MSR_RING    0x40
#define MSR_CARRIER 0x80

#define FIFO_SIZE 16u
#define CLOCK     115200u

static void out8(const struct serial *serial, uint16_t which, uint8_t value)
{
    serial_out((uint16_t)(serial->base + which), value);
}

static uint8_t in8(const struct serial *serial, uint16_t which)
{
    return serial_in((uint16_t)(serial->base + which));
}

/* Its read clears what it says of changes, so every read takes note of the carrier. */
static uint8_t modem_status(struct serial *serial)
{
    uint8_t status = in8(serial, MODEM_STATUS);
    bool carrier = status & MSR_CARRIER;
    serial->carrier_lost |= serial->carrier && !carrier;
    serial->carrier = carrier;
    return status;
}

/* Its read clears what it says of the byte that is next, so every read takes note of that. */
static uint8_t line_status(struct serial *serial)
{
    uint8_t status = in8(serial, LINE_STATUS);
    serial->damage |= status & (LSR_BREAK | LSR_FRAMING | LSR_PARITY);
    return status;
}

static bool scratch_works(const struct serial *serial)
{
    out8(serial, SCRATCH, 0x5a);
    if (in8(serial, SCRATCH) != 0x5a)
        return false;
    out8(serial, SCRATCH, 0xa5);
    return in8(serial, SCRATCH) == 0xa5;
}

/* 0: one that it has not got, or B0 (hang up). */
static uint32_t bauds_of(uint32_t control)
{
    uint32_t bauds = line_bauds(control);
    return bauds <= CLOCK ? bauds : 0;
}

static void modem_write(struct serial *serial, uint8_t modem)
{
    serial->modem = modem;
    out8(serial, MODEM_CONTROL, modem);
}

static void interrupts_write(struct serial *serial, uint8_t interrupts)
{
    if (serial->control & LINE_CRTSCTS || !(serial->control & LINE_CLOCAL))
        interrupts |= INTERRUPT_MODEM;
    if (interrupts == serial->interrupts)
        return;
    serial->interrupts = interrupts;
    out8(serial, INTERRUPTS, interrupts);
}

static void format_write(struct serial *serial, uint32_t control, uint32_t bauds)
{
    uint32_t divisor = CLOCK / bauds;
    serial->format =
        (uint8_t)((control & LINE_CSIZE) >> 4 | (control & LINE_CSTOPB ? LCR_STOP_2 : 0) |
                  (control & LINE_PARENB ? LCR_PARITY : 0) |
                  (control & LINE_PARENB && !(control & LINE_PARODD) ? LCR_EVEN : 0));
    out8(serial, LINE_CONTROL, LCR_DIVISOR | serial->format);
    out8(serial, DATA, (uint8_t)divisor);
    out8(serial, INTERRUPTS, (uint8_t)(divisor >> 8));
    out8(serial, LINE_CONTROL, serial->format);
    out8(serial, INTERRUPTS, serial->interrupts);
}

/* DTR and RTS change when the speed becomes 0, and when it is one again; else they are what TIOCMSET made them. */
static uint32_t configure(struct serial *serial, uint32_t control)
{
    uint32_t bauds = bauds_of(control);
    bool hangs_up = !(control & LINE_SPEED), hung_up = !(serial->control & LINE_SPEED);
    if (!bauds) /* which it has not got, or that is no speed */
        bauds = bauds_of(serial->control);
    if (!bauds_of(control) && !hangs_up)
        control = (control & ~(uint32_t)LINE_SPEED) | (serial->control & LINE_SPEED);
    if (bauds)
        format_write(serial, control, bauds);
    if (hangs_up != hung_up || !serial->modem)
        modem_write(serial, hangs_up ? MCR_OUT2 : MCR_OUT2 | MCR_DTR | MCR_RTS);
    serial->control = control;
    interrupts_write(serial, serial->interrupts & (uint8_t)~INTERRUPT_MODEM);
    return control;
}

uint32_t serial_configure(struct serial *serial, uint32_t control)
{
    return serial->present && control != serial->control ? configure(serial, control) : control;
}

void serial_start(struct serial *serial, uint16_t base, uint32_t control)
{
    *serial = (struct serial){.base = base};
    serial->present = scratch_works(serial);
    if (!serial->present)
        return;
    out8(serial, INTERRUPTS, 0);
    out8(serial, FIFO_CONTROL, FIFO_ENABLE_CLEAR);
    serial->control = configure(serial, control);
    modem_status(serial);
    interrupts_write(serial, INTERRUPT_RECEIVE | INTERRUPT_STATUS);
}

bool serial_hung_up(struct serial *serial)
{
    if (serial->present)
        modem_status(serial);
    bool lost = serial->carrier_lost;
    serial->carrier_lost = false;
    return lost && !(serial->control & LINE_CLOCAL);
}

bool serial_receive(struct serial *serial, uint8_t *byte, enum line_error *error)
{
    if (!serial->present || !(line_status(serial) & LSR_DATA))
        return false;
    *byte = in8(serial, DATA);
    *error = serial->damage & LSR_BREAK ? LINE_BREAK : serial->damage ? LINE_DAMAGED : LINE_GOOD;
    serial->damage = 0;
    return true;
}

size_t serial_room(struct serial *serial)
{
    if (!serial->present || !(line_status(serial) & LSR_EMPTY))
        return 0;
    bool waits = serial->control & LINE_CRTSCTS && !(modem_status(serial) & MSR_CTS);
    return waits ? 0 : FIFO_SIZE;
}

void serial_send(struct serial *serial, const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        out8(serial, DATA, bytes[i]);
}

void serial_want_room(struct serial *serial, bool wanted)
{
    if (serial->present)
        interrupts_write(serial,
                         INTERRUPT_RECEIVE | INTERRUPT_STATUS | (wanted ? INTERRUPT_TRANSMIT : 0));
}

void serial_break(struct serial *serial, bool on)
{
    if (serial->present)
        out8(serial, LINE_CONTROL, (uint8_t)(serial->format | (on ? LCR_BREAK : 0)));
}

uint32_t serial_modem(struct serial *serial)
{
    uint8_t status = modem_status(serial);
    return (serial->modem & MCR_DTR ? TTY_MODEM_DTR : 0) |
           (serial->modem & MCR_RTS ? TTY_MODEM_RTS : 0) | (status & MSR_CTS ? TTY_MODEM_CTS : 0) |
           (status & MSR_DSR ? TTY_MODEM_DSR : 0) | (status & MSR_RING ? TTY_MODEM_RNG : 0) |
           (status & MSR_CARRIER ? TTY_MODEM_CAR : 0);
}

void serial_set_modem(struct serial *serial, uint32_t lines)
{
    modem_write(serial, (uint8_t)(MCR_OUT2 | (lines & TTY_MODEM_DTR ? MCR_DTR : 0) |
                                  (lines & TTY_MODEM_RTS ? MCR_RTS : 0)));
}
