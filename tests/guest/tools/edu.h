/* QEMU's edu device (its docs/specs/edu.txt), claimed by way of pcid, for the tools that drive it: what goes wrong is printed and
 * ends the process. One device.
 *
 *     claim("pci-claim:///00:10.0/device"), map_registers(), irq = interrupt(PCI_INTERRUPT_MSI), master(true)
 */
#pragma once

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "abi/pci.h"
#include "lib/sys/clock.h"
#include "lib/sys/error.h"
#include "lib/sys/file.h"

#define PATIENCE   INT64_C(20000000000)
#define BUFFER     0x40000u
#define DMA_LENGTH 2048u /* QEMU's edu cannot use its buffer's last byte */

#define FACTORIAL   0x08
#define STATUS      0x20
#define IRQ_STATUS  0x24
#define IRQ_RAISE   0x60
#define IRQ_CLEAR   0x64
#define DMA_SOURCE  0x80
#define DMA_TARGET  0x88
#define DMA_COUNT   0x90
#define DMA_COMMAND 0x98

static handle_t device;
static volatile uint32_t *registers;

static inline void fail(const char *what, int64_t error)
{
    printf("%s: %s (%" PRId64 ")\n", what, error_text(error), error);
    exit(1);
}

static inline int64_t ask(uint32_t op, uint64_t a, uint64_t b, uint64_t c,
                          struct abi_command *command)
{
    *command = (struct abi_command){.op = op, .args = {a, b, c}};
    return file_command(device, command);
}

static inline void must(const char *what, int64_t result)
{
    if (result < 0)
        fail(what, result);
}

static inline void refused(const char *what, int64_t result, int64_t want)
{
    if (result != want)
        fail(what, result);
}

/* Its last driver may be on its way out. */
static inline void claim(const char *uri)
{
    int64_t result = -E_BUSY;

    for (int i = 0; i < 1000 && result == -E_BUSY; i++) {
        result = file_open(HANDLE_SELF, uri, OPEN_READ | OPEN_WRITE, &device);
        if (result == -E_BUSY)
            usleep(10000);
    }
    must("claim", result);
}

static inline void map_registers(void)
{
    struct abi_command command;
    must("bar 0", ask(PCI_BAR, 0, CACHE_NONE, 0, &command));
    struct abi_map map = {.length = command.values[1],
                          .memory = command.receive[0],
                          .protection = PROT_READ_ | PROT_WRITE_,
                          .flags = MAP_SHARED_};
    int64_t address = sys_space_map(HANDLE_SELF, &map);
    must("map", address);
    registers = (volatile uint32_t *)(uintptr_t)((uint64_t)address + command.values[0]);
    handle_drop(command.receive[0]);
    if ((registers[0] & 0xffff) != 0xed)
        fail("not an edu", -E_NOT_FOUND);
}

static inline handle_t interrupt(uint32_t kind)
{
    struct abi_command command;
    must("interrupt", ask(PCI_INTERRUPT, kind, 0, IRQ_ANY_CPU, &command));
    if (kind != PCI_INTERRUPT_ANY && command.values[0] != kind)
        fail("another kind of interrupt", -E_INVALID);
    return command.receive[0];
}

static inline void wait_for(handle_t irq, uint32_t signals)
{
    struct abi_wait wait = {.handle = irq, .signals = signals};
    must("no interrupt", sys_wait_many(&wait, 1, clock_monotonic() + PATIENCE));
}

static inline void compute(handle_t irq)
{
    registers[STATUS / 4] = 0x80;
    registers[FACTORIAL / 4] = 6;
    wait_for(irq, SIGNAL_READABLE);
    if (registers[FACTORIAL / 4] != 720)
        fail("6! is wrong", -E_IO);
    registers[STATUS / 4] = 0;
    registers[IRQ_CLEAR / 4] = UINT32_MAX;
    must("ack", sys_irq_ack(irq, 0));
}

static inline void transfer(handle_t irq, uint64_t from, uint64_t to, uint32_t command)
{
    *(volatile uint64_t *)&registers[DMA_SOURCE / 4] = from;
    *(volatile uint64_t *)&registers[DMA_TARGET / 4] = to;
    registers[DMA_COUNT / 4] = DMA_LENGTH;
    registers[DMA_COMMAND / 4] = command | 5;
    wait_for(irq, SIGNAL_READABLE);
    registers[IRQ_CLEAR / 4] = UINT32_MAX;
    must("ack", sys_irq_ack(irq, 0));
}

static inline uint8_t *dma_memory(uint64_t pages[2], uint64_t *number)
{
    struct abi_command command;
    must("dma", ask(PCI_DMA, 2 * PAGE_SIZE, MEMORY_DMA32, 0, &command));
    *number = command.values[0];
    must("addresses",
         sys_memory_op(command.receive[0], MEMORY_OP_PHYSICAL, 0, 2 * PAGE_SIZE, pages));
    struct abi_map map = {.length = 2 * PAGE_SIZE,
                          .memory = command.receive[0],
                          .protection = PROT_READ_ | PROT_WRITE_,
                          .flags = MAP_SHARED_};
    int64_t address = sys_space_map(HANDLE_SELF, &map);
    must("map", address);
    handle_drop(command.receive[0]);
    return (uint8_t *)(uintptr_t)address;
}

static inline void master(bool on)
{
    struct abi_command command;
    must("command register",
         ask(PCI_CONFIG_WRITE, 4, 2, PCI_COMMAND_MEMORY | (on ? PCI_COMMAND_MASTER : 0), &command));
}
