/* Where interrupt lines go: the arithmetic of ioapic.c, without hardware, for tests too.
 *
 *     routing_override(&routes, isa, gsi, level, low)      what the MADT says differs from the bus's default
 *     routing_resolve(&routes, line, flags)                the GSI, its trigger and polarity, of IRQ_* flags
 *     vectors_take(&map, &vector), vectors_give(...)       device vectors of one CPU
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

/* A CPU's device vectors: which GSI each serves. */
#define VECTOR_COUNT 192u /* VECTOR_DEVICE_FIRST .. VECTOR_DEVICE_LAST */
#define GSI_NONE     UINT32_MAX

struct vector_map {
    uint32_t gsi[VECTOR_COUNT];
    uint32_t used;
};

void vectors_init(struct vector_map *map);
/* False: all are taken. */
bool vectors_take(struct vector_map *map, uint32_t gsi, uint8_t *vector);
void vectors_give(struct vector_map *map, uint8_t vector);
/* GSI_NONE: nobody's. */
uint32_t vectors_gsi(const struct vector_map *map, uint8_t vector);
