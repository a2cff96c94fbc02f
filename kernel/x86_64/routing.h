/* Where interrupt lines go: the arithmetic of ioapic.c, without hardware, for tests too.
 *
 *     routing_override(&routes, isa, gsi, level, low)      what the MADT says differs from the bus's default
 *     routing_resolve(&routes, line, flags)                the GSI, its trigger and polarity, of IRQ_* flags
 *     vectors_take(&map, line, &vector), vectors_give(...) device vectors of one CPU
 *     message_encode(&message, apic_id, vector)            what a device writes to raise it (SDM volume 3, 10.11)
 */
#pragma once

#include "abi/abi.h"
#include "lib/base/base.h"

#define ISA_LINES 16u

struct line {
    uint32_t gsi;
    bool level, low;
};

struct routes {
    struct line isa[ISA_LINES];
};

/* One to one, edge, high: how ISA is wired unless told otherwise. */
void routing_init(struct routes *routes);
/* False: there is no such ISA line. */
bool routing_override(struct routes *routes, uint8_t isa, uint32_t gsi, bool level, bool low);
/* False: IRQ_ISA with a line beyond 15. */
bool routing_resolve(const struct routes *routes, uint32_t line, uint32_t flags,
                     struct line *result);

/* A CPU's device vectors: where each leads. */
#define VECTOR_COUNT 192u /* VECTOR_DEVICE_FIRST .. VECTOR_DEVICE_LAST */

struct irq_line;

struct vector_map {
    struct irq_line *lines[VECTOR_COUNT];
    uint32_t used;
};

/* A map starts as zeros. False: all are taken. */
bool vectors_take(struct vector_map *map, struct irq_line *line, uint8_t *vector);
void vectors_give(struct vector_map *map, uint8_t vector);
/* NULL: nobody's. */
struct irq_line *vectors_find(const struct vector_map *map, uint8_t vector);

/* Fixed delivery, edge, to one CPU. Ids of 255 and above cannot be named without interrupt remapping. */
#define MESSAGE_APIC_LIMIT 255u
void message_encode(struct abi_irq_message *message, uint32_t apic_id, uint8_t vector);
