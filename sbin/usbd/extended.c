/* Extended capabilities: see extended.h. */
#include "sbin/usbd/extended.h"

#include <string.h>

#include "sbin/usbd/registers.h"

#define HEAD 16u /* bytes of one that are read */

bool extended_next(const struct extended *extended, uint8_t id, uint32_t *at)
{
    uint32_t offset = extended->first, seen = *at;
    while (offset && offset <= extended->length && extended->length - offset >= HEAD) {
        uint32_t word = extended->read(extended->context, offset);
        if (offset > seen && EXTENDED_ID(word) == id) {
            *at = offset;
            return true;
        }
        if (!EXTENDED_NEXT(word))
            return false;
        offset += EXTENDED_NEXT(word);
    }
    return false;
}

void extended_ports(const struct extended *extended, uint8_t ports, uint8_t major[EXTENDED_PORTS])
{
    uint32_t at = 0;
    memset(major, 0, EXTENDED_PORTS);
    while (extended_next(extended, EXTENDED_PROTOCOL, &at)) {
        uint8_t version = (uint8_t)(extended->read(extended->context, at) >> 24);
        uint32_t range = extended->read(extended->context, at + 8);
        uint32_t first = range & 0xff, count = range >> 8 & 0xff;
        for (uint32_t port = first; port && port < first + count && port <= ports; port++)
            if (version == 2 || version == 3)
                major[port] = version;
    }
}
