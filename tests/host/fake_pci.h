/* A made-up PCI bus for tests: configuration spaces of plain bytes, with masks that say which bits can be written.
 *
 *     struct fake_pci bus = {.count = 2};     functions 00:00.0, 00:01.0, ...; the last one is behind bus 1
 *     fake_config(&bus)                       as pcid sees it
 *
 * Every access is checked: aligned, of a size there is, within the space.
 */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "sbin/pcid/config.h"

#define FAKE_FUNCTIONS 4u
#define FAKE_SIZE      4096u

struct fake_function {
    uint32_t where;
    uint32_t size; /* 256 or 4096 */
    uint8_t bytes[FAKE_SIZE], writable[FAKE_SIZE];
};

struct fake_pci {
    unsigned count;
    uint64_t accesses;
    struct fake_function functions[FAKE_FUNCTIONS];
};

static inline struct fake_function *fake_find(struct fake_pci *bus, uint32_t where)
{
    for (unsigned i = 0; i < bus->count; i++)
        if (bus->functions[i].where == where)
            return &bus->functions[i];
    return NULL;
}

static inline void fake_check(const struct fake_function *function, uint32_t offset, uint32_t size)
{
    if ((size != 1 && size != 2 && size != 4) || offset % size || offset + size > function->size)
        abort();
}

static inline uint32_t fake_size(void *context, uint32_t where)
{
    struct fake_function *function = fake_find(context, where);

    return function ? function->size : 256;
}

static inline uint32_t fake_read(void *context, uint32_t where, uint32_t offset, uint32_t size)
{
    struct fake_function *function = fake_find(context, where);
    uint32_t value = 0;

    ((struct fake_pci *)context)->accesses++;
    if (!function)
        return UINT32_MAX >> (32 - 8 * size);
    fake_check(function, offset, size);
    memcpy(&value, function->bytes + offset, size);
    return value;
}

static inline void fake_write(void *context, uint32_t where, uint32_t offset, uint32_t size,
                              uint32_t value)
{
    struct fake_function *function = fake_find(context, where);

    ((struct fake_pci *)context)->accesses++;
    if (!function)
        return;
    fake_check(function, offset, size);
    for (uint32_t i = 0; i < size; i++) {
        uint8_t mask = function->writable[offset + i], byte = (uint8_t)(value >> 8 * i);

        function->bytes[offset + i] =
            (uint8_t)((function->bytes[offset + i] & ~mask) | (byte & mask));
    }
}

static inline struct config fake_config(struct fake_pci *bus)
{
    return (struct config){fake_read, fake_write, fake_size, bus};
}
