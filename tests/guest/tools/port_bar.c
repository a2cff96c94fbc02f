/* A driver of a function with a BAR of ports uses these, and no others.
 *
 *     port_bar URI      claims it; "ok", or what is wrong
 */
#include <setjmp.h>
#include <signal.h>

#include "lib/pci/driver.h"
#include "lib/sys/error.h"
#include "lib/sys/ports.h"
#include "tests/guest/tools/need.h"

static sigjmp_buf refused;

static void on_fault(int number)
{
    (void)number;
    siglongjmp(refused, 1);
}

static bool may_read(uint16_t port, uint32_t width)
{
    if (sigsetjmp(refused, 1))
        return false;
    (void)port_read(port, width);
    return true;
}

/* The first of the function's; PCI_BARS: it has none. */
static uint32_t bar_of_ports(const struct pci_description *description)
{
    for (uint32_t bar = 0; bar < PCI_BARS; bar++)
        if (description->bars[bar].flags & PCI_BAR_PORTS && description->bars[bar].length)
            return bar;
    return PCI_BARS;
}

int main(int argc, char **argv)
{
    struct pci_device device;
    NEED(argc == 2);
    int64_t result = pci_claim(&device, argv[1]);
    if (result < 0) {
        printf("%s: %s\n", argv[1], error_text(result));
        return 1;
    }
    NEED(signal(SIGSEGV, on_fault) != SIG_ERR);
    uint32_t bar = bar_of_ports(&device.description);
    NEED(bar < PCI_BARS);
    uint16_t first = (uint16_t)device.description.bars[bar].base;
    uint16_t end = (uint16_t)(first + device.description.bars[bar].length);

    NEED(!may_read(first, 1));
    for (uint32_t other = 0; other < PCI_BARS; other++)
        if (!(device.description.bars[other].flags & PCI_BAR_PORTS))
            NEED(pci_ports(&device, other) < 0);
    NEED(pci_ports(&device, bar) == 0);
    NEED(may_read(first, 1) && may_read(first, 4) && may_read((uint16_t)(end - 1), 1));
    NEED(!may_read((uint16_t)(first - 1), 1) && !may_read(end, 1) && !may_read(0xcf8, 4));
    NEED(!may_read((uint16_t)(end - 1), 2)); /* half of it outside */
    printf("ok\n");
    return 0;
}
