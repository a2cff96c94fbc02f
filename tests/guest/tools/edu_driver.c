/* A driver of QEMU's edu device, by way of pcid.
 *
 *     edu_driver check URI     claims it, uses every kind of thing pcid gives, and tries what it must not give
 *     edu_driver hold URI      claims it, makes it a bus master with DMA memory, prints "holding", and stays; a line on its
 *                              standard input makes it ask pcid once more
 *     edu_driver storm URI     never acknowledges its interrupts, until somebody switches them off
 *
 * Prints what fails and ends with status 1, or "ok".
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "abi/pci.h"
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

static void fail(const char *what, int64_t error)
{
    printf("%s: %s (%" PRId64 ")\n", what, error_text(error), error);
    exit(1);
}

static int64_t ask(uint32_t op, uint64_t a, uint64_t b, uint64_t c, struct abi_command *command)
{
    *command = (struct abi_command){.op = op, .args = {a, b, c}};
    return file_command(device, command);
}

static void must(const char *what, int64_t result)
{
    if (result < 0)
        fail(what, result);
}

static void refused(const char *what, int64_t result, int64_t want)
{
    if (result != want)
        fail(what, result);
}

/* Its last driver may be on its way out. */
static void claim(const char *uri)
{
    int64_t result = -E_BUSY;

    for (int i = 0; i < 1000 && result == -E_BUSY; i++) {
        result = file_open(HANDLE_SELF, uri, OPEN_READ | OPEN_WRITE, &device);
        if (result == -E_BUSY)
            usleep(10000);
    }
    must("claim", result);
}

static void map_registers(void)
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

static handle_t interrupt(uint32_t kind)
{
    struct abi_command command;
    must("interrupt", ask(PCI_INTERRUPT, kind, 0, IRQ_ANY_CPU, &command));
    if (kind != PCI_INTERRUPT_ANY && command.values[0] != kind)
        fail("another kind of interrupt", -E_INVALID);
    return command.receive[0];
}

static void wait_for(handle_t irq, uint32_t signals)
{
    struct abi_wait wait = {.handle = irq, .signals = signals};
    must("no interrupt", sys_wait_many(&wait, 1, sys_clock_get(CLOCK_MONOTONIC_) + PATIENCE));
}

static void compute(handle_t irq)
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

static void transfer(handle_t irq, uint64_t from, uint64_t to, uint32_t command)
{
    *(volatile uint64_t *)&registers[DMA_SOURCE / 4] = from;
    *(volatile uint64_t *)&registers[DMA_TARGET / 4] = to;
    registers[DMA_COUNT / 4] = DMA_LENGTH;
    registers[DMA_COMMAND / 4] = command | 5;
    wait_for(irq, SIGNAL_READABLE);
    registers[IRQ_CLEAR / 4] = UINT32_MAX;
    must("ack", sys_irq_ack(irq, 0));
}

static uint8_t *dma_memory(uint64_t pages[2], uint64_t *number)
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

static void master(bool on)
{
    struct abi_command command;
    must("command register",
         ask(PCI_CONFIG_WRITE, 4, 2, PCI_COMMAND_MEMORY | (on ? PCI_COMMAND_MASTER : 0), &command));
}

static void check_dma(handle_t irq)
{
    uint64_t pages[2], number;
    uint8_t *bytes = dma_memory(pages, &number);
    struct abi_command command;

    master(true);
    for (uint32_t i = 0; i < DMA_LENGTH; i++)
        bytes[i] = (uint8_t)(i * 5 + 1);
    transfer(irq, pages[0], BUFFER, 0);
    transfer(irq, BUFFER, pages[1], 2);
    for (uint32_t i = 0; i < DMA_LENGTH; i++)
        if (bytes[PAGE_SIZE + i] != (uint8_t)(i * 5 + 1))
            fail("DMA brought something else", -E_IO);
    master(false);
    must("dma free", ask(PCI_DMA_FREE, number, 0, 0, &command));
    refused("dma free, twice", ask(PCI_DMA_FREE, number, 0, 0, &command), -E_NOT_FOUND);
}

