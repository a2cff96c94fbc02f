/* See routing.h. */
#include "kernel/x86_64/routing.h"

#include "kernel/x86_64/vectors.h"

_Static_assert(VECTOR_COUNT == VECTOR_DEVICE_LAST - VECTOR_DEVICE_FIRST + 1,
               "vectors.h has the range");

void routing_init(struct routes *routes)
{
    for (uint32_t i = 0; i < ISA_LINES; i++)
        routes->isa[i] = (struct line){i, false, false};
}

bool routing_override(struct routes *routes, uint8_t isa, uint32_t gsi, bool level, bool low)
{
    if (isa >= ISA_LINES)
        return false;
    routes->isa[isa] = (struct line){gsi, level, low};
    return true;
}

bool routing_resolve(const struct routes *routes, uint32_t line, uint32_t flags,
                     struct line *result)
{
    if (!(flags & IRQ_ISA)) {
        *result = (struct line){line, flags & IRQ_LEVEL, flags & IRQ_LOW};
        return true;
    }
    if (line >= ISA_LINES)
        return false;
    *result = routes->isa[line];
    return true;
}

/* The upper four bits of a vector are its priority, and a CPU holds back interrupts up to the one it serves: taking
 * them 16 apart spreads the lines over the priorities. */
bool vectors_take(struct vector_map *map, struct irq_line *line, uint8_t *vector)
{
    for (uint32_t n = 0; n < VECTOR_COUNT; n++) {
        uint32_t i = n % (VECTOR_COUNT / 16) * 16 + n / (VECTOR_COUNT / 16);

        if (map->lines[i])
            continue;
        map->lines[i] = line;
        map->used++;
        *vector = (uint8_t)(VECTOR_DEVICE_FIRST + i);
        return true;
    }
    return false;
}

void vectors_give(struct vector_map *map, uint8_t vector)
{
    map->lines[vector - VECTOR_DEVICE_FIRST] = NULL;
    map->used--;
}

struct irq_line *vectors_find(const struct vector_map *map, uint8_t vector)
{
    if (vector < VECTOR_DEVICE_FIRST || vector > VECTOR_DEVICE_LAST)
        return NULL;
    return map->lines[vector - VECTOR_DEVICE_FIRST];
}

void message_encode(struct abi_irq_message *message, uint32_t apic_id, uint8_t vector)
{
    *message = (struct abi_irq_message){
        .address = UINT64_C(0xfee00000) | (uint64_t)apic_id << 12,
        .data = vector,
    };
}
