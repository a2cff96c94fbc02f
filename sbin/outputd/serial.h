/* A 16550 serial port, driven by its interrupt both ways (National Semiconductor PC16550D data sheet).
 *
 *     serial_start(&serial, 0x3f8)            115200 8N1, FIFOs, receive interrupt
 *     on an interrupt:  serial_receive, serial_transmit, irq_ack, and both again: the line is edge-triggered, what
 *                       came between would not interrupt
 * The caller may use the ports (ioport_grant). One thread.
 */
#pragma once

#include "lib/base/base.h"

struct serial {
    uint16_t base;
    bool present;
    uint8_t interrupts; /* what the interrupt enable register holds */
};

/* Sets the port up; without hardware serial->present is false and the other calls do nothing. */
void serial_start(struct serial *serial, uint16_t base);

/* What has arrived, up to size bytes. */
size_t serial_receive(struct serial *serial, uint8_t *buffer, size_t size);

/* How many bytes the transmitter takes now. */
size_t serial_room(const struct serial *serial);
void serial_send(struct serial *serial, const uint8_t *bytes, size_t count);

/* Whether to interrupt when the transmitter has room. */
void serial_want_room(struct serial *serial, bool wanted);
