/* A controller at work: see controller.h. Its start is in start.c. */
#include "sbin/usbd/controller.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/sys/clock.h"
#include "sbin/usbd/context.h"
#include "sbin/usbd/device.h"
#include "sbin/usbd/registers.h"
#include "sbin/usbd/start.h"

#define COMMAND_NS (5000 * MILLISECOND)

static NORETURN void controller_fail(const struct controller *controller, const char *what)
{
    fprintf(stderr, "%s: %s\n", controller->function, what);
    exit(1);
}

int64_t controller_memory(struct controller *controller, uint64_t length, struct pci_dma *memory)
{
    return pci_dma_alloc(&controller->pci, length, controller->dma_flags, memory);
}

int64_t controller_memory_lend(struct controller *controller, uint64_t length,
                               struct pci_dma *memory)
{
    return pci_dma_lend(&controller->pci, length, controller->dma_flags | MEMORY_STAYS, memory);
}

/* It was lent by a usbd before, for this controller: if not, it may lie too high. */
int64_t controller_memory_again(struct controller *controller, handle_t handle,
                                struct pci_dma *memory)
{
    int64_t result = pci_dma_again(&controller->pci, handle, memory);
    if (result < 0 || !(controller->dma_flags & MEMORY_DMA32))
        return result;
    for (uint64_t i = 0; i < memory->length / PAGE_SIZE; i++) {
        if (memory->pages[i] <= UINT32_MAX)
            continue;
        pci_dma_free(&controller->pci, memory);
        return -E_INVALID;
    }
    return 0;
}

void controller_doorbell(struct controller *controller, uint8_t slot, uint8_t dci, uint16_t stream)
{
    *(volatile uint32_t *)(controller->doorbells + slot * 4u) = dci | (uint32_t)stream << 16;
}

void controller_slot_set(struct controller *controller, uint8_t slot, uint64_t context)
{
    ((volatile uint64_t *)(void *)controller->memory.bytes)[slot] = context;
}

static volatile uint32_t *operational(const struct controller *controller, uint32_t at)
{
    return (volatile uint32_t *)(controller->operational + at);
}

/* --- ports --- */

uint32_t controller_port(const struct controller *controller, uint8_t port)
{
    return *operational(controller, XHCI_PORT + (port - 1u) * 16);
}

void controller_port_set(struct controller *controller, uint8_t port, uint32_t set)
{
    volatile uint32_t *status = operational(controller, XHCI_PORT + (port - 1u) * 16);
    *status = (*status & PORT_KEPT) | set;
}

/* --- commands --- */

static int64_t code_result(uint32_t code)
{
    switch (code) {
    case CODE_SUCCESS:
        return 0;
    case CODE_CONTEXT_STATE:
        return -E_BUSY;
    case CODE_RESOURCE:
    case CODE_BANDWIDTH:
    case CODE_NO_SLOTS:
        return -E_NO_SPACE;
    case CODE_STALL:
        return -E_NOT_SUPPORTED;
    default:
        return -E_IO;
    }
}

static bool answer_wait(const struct controller *controller)
{
    int64_t deadline = clock_monotonic() + COMMAND_NS;
    while (!controller->answer && clock_monotonic() < deadline)
        usbd_wait(deadline);
    return controller->answer;
}

static int64_t command_run(struct controller *controller, const struct trb *trb, uint8_t *got_slot)
{
    while (controller->commanding)
        usbd_wait(DEADLINE_NEVER);
    controller->commanding = true;
    controller->answer = 0;
    ring_put(&controller->commands, trb, 1);
    controller_doorbell(controller, 0, 0, 0);
    if (!answer_wait(controller)) {
        fprintf(stderr, "%s: command %u takes too long\n", controller->function,
                TRB_TYPE(trb->control));
        *(volatile uint64_t *)(void *)(controller->operational + XHCI_RING) = XHCI_RING_ABORT;
        if (!answer_wait(controller))
            controller_fail(controller, "does not carry out its commands");
    }
    int64_t result = code_result(controller->answer);
    if (got_slot)
        *got_slot = controller->answer_slot;
    controller->commanding = false;
    usbd_changed();
    return result;
}

static uint32_t command_control(enum trb_type type, uint8_t slot, uint8_t dci)
{
    return TRB_OF(type) | (uint32_t)slot << 24 | (uint32_t)dci << 16;
}

int64_t controller_command(struct controller *controller, enum trb_type type, uint8_t slot,
                           uint8_t dci, uint64_t parameter, uint8_t *got_slot)
{
    const struct trb trb = {.parameter = parameter, .control = command_control(type, slot, dci)};
    return command_run(controller, &trb, got_slot);
}

int64_t controller_dequeue(struct controller *controller, uint8_t slot, uint8_t dci,
                           uint16_t stream, uint64_t pointer)
{
    const struct trb trb = {.parameter = stream ? context_stream(pointer) : pointer,
                            .status = (uint32_t)stream << 16,
                            .control = command_control(TRB_SET_DEQUEUE, slot, dci)};
    return command_run(controller, &trb, NULL);
}

/* --- events --- */

static void command_event(struct controller *controller, const struct trb *event)
{
    uint32_t place;
    if (!ring_find(&controller->commands, event->parameter, &place))
        return; /* "stopped" names the one that would have come next */
    if (TRB_CODE(event->status) == CODE_COMMAND_STOPPED)
        controller_fail(controller, "stopped before a command");
    ring_retire(&controller->commands, place + 1);
    controller->answer = TRB_CODE(event->status) ? TRB_CODE(event->status) : CODE_TRB;
    controller->answer_slot = (uint8_t)TRB_SLOT(event->control);
    usbd_changed();
}

static void transfer_event(struct controller *controller, const struct trb *event)
{
    struct device *device = controller->devices[TRB_SLOT(event->control)];
    uint8_t dci = TRB_ENDPOINT(event->control);
    if (device && device_endpoint(device, dci))
        endpoint_event(device_endpoint(device, dci), event);
}

static void event_serve(struct controller *controller, const struct trb *event)
{
    switch (TRB_TYPE(event->control)) {
    case TRB_COMMAND_EVENT:
        command_event(controller, event);
        break;
    case TRB_TRANSFER_EVENT:
        transfer_event(controller, event);
        break;
    case TRB_PORT_EVENT:
        hub_port_changed(&controller->root, (uint32_t)event->parameter >> 24);
        break;
    case TRB_HOST_EVENT:
        fprintf(stderr, "%s: host event %u\n", controller->function, TRB_CODE(event->status));
        break;
    default:
        break;
    }
}

/* False: nothing was there. The next interrupt is asked for before the last look (4.17.2: EINT, then IP, then EHB). */
bool controller_events(struct controller *controller)
{
    volatile uint32_t *interrupter = (volatile uint32_t *)(controller->runtime + XHCI_INTERRUPTER);
    volatile uint64_t *dequeue = (volatile uint64_t *)(void *)(controller->runtime + XHCI_DEQUEUE);
    uint32_t status = *operational(controller, XHCI_STATUS);
    struct trb event;
    bool any = status & XHCI_EVENT;
    if (status & (XHCI_HOST_ERROR | XHCI_INTERNAL))
        controller_fail(controller, status == UINT32_MAX ? "is gone" : "has failed");
    *operational(controller, XHCI_STATUS) = XHCI_EVENT;
    *interrupter = XHCI_PENDING | XHCI_ENABLE;
    while (events_take(&controller->events, &event)) {
        event_serve(controller, &event);
        any = true;
    }
    *dequeue = events_address(&controller->events) | XHCI_HANDLER_BUSY;
    return any;
}
