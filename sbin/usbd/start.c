/* A controller's start (xHCI 1.2, 4.2): the firmware lets go of it, it is reset, told where everything is, and runs. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sys/clock.h"
#include "lib/sys/error.h"
#include "lib/sys/wait.h"
#include "sbin/usbd/controller.h"
#include "sbin/usbd/registers.h"
#include "sbin/usbd/start.h"
#include "sbin/usbd/watchers.h"

#define FIRMWARE_NS (1000 * MILLISECOND) /* for the firmware to let go */
#define RESET_NS    (1000 * MILLISECOND)
#define LOOK_NS     (5 * MILLISECOND) /* between two looks at what does not tell */
#define PAGE_4K     1u
#define MODERATION  160u /* 40 us between interrupts, in 250 ns */

/* The parts of controller->memory, in pages. */
enum { PART_DEVICES, PART_COMMANDS, PART_TABLE, PART_EVENTS, PARTS = PART_EVENTS + 4 };
#define EVENT_COUNT ((PARTS - PART_EVENTS) * PAGE_SIZE / sizeof(struct trb))

struct list controllers = LIST_INIT(controllers);
bool controllers_again;

struct segment {
    uint64_t address;
    uint32_t size, reserved;
};

static uint32_t read32(const volatile uint8_t *registers, uint32_t at)
{
    return *(const volatile uint32_t *)(registers + at);
}

static void write32(volatile uint8_t *registers, uint32_t at, uint32_t value)
{
    *(volatile uint32_t *)(registers + at) = value;
}

static void write64(volatile uint8_t *registers, uint32_t at, uint64_t value)
{
    *(volatile uint64_t *)(void *)(registers + at) = value;
}

/* Until the masked bits are `want`. */
static bool settled(const volatile uint8_t *registers, uint32_t at, uint32_t mask, uint32_t want,
                    int64_t patience)
{
    int64_t deadline = clock_monotonic() + patience;
    while ((read32(registers, at) & mask) != want) {
        if (clock_monotonic() >= deadline)
            return false;
        sleep_until(clock_monotonic() + LOOK_NS);
    }
    return true;
}

/* --- what it is --- */

static uint32_t extended_read(void *context, uint32_t offset)
{
    return read32(((struct controller *)context)->registers, offset);
}

static int64_t registers_map(struct controller *controller)
{
    volatile void *at;
    uint64_t length = controller->pci.description.bars[0].length;
    if (length < PAGE_SIZE || length > UINT32_MAX)
        return -E_NOT_SUPPORTED;
    int64_t result = pci_map(&controller->pci, 0, 0, length, CACHE_NONE, &at);
    if (result < 0)
        return result;
    controller->registers = at;
    controller->length = (uint32_t)length;
    return 0;
}

/* Where the parts of the BAR begin is the controller's word: within it, with all of what is used there. */
static int64_t registers_find(struct controller *controller)
{
    volatile uint8_t *registers = controller->registers;
    uint32_t parameters = read32(registers, XHCI_PARAMETERS1);
    uint32_t operational = read32(registers, XHCI_LENGTH) & 0xff;
    uint32_t doorbells = read32(registers, XHCI_DOORBELLS) & ~3u;
    uint32_t runtime = read32(registers, XHCI_RUNTIME) & ~31u;
    uint32_t ports = XHCI_PORTS(parameters), end = controller->length;
    controller->slots = XHCI_SLOTS(parameters);
    if (!ports || !controller->slots || operational % 4 ||
        operational + XHCI_PORT + ports * 16 > end ||
        doorbells > end - (controller->slots + 1u) * 4 || runtime > end - XHCI_DEQUEUE - 8)
        return -E_BAD_FORMAT;
    controller->operational = registers + operational;
    controller->doorbells = registers + doorbells;
    controller->runtime = registers + runtime;
    uint32_t capabilities = read32(registers, XHCI_CAPABILITIES);
    controller->context_size = capabilities & XHCI_CONTEXT_64 ? 64 : 32;
    controller->dma_flags = capabilities & XHCI_64 ? 0 : MEMORY_DMA32;
    controller->powers_ports = capabilities & XHCI_PORT_POWER;
    uint32_t streams = XHCI_STREAMS(capabilities);
    controller->streams = streams ? (uint16_t)MIN((2u << streams) - 1, ENDPOINT_STREAMS) : 0;
    struct extended extended = {extended_read, controller, end, XHCI_EXTENDED(capabilities)};
    extended_ports(&extended, (uint8_t)ports, controller->major);
    return hub_init(&controller->root, controller, NULL, (uint8_t)ports);
}

