/* The i8042, the controller of PS/2 keyboards and mice (IBM PS/2 Technical Reference, Keyboard and Auxiliary Device
 * Controller; Intel 82C42).
 *
 *     controller_start(&controller)              self-tests, translation off; says which ports there are
 *     controller_ask(...)                        a command to a device and its answers, before interrupts are on
 *     controller_interrupts(&controller)         from here on bytes come with IRQ 1 and 12
 *     controller_receive(&controller, &from, &byte)   on an interrupt, until false
 *     controller_send(&controller, to, byte)
 *
 * The controller has no interrupt for "takes another byte" and none before its interrupts are on, so those are waited for by
 * looking, asleep in between and never longer than WAIT_MS. The caller may use ports 0x60 and 0x64. One thread.
 */
#pragma once

#include "lib/base/base.h"

enum controller_port { CONTROLLER_KEYBOARD, CONTROLLER_AUX, CONTROLLER_PORTS };

struct controller {
    bool present;
    bool port[CONTROLLER_PORTS];
    uint8_t configuration;
};

/* Reports on stderr what is missing or broken. */
void controller_start(struct controller *controller);
void controller_interrupts(struct controller *controller);

/* A byte that lies there, and whose it is; false: none. */
MUST_CHECK bool controller_receive(const struct controller *controller, enum controller_port *from,
                                   uint8_t *byte);

/* False: the controller does not take it. */
MUST_CHECK bool controller_send(const struct controller *controller, enum controller_port to,
                                uint8_t byte);

/* Sends a byte, then waits for the acknowledgement and `count` answers, the first for at most `patience_ms`: false if anything
 * is missing. Before controller_interrupts only. */
MUST_CHECK bool controller_ask(const struct controller *controller, enum controller_port to,
                               uint8_t byte, uint8_t *answers, size_t count, unsigned patience_ms);
