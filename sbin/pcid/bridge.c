/* Bridges: see bridge.h. */
#include "sbin/pcid/bridge.h"

#include "sbin/pcid/function.h"

#define HEADER_TYPE     0x0eu
#define SECONDARY_BUS   0x19u
#define BRIDGES_DEEPEST 32u

/* Kinds of PCI Express' ports (PCI Express Base 5.0, 7.5.3.2). */
#define EXPRESS_FLAGS       2u
#define EXPRESS_PORT(flags) ((flags) >> 4 & 15)
#define PORT_ROOT           4u
#define PORT_UPSTREAM       5u
#define PORT_DOWNSTREAM     6u
#define PORT_EXPRESS_TO_PCI 7u
#define PORT_NOT_EXPRESS    16u

bool bridge_parent(const struct config *config, uint32_t where, uint32_t *bridge)
{
    uint32_t bus = where >> 8 & 0xff;

    for (uint32_t above = 0; above < bus; above++) {
        for (uint32_t n = 0; n < 256; n++) {
            uint32_t candidate = (where & 0xffff0000) | above << 8 | n;

            if (config_read(config, candidate, 0, 2) == 0xffff ||
                (config_read(config, candidate, HEADER_TYPE, 1) & 0x7f) != 1 ||
                config_read(config, candidate, SECONDARY_BUS, 1) != bus)
                continue;
            *bridge = candidate;
            return true;
        }
    }
    return false;
}

static uint32_t port_of(const struct config *config, uint32_t bridge)
{
    uint8_t at = 0, id;

    for (unsigned n = 0; n < PCI_CAPABILITIES_MOST; n++) {
        if (!pci_capability_next(config, bridge, &at, &id))
            break;
        if (id == PCI_CAPABILITY_EXPRESS)
            return EXPRESS_PORT(config_read(config, bridge, at + EXPRESS_FLAGS, 2));
    }
    return PORT_NOT_EXPRESS;
}

uint32_t bridge_requester(const struct config *config, uint32_t where)
{
    uint32_t requester = where, bridge;

    for (unsigned n = 0; n < BRIDGES_DEEPEST && bridge_parent(config, where, &bridge); n++) {
        uint32_t port = port_of(config, bridge);

        if (port == PORT_EXPRESS_TO_PCI)
            requester = where & ~UINT32_C(0xff);
        else if (port != PORT_ROOT && port != PORT_UPSTREAM && port != PORT_DOWNSTREAM)
            requester = bridge;
        where = bridge;
    }
    return requester;
}
