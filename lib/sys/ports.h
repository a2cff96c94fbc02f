/* I/O ports that the process may use (ioport_grant): one access of 1, 2 or 4 bytes each, in that order, and what was written to memory before a
 * write is there for the device.
 *
 * On the host a test is the device, and says itself what a read finds and what a write does.
 */
#pragma once

#include "lib/base/base.h"

#ifdef PROTOS_HOST
uint32_t port_read(uint16_t port, uint32_t width);
void port_write(uint16_t port, uint32_t width, uint32_t value);
#else
static inline uint32_t port_read(uint16_t port, uint32_t width)
{
    uint32_t value = 0;
    if (width == 1)
        __asm__ volatile("inb %1, %b0" : "+a"(value) : "Nd"(port) : "memory");
    else if (width == 2)
        __asm__ volatile("inw %1, %w0" : "+a"(value) : "Nd"(port) : "memory");
    else
        __asm__ volatile("inl %1, %0" : "+a"(value) : "Nd"(port) : "memory");
    return value;
}

static inline void port_write(uint16_t port, uint32_t width, uint32_t value)
{
    if (width == 1)
        __asm__ volatile("outb %b0, %1" : : "a"(value), "Nd"(port) : "memory");
    else if (width == 2)
        __asm__ volatile("outw %w0, %1" : : "a"(value), "Nd"(port) : "memory");
    else
        __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port) : "memory");
}
#endif
