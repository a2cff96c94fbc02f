/* Bridges: see bridge.h. */
#include "sbin/pcid/bridge.h"

#include "sbin/pcid/function.h"

#define HEADER_TYPE     0x0eu
#define HEADER_SEVERAL  0x80u /* functions */
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

/* Whether the device at `where`, or a function beside it, leads to that bus. */
static bool device_leads_to(const struct config *config, uint32_t where, uint32_t bus,
                            uint32_t *bridge)
{
    uint32_t functions = 1;

    for (uint32_t n = 0; n < functions; n++) {
        *bridge = where | n;
        if (config_read(config, *bridge, 0, 2) == 0xffff)
            continue;

        uint32_t header = config_read(config, *bridge, HEADER_TYPE, 1);

        if (n == 0 && header & HEADER_SEVERAL)
            functions = 8;
        if ((header & 0x7f) == 1 && config_read(config, *bridge, SECONDARY_BUS, 1) == bus)
            return true;
    }
    return false;
}

bool bridge_parent(const struct config *config, uint32_t where, uint32_t *bridge)
{
    uint32_t segment = where >> 16, bus = where >> 8 & 0xff;

    for (uint32_t above = 0; above < bus; above++)
        for (uint32_t device = 0; device < 32; device++)
            if (device_leads_to(config, where_of(segment, above, device, 0), bus, bridge))
                return true;
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
