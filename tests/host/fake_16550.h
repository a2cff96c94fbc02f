/* A 16550 for tests (PC16550D data sheet): what sbin/outputd/serial.c reads and writes, and the other end of its cable.
 *
 *     uart.sent, uart.sent_count     what was transmitted; it is there at once
 *     uart_receive(byte, flags)      a byte arrives, with UART_* of the line status register
 *     uart_modem(lines)              the other side's lines are so from now on: UART_CTS, ...
 *     uart_interrupts()              whether it asks for an interrupt
 */
#pragma once

#include <string.h>

#include "lib/base/base.h"

#define UART_BASE 0x3f8

#define UART_PARITY  0x04u
#define UART_FRAMING 0x08u
#define UART_BREAK   0x10u

#define UART_CTS     0x10u
#define UART_DSR     0x20u
#define UART_RING    0x40u
#define UART_CARRIER 0x80u

static struct uart {
    bool absent;
    uint8_t interrupts, line_control, modem_control, modem_status, scratch, fifo_control;
    uint16_t divisor;
    struct {
        uint8_t byte, flags;
    } received[16];
    uint32_t received_count;
    uint8_t sent[256];
    uint32_t sent_count;
    bool empty_told; /* the transmitter's interrupt was taken note of */
} uart;

static void uart_receive(uint8_t byte, uint8_t flags)
{
    if (uart.received_count == ARRAY_SIZE(uart.received))
        return;
    uart.received[uart.received_count].byte = byte;
    uart.received[uart.received_count++].flags = flags;
}

static void uart_modem(uint8_t lines)
{
    uint8_t old = uart.modem_status & 0xf0, changed = (uint8_t)(old ^ lines);
    uint8_t deltas = (uint8_t)(changed >> 4 & 0xb) | (old & ~lines & UART_RING ? 4 : 0);
    uart.modem_status = (uint8_t)(lines | (uart.modem_status & 0xf) | deltas);
}

static bool uart_interrupts(void)
{
    return (uart.interrupts & 1 && uart.received_count) ||
           (uart.interrupts & 2 && !uart.empty_told) ||
           (uart.interrupts & 4 && uart.received_count && uart.received[0].flags) ||
           (uart.interrupts & 8 && uart.modem_status & 0xf);
}

static uint8_t uart_data_read(void)
{
    uint8_t byte = uart.received_count ? uart.received[0].byte : 0;
    if (uart.received_count)
        memmove(&uart.received[0], &uart.received[1],
                --uart.received_count * sizeof(uart.received[0]));
    return byte;
}

static uint8_t uart_line_status_read(void)
{
    uint8_t status = 0x60 | (uart.received_count ? 1 | uart.received[0].flags : 0);
    uart.received[0].flags = 0;
    return status;
}

uint8_t serial_in(uint16_t port)
{
    bool divisor = uart.line_control & 0x80;
    uint8_t status = uart.modem_status;
    if (uart.absent)
        return 0xff;
    switch (port - UART_BASE) {
    case 0:
        return divisor ? (uint8_t)uart.divisor : uart_data_read();
    case 1:
        return divisor ? (uint8_t)(uart.divisor >> 8) : uart.interrupts;
    case 3:
        return uart.line_control;
    case 4:
        return uart.modem_control;
    case 5:
        return uart_line_status_read();
    case 6:
        uart.modem_status &= 0xf0;
        return status;
    case 7:
        return uart.scratch;
    default:
        CHECK(!"a port that it has not got");
        return 0;
    }
}

static void uart_low(uint8_t value)
{
    if (uart.line_control & 0x80)
        uart.divisor = (uint16_t)((uart.divisor & 0xff00) | value);
    else if (uart.sent_count < sizeof(uart.sent))
        uart.sent[uart.sent_count++] = value;
}

static void uart_high(uint8_t value)
{
    if (uart.line_control & 0x80)
        uart.divisor = (uint16_t)((uart.divisor & 0xff) | value << 8);
    else
        uart.interrupts = value;
}

void serial_out(uint16_t port, uint8_t value)
{
    uint8_t *const registers[] = {
        NULL, NULL, &uart.fifo_control, &uart.line_control, &uart.modem_control,
        NULL, NULL, &uart.scratch};
    uint32_t which = (uint32_t)port - UART_BASE;
    CHECK(which < ARRAY_SIZE(registers));
    if (which == 0)
        uart_low(value);
    else if (which == 1)
        uart_high(value);
    else if (registers[which])
        *registers[which] = value;
}
