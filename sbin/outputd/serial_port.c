/* The serial port's registers, as they are reached. */
#include "lib/sys/ports.h"
#include "sbin/outputd/serial.h"

void serial_out(uint16_t port, uint8_t value)
{
    port_write(port, 1, value);
}

uint8_t serial_in(uint16_t port)
{
    return (uint8_t)port_read(port, 1);
}
