/* A driver of an NVMe controller, by way of pcid, as far as asking it who it is: MSI-X, DMA, and a function-level reset on a device
 * that has them. (NVM Express 1.4: registers 3.1, Identify 5.15)
 *
 *     nvme_driver URI       prints the controller's serial number, twice: before and after a reset
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/pci.h"
#include "lib/sys/clock.h"
#include "lib/sys/error.h"
#include "lib/sys/file.h"

#define PATIENCE INT64_C(20000000000)
#define ENTRIES  8u /* of each queue */

#define CAPABILITIES  0x00
#define CONFIGURATION 0x14
#define STATUS        0x1c
#define QUEUE_SIZES   0x24
#define SUBMISSION    0x28
#define COMPLETION    0x30
#define DOORBELLS     0x1000

enum { PAGE_SUBMISSION, PAGE_COMPLETION, PAGE_DATA, PAGES };

static handle_t device;
static volatile uint8_t *registers;
static uint8_t *memory;
static uint64_t addresses[PAGES];
static uint16_t commands; /* made since the queues were */

static void must(const char *what, int64_t result)
{
    if (result >= 0)
        return;
    printf("%s: %s (%" PRId64 ")\n", what, error_text(result), result);
    exit(1);
}

static void ask(const char *what, uint32_t op, uint64_t a, uint64_t b, uint64_t c,
                struct abi_command *command)
{
    *command = (struct abi_command){.op = op, .args = {a, b, c}};
    must(what, file_command(device, command));
}

static void *map_shared(handle_t handle, uint64_t length)
{
    struct abi_map map = {.length = length,
                          .memory = handle,
                          .protection = PROT_READ_ | PROT_WRITE_,
                          .flags = MAP_SHARED_};
    int64_t address = sys_space_map(HANDLE_SELF, &map);

    must("map", address);
    return (void *)(uintptr_t)address;
}

static uint32_t read32(uint32_t at)
{
    return *(volatile uint32_t *)(registers + at);
}

static void write32(uint32_t at, uint32_t value)
{
    *(volatile uint32_t *)(registers + at) = value;
}

static void write64(uint32_t at, uint64_t value)
{
    write32(at, (uint32_t)value);
    write32(at + 4, (uint32_t)(value >> 32));
}

/* Polled: the controller tells of it in no other way. */
static void wait_ready(uint32_t ready)
{
    int64_t deadline = clock_monotonic() + PATIENCE;

    while ((read32(STATUS) & 1) != ready)
        if (clock_monotonic() > deadline)
            must("ready", -E_TIMED_OUT);
}

static void start(void)
{
    struct abi_command command;

    ask("command register", PCI_CONFIG_WRITE, 4, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER,
        &command);
    write32(CONFIGURATION, 0);
    wait_ready(0);
    memset(memory, 0, PAGES * PAGE_SIZE);
    commands = 0;
    write32(QUEUE_SIZES, (ENTRIES - 1) << 16 | (ENTRIES - 1));
    write64(SUBMISSION, addresses[PAGE_SUBMISSION]);
    write64(COMPLETION, addresses[PAGE_COMPLETION]);
    write32(CONFIGURATION, 6 << 16 | 4 << 20 | 1); /* entries of 64 and 16 bytes; enabled */
    wait_ready(1);
}

static void identify(handle_t irq, uint16_t expected)
{
    uint32_t *entry = (uint32_t *)(void *)(memory + PAGE_SUBMISSION * PAGE_SIZE) + 16 * commands;
    struct abi_wait wait = {.handle = irq, .signals = SIGNAL_READABLE};
    uint64_t data = addresses[PAGE_DATA];

    entry[0] = 0x06 | (uint32_t)expected << 16;
    memcpy(&entry[6], &data, sizeof(data));
    entry[10] = 1; /* the controller */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    write32(DOORBELLS, ++commands);
    must("no message", sys_wait_many(&wait, 1, clock_monotonic() + PATIENCE));

    const volatile uint32_t *done =
        (const volatile uint32_t *)(void *)(memory + PAGE_COMPLETION * PAGE_SIZE) +
        4 * (commands - 1);
    if ((done[3] & 0xffff) != expected || done[3] >> 17 != 0)
        must("the command's status", -E_IO);
    write32(DOORBELLS + 4, commands);
    must("ack", sys_irq_ack(irq, 0));
    printf("serial %.4s\n", (const char *)memory + PAGE_DATA * PAGE_SIZE + 4);
}

int main(int argc, char **argv)
{
    struct abi_command command;

    if (argc != 2)
        return 2;
    must("claim", file_open(HANDLE_SELF, argv[1], OPEN_READ | OPEN_WRITE, &device));
    ask("bar 0", PCI_BAR, 0, CACHE_NONE, 0, &command);
    registers =
        (volatile uint8_t *)map_shared(command.receive[0], command.values[1]) + command.values[0];
    ask("dma", PCI_DMA, PAGES * PAGE_SIZE, MEMORY_CONTIGUOUS, 0, &command);
    must("addresses",
         sys_memory_op(command.receive[0], MEMORY_OP_PHYSICAL, 0, PAGES * PAGE_SIZE, addresses));
    memory = map_shared(command.receive[0], PAGES * PAGE_SIZE);
    for (int i = 0; i < 2; i++) {
        ask("interrupt", PCI_INTERRUPT, PCI_INTERRUPT_MSIX, 0, IRQ_ANY_CPU, &command);
        handle_t irq = command.receive[0];

        start();
        for (uint16_t n = 1; n < 4; n++)
            identify(irq, (uint16_t)(i * 16 + n));
        handle_drop(irq);
        ask("reset", PCI_RESET, 0, 0, 0, &command);
        ask("command register", PCI_CONFIG_WRITE, 4, 2, PCI_COMMAND_MEMORY, &command);
        if (read32(STATUS) & 1 || !read32(CAPABILITIES))
            must("after the reset", -E_IO);
    }
    return 0;
}
