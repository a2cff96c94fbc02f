// sources: sbin/pcid/bridge.c sbin/pcid/function.c sbin/pcid/route.c
/* Hostile configuration spaces: lists that loop, bridges that lead back, BARs that lie. What pcid takes from them must be
 * within bounds, and what it leaves must be quiet. */
#include "sbin/pcid/function.h"
#include "sbin/pcid/route.h"
#include "tests/host/fake_pci.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct fake_pci bus;

/* The input in pieces, one behind the other: bytes and masks of each function. */
static void take(uint8_t *to, size_t length, const uint8_t **data, size_t *size)
{
    size_t piece = MIN(length, *size);

    memset(to, 0, length);
    memcpy(to, *data, piece);
    *data += piece;
    *size -= piece;
}

static void check_bar(const struct pci_bar *bar)
{
    uint64_t limit = bar->flags & PCI_BAR_PORTS ? 0x10000 : UINT64_C(1) << 46;

    if (!bar->length)
        return;
    if (bar->length & (bar->length - 1) || bar->base % bar->length || bar->base == 0 ||
        bar->base >= limit || bar->length > limit - bar->base)
        abort();
}

static void check_place(uint8_t at, unsigned length)
{
    if (at && (at < 0x40 || at % 4 || at + length > 256))
        abort();
}

static void no_wait(void)
{
}

static bool found(void *context, const struct pci_function *function)
{
    const struct config *config = context;
    uint32_t line, flags;

    for (unsigned i = 0; i < PCI_BARS; i++)
        check_bar(&function->bars[i]);
    check_place(function->msi, 14);
    check_place(function->msix, 12);
    check_place(function->express, 20);
    check_place(function->advanced, 6);
    check_place(function->power, 8);
    if (function->msix_count &&
        (function->msix_bar >= PCI_BARS || function->msix_table + function->msix_count * 16ull >
                                               function->bars[function->msix_bar].length))
        abort();
    if (function->pin > 4)
        abort();
    for (uint32_t at = 0; at < 300; at += 2)
        if (pci_may_write(config, function, at, 2) &&
            (at < 0x40 || at >= 256 || at == function->msi || at == function->msix))
            abort();
    if (route_line(config, function, &line, &flags) && line > 23)
        abort();
    pci_reset(config, function, no_wait);
    pci_quiet(config, function);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint32_t places[FAKE_FUNCTIONS] = {0, 1 << 3, (1 << 3) + 1, 1 << 8};
    struct config config = fake_config(&bus);

    if (size < 2)
        return 0;
    bus.count = FAKE_FUNCTIONS;
    bus.accesses = 0;
    data++, size--;
    for (unsigned i = 0; i < FAKE_FUNCTIONS; i++) {
        struct fake_function *function = &bus.functions[i];

        function->where = places[i];
        function->size = i % 2 ? 4096 : 256;
        take(function->bytes, 256, &data, &size);
        take(function->writable, 256, &data, &size);
        if (i == 0) /* else there is mostly nothing */
            function->bytes[0] |= 1;
    }
    pci_walk(&config, 0, 0, 1, found, &config);
    if (bus.accesses > 2000000)
        abort();
    return 0;
}
