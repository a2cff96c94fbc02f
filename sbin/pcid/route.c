/* Interrupt lines of known chip sets: Intel's PIIX3 (82371SB datasheet, 4.1.11) and ICH9 (10.1.49 and what QEMU makes of it). */
#include "sbin/pcid/route.h"

#include "abi/abi.h"
#include "sbin/pcid/bridge.h"

#define PIIX3 UINT32_C(0x70008086)
#define ICH9  UINT32_C(0x29188086)

#define PIIX3_PIRQ      0x60u /* a register for each of PIRQA to D: the ISA line, or 0x80 */
#define ICH9_FIRST      16u   /* PIRQA to H are lines 16 to 23 */
#define ICH9_INTERNAL   25u   /* devices from here on are the chip set's own */
#define BRIDGES_DEEPEST 32u

static uint32_t device_of(uint32_t where)
{
    return where >> 3 & 31;
}

/* Behind a bridge pins are rotated by the device's number (PCI-to-PCI Bridge Architecture 1.2, 9.1). A parent has a lower bus
 * number, so this ends. */
static uint32_t to_root(const struct config *config, uint32_t where, uint32_t *pin)
{
    uint32_t parent;

    for (unsigned n = 0; n < BRIDGES_DEEPEST && bridge_parent(config, where, &parent); n++) {
        *pin = (*pin + device_of(where)) % 4;
        where = parent;
    }
    return where;
}

/* The ISA bridge of the root bus, by its identity. */
static bool find_chipset(const struct config *config, uint32_t root, uint32_t identity,
                         uint32_t *where)
{
    for (uint32_t n = 0; n < 256; n++) {
        *where = (root & 0xffffff00) | n;
        if (config_read(config, *where, 0, 4) == identity)
            return true;
    }
    return false;
}

bool route_line(const struct config *config, const struct pci_function *function, uint32_t *line,
                uint32_t *flags)
{
    uint32_t pin, root, chipset;

    if (!function->pin)
        return false;
    pin = function->pin - 1u;
    root = to_root(config, function->where, &pin);
    if (find_chipset(config, root, PIIX3, &chipset)) {
        uint32_t pirq = (pin + device_of(root) - 1) % 4;

        *line = config_read(config, chipset, PIIX3_PIRQ + pirq, 1);
        *flags = IRQ_ISA;
        return *line < 16;
    }
    if (find_chipset(config, root, ICH9, &chipset) && device_of(root) < ICH9_INTERNAL) {
        *line = ICH9_FIRST + 4 + (pin + device_of(root)) % 4;
        *flags = IRQ_LEVEL | IRQ_LOW;
        return true;
    }
    return false;
}
