/* Reading the DMAR: see dmar.h. */
#include "sbin/pcid/dmar.h"

#include <string.h>

#include "abi/abi.h"

#define HEADER_SIZE   48u /* ACPI's 36 bytes, host address width, flags, reserved */
#define LENGTH        4u
#define TYPE_UNIT     0u
#define TYPE_RESERVED 1u
#define UNIT_SIZE     16u
#define RESERVED_SIZE 24u
#define UNIT_REST     1u /* INCLUDE_PCI_ALL */

#define SCOPE_ENDPOINT 1u
#define SCOPE_BRIDGE   2u
#define SCOPE_HEADER   6u
#define SCOPE_BUS      5u

#define HEADER_TYPE     0x0eu
#define SECONDARY_BUS   0x19u
#define SUBORDINATE_BUS 0x1au

static uint64_t field(const uint8_t *bytes, uint32_t at, uint32_t size)
{
    uint64_t value = 0;

    memcpy(&value, bytes + at, size);
    return value;
}

bool dmar_open(struct dmar *dmar, const void *bytes, uint64_t size)
{
    if (size < HEADER_SIZE || memcmp(bytes, "DMAR", 4) != 0)
        return false;
    dmar->bytes = bytes;
    dmar->length = (uint32_t)field(bytes, LENGTH, 4);
    return dmar->length >= HEADER_SIZE && dmar->length <= size;
}

static bool read_unit(struct dmar_entry *entry, const uint8_t *bytes, uint32_t length)
{
    if (length < UNIT_SIZE)
        return false;
    *entry = (struct dmar_entry){.kind = DMAR_UNIT,
                                 .rest = field(bytes, 4, 1) & UNIT_REST,
                                 .segment = (uint32_t)field(bytes, 6, 2),
                                 .base = field(bytes, 8, 8),
                                 .scopes = bytes + UNIT_SIZE,
                                 .scopes_length = length - UNIT_SIZE};
    return entry->base && entry->base % PAGE_SIZE == 0;
}

static bool read_reserved(struct dmar_entry *entry, const uint8_t *bytes, uint32_t length)
{
    if (length < RESERVED_SIZE)
        return false;
    *entry = (struct dmar_entry){.kind = DMAR_RESERVED,
                                 .segment = (uint32_t)field(bytes, 6, 2),
                                 .base = field(bytes, 8, 8),
                                 .limit = field(bytes, 16, 8),
                                 .scopes = bytes + RESERVED_SIZE,
                                 .scopes_length = length - RESERVED_SIZE};
    return entry->base % PAGE_SIZE == 0 && entry->limit % PAGE_SIZE == PAGE_SIZE - 1 &&
           entry->limit > entry->base;
}

bool dmar_next(const struct dmar *dmar, uint32_t *offset, struct dmar_entry *entry)
{
    uint32_t at = *offset < HEADER_SIZE ? HEADER_SIZE : *offset;

    while (at <= dmar->length && dmar->length - at >= 4) {
        const uint8_t *bytes = dmar->bytes + at;
        uint32_t type = (uint32_t)field(bytes, 0, 2), length = (uint32_t)field(bytes, 2, 2);

        if (length < 4 || length > dmar->length - at)
            return false; /* nobody knows where the next begins */
        at += length;
        *offset = at;
        if ((type == TYPE_UNIT && read_unit(entry, bytes, length)) ||
            (type == TYPE_RESERVED && read_reserved(entry, bytes, length)))
            return true;
    }
    return false;
}

static bool is_bridge(const struct config *config, uint32_t where)
{
    return (config_read(config, where, HEADER_TYPE, 1) & 0x7f) == 1;
}

/* The function that a path of (device, function) pairs leads to, through the bridges in front of it. */
static bool follow(const struct config *config, uint32_t segment, uint32_t bus, const uint8_t *path,
                   uint32_t length, uint32_t *where)
{
    for (uint32_t i = 0; i + 2 <= length; i += 2) {
        if (path[i] > 31 || path[i + 1] > 7)
            return false;
        *where = where_of(segment, bus, path[i], path[i + 1]);
        if (i + 2 == length)
            return true;
        if (!is_bridge(config, *where))
            return false;
        bus = config_read(config, *where, SECONDARY_BUS, 1);
    }
    return false;
}

static bool is_behind(const struct config *config, uint32_t bridge, uint32_t where)
{
    uint32_t bus = where >> 8 & 0xff;

    return bridge >> 16 == where >> 16 && is_bridge(config, bridge) &&
           bus >= config_read(config, bridge, SECONDARY_BUS, 1) &&
           bus <= config_read(config, bridge, SUBORDINATE_BUS, 1);
}

bool dmar_covers(const struct config *config, const struct dmar_entry *entry, uint32_t where)
{
    for (uint32_t at = 0; entry->scopes_length - at >= SCOPE_HEADER;) {
        const uint8_t *scope = entry->scopes + at;
        uint32_t length = scope[1], named;

        if (length < SCOPE_HEADER + 2 || length > entry->scopes_length - at)
            return false;
        at += length;
        if (!follow(config, entry->segment, scope[SCOPE_BUS], scope + SCOPE_HEADER,
                    length - SCOPE_HEADER, &named))
            continue;
        if ((scope[0] == SCOPE_ENDPOINT || scope[0] == SCOPE_BRIDGE) && named == where)
            return true;
        if (scope[0] == SCOPE_BRIDGE && is_behind(config, named, where))
            return true;
    }
    return false;
}