/* What would reach beyond the device. */
static void check_guard(const char *uri)
{
    static const struct {
        uint32_t offset, size;
    } guarded[] = {{0x10, 4}, {0x14, 4}, {0x30, 4}, {0x3c, 1}, {0x40, 4},
                   {0x44, 4}, {0x4c, 2}, {0x06, 2}, {0x04, 4}, {0x100, 4}};
    struct abi_command command;
    handle_t other;

    for (size_t i = 0; i < ARRAY_SIZE(guarded); i++)
        refused("a guarded register",
                ask(PCI_CONFIG_WRITE, guarded[i].offset, guarded[i].size, 0, &command),
                -E_PERMISSION);
    refused("unaligned", ask(PCI_CONFIG_READ, 1, 2, 0, &command), -E_INVALID);
    refused("too wide", ask(PCI_CONFIG_READ, 0, 8, 0, &command), -E_INVALID);
    refused("no such bar", ask(PCI_BAR, 1, CACHE_NONE, 0, &command), -E_NOT_FOUND);
    refused("bar out of range", ask(PCI_BAR, 6, CACHE_NONE, 0, &command), -E_INVALID);
    refused("bar cache", ask(PCI_BAR, 0, 77, 0, &command), -E_INVALID);
    refused("no MSI-X", ask(PCI_INTERRUPT, PCI_INTERRUPT_MSIX, 0, IRQ_ANY_CPU, &command),
            -E_NOT_SUPPORTED);
    refused("second message", ask(PCI_INTERRUPT, PCI_INTERRUPT_MSI, 1, IRQ_ANY_CPU, &command),
            -E_RANGE);
    refused("dma without end", ask(PCI_DMA, UINT64_MAX, 0, 0, &command), -E_QUOTA);
    refused("dma flags", ask(PCI_DMA, PAGE_SIZE, 1, 0, &command), -E_INVALID);
    refused("another claim", file_open(HANDLE_SELF, uri, OPEN_READ | OPEN_WRITE, &other), -E_BUSY);
    refused("no operation", ask(PCI_RESET + 1, 0, 0, 0, &command), -E_NO_CALL);
    must("command register", ask(PCI_CONFIG_WRITE, 4, 2, 0xffff, &command));
    must("read it", ask(PCI_CONFIG_READ, 4, 2, 0, &command));
    if ((command.values[0] & ~PCI_COMMAND_NO_LINE & 0xfef8) != 0)
        fail("more of the command register was written", -E_IO);
}

static void check(const char *uri)
{
    struct pci_description description;
    struct abi_command command = {
        .op = PCI_DESCRIBE, .out = (uintptr_t)&description, .out_length = sizeof(description)};

    claim(uri);
    must("describe", file_command(device, &command));
    if (description.vendor != 0x1234 || description.device != 0x11e8 || !description.msi ||
        description.bars[0].length != 0x100000)
        fail("it describes something else", -E_IO);
    map_registers();
    for (int i = 0; i < 3; i++) {
        handle_t irq = interrupt(i == 0 ? PCI_INTERRUPT_LINE : PCI_INTERRUPT_MSI);
        compute(irq);
        if (i)
            check_dma(irq);
        handle_drop(irq);
    }
    check_guard(uri);
    handle_drop(device);
    claim(uri);
    printf("ok\n");
}

static void hold(const char *uri)
{
    uint64_t pages[2], number;
    char line[16];
    struct abi_command command;

    claim(uri);
    map_registers();
    dma_memory(pages, &number);
    handle_t irq = interrupt(PCI_INTERRUPT_ANY);
    master(true);
    printf("holding\n");
    fflush(stdout);
    while (fgets(line, sizeof(line), stdin)) {
        compute(irq);
        must("read", ask(PCI_CONFIG_READ, 0, 2, 0, &command));
        printf("still %04" PRIx64 "\n", command.values[0]);
        fflush(stdout);
    }
    for (;;)
        pause();
}

static void storm(const char *uri)
{
    struct abi_command command;

    claim(uri);
    map_registers();
    handle_t irq = interrupt(PCI_INTERRUPT_MSI);
    /* What is raised again before its CPU has taken it, counts once: as long as that takes. */
    int64_t deadline = sys_clock_get(CLOCK_MONOTONIC_) + 4 * PATIENCE;
    struct abi_wait wait = {.handle = irq, .signals = SIGNAL_ERROR};
    do
        for (int i = 0; i < 1000; i++)
            registers[IRQ_RAISE / 4] = 1;
    while (sys_wait_many(&wait, 1, DEADLINE_NOW) != 1 &&
           sys_clock_get(CLOCK_MONOTONIC_) < deadline);
    for (int i = 0; i < 1000; i++) {
        must("read", ask(PCI_CONFIG_READ, 0x42, 2, 0, &command)); /* MSI control */
        if (!(command.values[0] & 1)) {
            printf("ok\n");
            return;
        }
        usleep(10000);
    }
    fail("its messages are still on", -E_TIMED_OUT);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "check") == 0)
        check(argv[2]);
    else if (argc == 3 && strcmp(argv[1], "hold") == 0)
        hold(argv[2]);
    else if (argc == 3 && strcmp(argv[1], "storm") == 0)
        storm(argv[2]);
    else
        return 2;
    return 0;
}
