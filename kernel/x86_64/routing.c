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

void vectors_init(struct vector_map *map)
{
    for (uint32_t i = 0; i < VECTOR_COUNT; i++)
        map->gsi[i] = GSI_NONE;
    map->used = 0;
}

/* The upper four bits of a vector are its priority, and a CPU holds back interrupts up to the one it serves: taking
 * them 16 apart spreads the lines over the priorities. */
bool vectors_take(struct vector_map *map, uint32_t gsi, uint8_t *vector)
{
    for (uint32_t n = 0; n < VECTOR_COUNT; n++) {
        uint32_t i = n % (VECTOR_COUNT / 16) * 16 + n / (VECTOR_COUNT / 16);

        if (map->gsi[i] != GSI_NONE)
            continue;
        map->gsi[i] = gsi;
        map->used++;
        *vector = (uint8_t)(VECTOR_DEVICE_FIRST + i);
        return true;
    }
    return false;
}

void vectors_give(struct vector_map *map, uint8_t vector)
{
    map->gsi[vector - VECTOR_DEVICE_FIRST] = GSI_NONE;
    map->used--;
}

uint32_t vectors_gsi(const struct vector_map *map, uint8_t vector)
{
    if (vector < VECTOR_DEVICE_FIRST || vector > VECTOR_DEVICE_LAST)
        return GSI_NONE;
    return __atomic_load_n(&map->gsi[vector - VECTOR_DEVICE_FIRST], __ATOMIC_RELAXED);
}
