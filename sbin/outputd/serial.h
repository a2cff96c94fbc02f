/* A 16550 serial port, driven by its interrupt both ways (National Semiconductor PC16550D data sheet).
 *
 *     serial_start(&serial, 0x3f8, control)   FIFOs, receive interrupt; speed and format as termios' control flags say
 *     on an interrupt:  serial_receive, serial_send, irq_ack, and both again: the line is edge-triggered, what
 *                       came between would not interrupt
 * The caller may use the ports (ioport_grant). One thread.
 */
#pragma once

#include "sbin/outputd/line.h"

struct serial {
    uint16_t base;
    bool present;
    uint8_t interrupts;         /* what the interrupt enable register holds */
    uint8_t format;             /* ... the line control register */
    uint8_t modem;              /* ... the modem control register; 0: not written yet */
    uint32_t control;           /* LINE_*: what it is set to */
    uint8_t damage;             /* LSR_*: of the byte that is read next */
    bool carrier, carrier_lost; /* DCD as it was read last; it fell since serial_hung_up asked */
};

/* The ports: serial_port.c, or a test. */
void serial_out(uint16_t port, uint8_t value);
uint8_t serial_in(uint16_t port);

/* Sets the port up; without hardware serial->present is false and the other calls do nothing. */
void serial_start(struct serial *serial, uint16_t base, uint32_t control);

/* Other control flags. The flags it is set to now: a speed it has not got stays the one before. */
MUST_CHECK uint32_t serial_configure(struct serial *serial, uint32_t control);

/* The next byte that has arrived, and what is wrong with it; false: there is none. */
MUST_CHECK bool serial_receive(struct serial *serial, uint8_t *byte, enum line_error *error);

/* How many bytes the transmitter takes now; none while CRTSCTS and the other side is not ready. */
size_t serial_room(struct serial *serial);
void serial_send(struct serial *serial, const uint8_t *bytes, size_t count);

/* Whether to interrupt when the transmitter has room. */
void serial_want_room(struct serial *serial, bool wanted);

void serial_break(struct serial *serial, bool on);

/* The carrier fell, since the last time this was asked, and that means something (no CLOCAL). */
MUST_CHECK bool serial_hung_up(struct serial *serial);

/* TTY_MODEM_*: ours (DTR, RTS) and the other side's. */
uint32_t serial_modem(struct serial *serial);
void serial_set_modem(struct serial *serial, uint32_t lines);