/* --- resetting it --- */

static void firmware_release(struct controller *controller)
{
    struct extended extended = {extended_read, controller, controller->length,
                                XHCI_EXTENDED(read32(controller->registers, XHCI_CAPABILITIES))};
    uint32_t at = 0;
    if (!extended_next(&extended, EXTENDED_LEGACY, &at))
        return;
    volatile uint8_t *registers = controller->registers;
    write32(registers, at, read32(registers, at) | LEGACY_SYSTEM);
    if (!settled(registers, at, LEGACY_BIOS, 0, FIRMWARE_NS)) {
        fprintf(stderr, "%s: the firmware does not let go of it; taken\n", controller->function);
        write32(registers, at, (read32(registers, at) & ~LEGACY_BIOS) | LEGACY_SYSTEM);
    }
    uint32_t control = read32(registers, at + LEGACY_CONTROL);
    write32(registers, at + LEGACY_CONTROL, (control & LEGACY_KEPT) | LEGACY_EVENTS);
}

static int64_t reset(struct controller *controller)
{
    volatile uint8_t *at = controller->operational;
    write32(at, XHCI_COMMAND, read32(at, XHCI_COMMAND) & ~(XHCI_RUN | XHCI_INTERRUPT));
    if (!settled(at, XHCI_STATUS, XHCI_HALTED, XHCI_HALTED, RESET_NS))
        return -E_TIMED_OUT;
    write32(at, XHCI_COMMAND, XHCI_RESET);
    if (!settled(at, XHCI_COMMAND, XHCI_RESET, 0, RESET_NS) ||
        !settled(at, XHCI_STATUS, XHCI_NOT_READY, 0, RESET_NS))
        return -E_TIMED_OUT;
    return read32(at, XHCI_PAGE_SIZE) & PAGE_4K ? 0 : -E_NOT_SUPPORTED;
}

/* --- its memory --- */

static uint64_t part_address(const struct controller *controller, uint32_t part)
{
    return pci_dma_address(&controller->memory, (uint64_t)part * PAGE_SIZE);
}

static void *part_at(const struct controller *controller, uint32_t part)
{
    return controller->memory.bytes + (size_t)part * PAGE_SIZE;
}

/* Pages for itself; the table's first entry leads to their list. */
static int64_t scratch_give(struct controller *controller)
{
    uint32_t count = XHCI_SCRATCH(read32(controller->registers, XHCI_PARAMETERS2));
    if (!count)
        return 0;
    int64_t result =
        controller_memory(controller, (uint64_t)count * PAGE_SIZE, &controller->scratch);
    if (result >= 0)
        result =
            pci_dma_alloc(&controller->pci, count * sizeof(uint64_t),
                          controller->dma_flags | MEMORY_CONTIGUOUS, &controller->scratch_table);
    if (result < 0)
        return result;
    for (uint32_t i = 0; i < count; i++)
        ((uint64_t *)(void *)controller->scratch_table.bytes)[i] = controller->scratch.pages[i];
    controller_slot_set(controller, 0, controller->scratch_table.pages[0]);
    return 0;
}

static int64_t memory_give(struct controller *controller)
{
    int64_t result = pci_dma_alloc(&controller->pci, PARTS * PAGE_SIZE,
                                   controller->dma_flags | MEMORY_CONTIGUOUS, &controller->memory);
    if (result >= 0)
        result = scratch_give(controller);
    if (result < 0)
        return result;
    ring_init(&controller->commands, part_at(controller, PART_COMMANDS),
              part_address(controller, PART_COMMANDS), PAGE_SIZE / sizeof(struct trb));
    events_init(&controller->events, part_at(controller, PART_EVENTS),
                part_address(controller, PART_EVENTS), EVENT_COUNT);
    *(struct segment *)part_at(controller, PART_TABLE) =
        (struct segment){part_address(controller, PART_EVENTS), EVENT_COUNT, 0};
    return 0;
}

