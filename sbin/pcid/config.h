/* Configuration space, wherever it comes from: memory (ECAM), ports 0xcf8 and 0xcfc, or a test.
 *
 *     config_start()                        the machine's: finds out which; before anything else
 *     config_machine                        the machine's
 *     config_read(config, where, offset, size), config_write(...)
 *
 * where: segment << 16 | bus << 8 | device << 3 | function. Offsets are aligned to the size: 1, 2 or 4. Beyond
 * config->size(where) everything reads as ones and writing does nothing.
 */
#pragma once

#include "lib/base/base.h"

struct config {
    uint32_t (*read)(void *context, uint32_t where, uint32_t offset, uint32_t size);
    void (*write)(void *context, uint32_t where, uint32_t offset, uint32_t size, uint32_t value);
    uint32_t (*size)(void *context, uint32_t where); /* 0, 256 or 4096 */
    void *context;
};

static inline uint32_t config_read(const struct config *config, uint32_t where, uint32_t offset,
                                   uint32_t size)
{
    if (offset > config->size(config->context, where) - size ||
        config->size(config->context, where) == 0)
        return UINT32_MAX >> (32 - 8 * size);
    return config->read(config->context, where, offset, size);
}

static inline void config_write(const struct config *config, uint32_t where, uint32_t offset,
                                uint32_t size, uint32_t value)
{
    if (config->size(config->context, where) != 0 &&
        offset <= config->size(config->context, where) - size)
        config->write(config->context, where, offset, size, value);
}

static inline uint32_t where_of(uint32_t segment, uint32_t bus, uint32_t device, uint32_t function)
{
    return segment << 16 | bus << 8 | device << 3 | function;
}

/* The first bus and the last of the nth segment; false: there are no more. */
struct config_segment {
    uint32_t segment, first_bus, last_bus;
};
bool config_segment_at(unsigned n, struct config_segment *segment);

extern const struct config config_machine;
/* 0, or -E_*: no configuration space. */
int64_t config_start(void);
