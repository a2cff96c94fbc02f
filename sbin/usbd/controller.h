/* A host controller: claimed, reset, running; its commands and its events (xHCI 1.2, chapter 4).
 *
 *     controller_start(function, number, resets)          a thread hears its events from then on
 *     controller_memory(controller, length, &memory)      that it reaches
 *     controller_doorbell(controller, slot, dci, stream)
 *     controller_command(...), controller_dequeue(...)    wait (lock.h); one at a time
 *     controller_port(controller, port), controller_port_set(...)
 *
 * Of an event only numbers are believed that were checked: a slot that is ours, an endpoint it has, a block that is under way.
 * A controller that does not carry out a command within COMMAND_NS, and does not let itself be stopped, or says of itself that it has
 * failed, is beyond help from here: usbd ends, pcid makes it quiet, and the next usbd begins with a reset.
 */
#pragma once

#include "sbin/usbd/endpoint.h"
#include "sbin/usbd/extended.h"
#include "sbin/usbd/hub.h"
#include "sbin/usbd/lock.h"

#define CONTROLLER_SLOTS 256u

struct controller {
    struct list link;
    char function[32]; /* "pci:///00:04.0" */
    uint32_t number;   /* from 1: names of devices begin with it */
    uint64_t resets;   /* what pci:///devices said at the start */
    struct pci_device pci;
    handle_t irq;
    volatile uint8_t *registers, *operational, *runtime, *doorbells;
    uint32_t length; /* of the registers */
    uint32_t context_size, dma_flags;
    uint8_t slots;    /* the most */
    uint16_t streams; /* of an endpoint, the most; 0: it knows none */
    uint8_t major[EXTENDED_PORTS];
    bool powers_ports;

    struct pci_dma memory, scratch, scratch_table;
    struct ring commands;
    struct events events;
    struct device *devices[CONTROLLER_SLOTS]; /* by slot */

    bool commanding; /* a command is under way, or answered and not yet looked at: */
    uint32_t answer; /* 0: not yet; a TRB_CODE */
    uint8_t answer_slot;

    struct list hubs; /* struct hub, the root first */
    struct hub root;
};

extern struct list controllers; /* in the order of their numbers */
extern bool controllers_again;  /* a usbd before this one had them: what was plugged in is known */

/* 0: in the list. -E_*: the log says no more than the caller. Not under the lock. */
MUST_CHECK int64_t controller_start(const char *function, uint32_t number, uint64_t resets);

MUST_CHECK int64_t controller_memory(struct controller *controller, uint64_t length,
                                     struct pci_dma *memory);
/* The same for memory that drivers' clients have, too (lib/pci/driver.h); handle: of such memory, the controller's to close. */
MUST_CHECK int64_t controller_memory_lend(struct controller *controller, uint64_t length,
                                          struct pci_dma *memory);
MUST_CHECK int64_t controller_memory_again(struct controller *controller, handle_t handle,
                                           struct pci_dma *memory);

/* stream: 0 for what has none, as below. */
void controller_doorbell(struct controller *controller, uint8_t slot, uint8_t dci, uint16_t stream);

/* -E_BUSY: not in the state for that; -E_NO_SPACE: no bandwidth, slot or memory of its own; -E_NOT_SUPPORTED: the device refused;
 * -E_IO: anything else. got_slot: of ENABLE_SLOT; may be NULL. */
MUST_CHECK int64_t controller_command(struct controller *controller, enum trb_type type,
                                      uint8_t slot, uint8_t dci, uint64_t parameter,
                                      uint8_t *got_slot);
/* Where the endpoint, which does not run, goes on: ring_skip's pointer. */
MUST_CHECK int64_t controller_dequeue(struct controller *controller, uint8_t slot, uint8_t dci,
                                      uint16_t stream, uint64_t pointer);

/* The device's context is the controller's to write from now on. */
void controller_slot_set(struct controller *controller, uint8_t slot, uint64_t context);

uint32_t controller_port(const struct controller *controller, uint8_t port);
/* set: bits of PORT_*, which act when they are written as 1; what else the port has stays. */
void controller_port_set(struct controller *controller, uint8_t port, uint32_t set);