static void run(struct controller *controller)
{
    volatile uint8_t *at = controller->operational, *runtime = controller->runtime;
    write32(at, XHCI_CONFIGURE, controller->slots);
    write64(at, XHCI_DEVICES, part_address(controller, PART_DEVICES));
    write64(at, XHCI_RING, ring_skip(&controller->commands));
    write32(runtime, XHCI_SEGMENTS, 1);
    write64(runtime, XHCI_DEQUEUE, events_address(&controller->events));
    write64(runtime, XHCI_SEGMENT_TABLE, part_address(controller, PART_TABLE));
    write32(runtime, XHCI_MODERATION, MODERATION);
    write32(runtime, XHCI_INTERRUPTER, XHCI_ENABLE);
    write32(at, XHCI_COMMAND, XHCI_RUN | XHCI_INTERRUPT);
}

/* --- its threads --- */

static void *events_thread(void *argument)
{
    struct controller *controller = argument;
    for (;;) {
        int64_t result = handle_wait(controller->irq, SIGNAL_READABLE, DEADLINE_NEVER);
        usbd_lock();
        bool mine = controller_events(controller);
        usbd_unlock();
        sys_ignore(sys_irq_ack(controller->irq, mine ? 0 : IRQ_NOT_MINE));
        if (result < 0) {
            fprintf(stderr, "%s: %s\n", controller->function, error_text(result));
            exit(1);
        }
    }
    return NULL;
}

static int64_t thread_start(void *(*thread)(void *argument), struct controller *controller)
{
    pthread_t started;
    int error = pthread_create(&started, NULL, thread, controller);
    if (!error)
        pthread_detach(started);
    return error ? -E_NO_MEMORY : 0;
}

/* What was plugged in when a usbd before us had the controller is in doubt until all ports were looked at. */
static int64_t hubs_start(struct controller *controller)
{
    usbd_lock();
    if (controllers_again)
        watchers_doubt();
    int64_t result = thread_start(hubs_thread, controller);
    if (result < 0 && controllers_again)
        watchers_settle();
    usbd_unlock();
    return result;
}

static int64_t start(struct controller *controller, const char *function)
{
    char claimed[sizeof(controller->function) + sizeof("-claim")];
    snprintf(claimed, sizeof(claimed), "pci-claim%s",
             strchr(function, ':')); /* it was started for no device */
    int64_t result = pci_claim(&controller->pci, claimed);
    if (result >= 0)
        result = registers_map(controller);
    if (result >= 0)
        result = registers_find(controller);
    if (result < 0)
        return result;
    firmware_release(controller);
    result = reset(controller);
    if (result >= 0)
        result = memory_give(controller);
    if (result >= 0)
        result = pci_interrupt(&controller->pci, PCI_INTERRUPT_ANY, 0, &controller->irq);
    if (result >= 0)
        result = pci_enable(&controller->pci, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    if (result < 0)
        return result;
    run(controller);
    result = thread_start(events_thread, controller);
    return result < 0 ? result : hubs_start(controller);
}

int64_t controller_start(const char *function, uint32_t number, uint64_t resets)
{
    struct controller *controller = calloc(1, sizeof(*controller));
    if (!controller)
        return -E_NO_MEMORY;
    controller->number = number;
    controller->resets = resets;
    controller->pci.file = controller->irq = HANDLE_NONE;
    list_init(&controller->hubs);
    snprintf(controller->function, sizeof(controller->function), "%s", function);
    int64_t result = start(controller, function);
    if (result <
        0) { /* a thread of it may be there: it stays, and hears nothing from a function that is quiet */
        pci_release(&controller->pci);
        return result;
    }
    usbd_lock();
    list_append(&controllers, &controller->link);
    usbd_unlock();
    return 0;
}
