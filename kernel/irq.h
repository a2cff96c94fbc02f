/* Interrupts as objects: what irq_bind makes, and how the machine's interrupts reach them. See irq.c.
 *
 *     arch_irq_route(line)          a vector of a CPU for a line of an IO-APIC, masked; or for a message
 *     irq_interrupt(line)           from the machine's handler: marks who is bound, wakes them
 *     arch_irq_mask, arch_irq_unmask(line), arch_irq_unroute(line)
 */
#pragma once

#include "kernel/object.h"

#define IRQ_NUMBER_MESSAGE UINT32_MAX

/* What a vector leads to: a line, with everybody who is bound to it, or a message, with one. */
struct irq_line {
    struct list link;    /* lines, not messages; irq_lock */
    uint32_t references; /* of irq objects; irq_lock */
    uint32_t number;     /* global system interrupt, or IRQ_NUMBER_MESSAGE */
    bool level, low;
    uint32_t cpu;   /* where it arrives: the machine's to say, while it is routed */
    uint8_t vector; /* the same */

    struct lock lock;  /* RANK_IRQ: everything below */
    bool routed;       /* written under irq_lock, too */
    bool masked;       /* lines only */
    bool claimed;      /* level: somebody's device had fired, this time */
    bool stuck;        /* level: it fires and is nobody's */
    uint32_t waiting;  /* level: bound ones that have not acknowledged */
    uint32_t nobody;   /* level: times in a row that it was nobody's */
    uint32_t unheeded; /* message: fired since it was last acknowledged */
    struct list bound; /* struct irq */
};

void irq_interrupt(struct irq_line *line);
