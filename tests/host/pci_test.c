// sources: sbin/pcid/bridge.c sbin/pcid/function.c sbin/pcid/route.c
/* What pcid reads out of configuration space, and what it lets drivers write there. */
#include "abi/abi.h"
#include "sbin/pcid/bridge.h"
#include "sbin/pcid/function.h"
#include "sbin/pcid/route.h"
#include "tests/host/fake_pci.h"
#include "tests/host/test.h"

static struct fake_pci bus;
static struct config config;

static void put(unsigned n, uint32_t at, uint32_t size, uint32_t value)
{
    memcpy(bus.functions[n].bytes + at, &value, size);
}

static void put_mask(unsigned n, uint32_t at, uint32_t size, uint32_t value)
{
    memcpy(bus.functions[n].writable + at, &value, size);
}

static uint32_t get(unsigned n, uint32_t at, uint32_t size)
{
    uint32_t value = 0;

    memcpy(&value, bus.functions[n].bytes + at, size);
    return value;
}

/* A device 1234:11e8 with BARs 0 (64 KiB), 2 and 3 (64 bits, 4 GiB at 16 GiB), 4 (ports). */
static void start(void)
{
    memset(&bus, 0, sizeof(bus));
    bus.count = 1;
    bus.functions[0].size = 256;
    bus.functions[0].where = where_of(0, 0, 2, 0);
    config = fake_config(&bus);
    put(0, 0x00, 4, 0x11e81234);
    put(0, 0x04, 2, 0x0107);
    put_mask(0, 0x04, 2, 0x0547);
    put(0, 0x08, 4, 0x02000010);
    put(0, 0x10, 4, 0xfe000000);
    put_mask(0, 0x10, 4, 0xffff0000);
    put(0, 0x18, 4, 0x0000000c);
    put(0, 0x1c, 4, 0x00000004);
    put_mask(0, 0x1c, 4, 0xffffffff);
    put(0, 0x20, 4, 0x0000c041);
    put_mask(0, 0x20, 4, 0x0000ffc0);
    put(0, 0x3d, 1, 1);
}

static struct pci_function read_it(void)
{
    struct pci_function function;

    CHECK(pci_read(&config, bus.functions[0].where, &function));
    return function;
}

TEST(bars_have_sizes)
{
    start();
    struct pci_function function = read_it();

    CHECK_EQUAL(function.vendor, 0x1234);
    CHECK_EQUAL(function.class_code, 0x020000);
    CHECK_EQUAL(function.pin, 1);
    CHECK_EQUAL(function.bars[0].base, 0xfe000000);
    CHECK_EQUAL(function.bars[0].length, 0x10000);
    CHECK_EQUAL(function.bars[0].flags, 0);
    CHECK_EQUAL(function.bars[2].base, UINT64_C(4) << 32);
    CHECK_EQUAL(function.bars[2].length, UINT64_C(1) << 32);
    CHECK_EQUAL(function.bars[2].flags, PCI_BAR_64 | PCI_BAR_PREFETCHABLE);
    CHECK_EQUAL(function.bars[3].length, 0);
    CHECK_EQUAL(function.bars[4].base, 0xc040);
    CHECK_EQUAL(function.bars[4].length, 64);
    CHECK_EQUAL(function.bars[4].flags, PCI_BAR_PORTS);
    /* Everything is as it was. */
    CHECK_EQUAL(get(0, 0x04, 2), 0x0107);
    CHECK_EQUAL(get(0, 0x10, 4), 0xfe000000);
    CHECK_EQUAL(get(0, 0x1c, 4), 4);
    CHECK_EQUAL(get(0, 0x20, 4), 0xc041);
}

TEST(bars_that_lie)
{
    start();
    put_mask(0, 0x10, 4, 0); /* wired to an address: no size can be learnt */
    put(0, 0x10, 4, 0);
    put(0, 0x1c, 4, 0xffffffff); /* beyond any memory */
    put(0, 0x20, 4, 0);          /* nobody gave it an address */
    put(0, 0x24, 4, 0x80000004); /* 64 bits, without a second half */
    put_mask(0, 0x24, 4, 0xffff0000);
    struct pci_function function = read_it();

    for (unsigned i = 0; i < PCI_BARS; i++)
        CHECK_EQUAL(function.bars[i].length, 0);
}

TEST(capabilities)
{
    start();
    put(0, 0x06, 2, 0x10);
    put(0, 0x34, 1, 0x43); /* low bits are reserved */
    put(0, 0x40, 2, 0x5005);
    put(0, 0x50, 4, 0x00036011);
    put(0, 0x54, 4, 0x1000); /* table in BAR 0, at 4 KiB */
    put(0, 0x60, 2, 0x4009); /* and round again */
    struct pci_function function = read_it();

    CHECK_EQUAL(function.msi, 0x40);
    CHECK_EQUAL(function.msix, 0x50);
    CHECK_EQUAL(function.msix_count, 4);
    CHECK_EQUAL(function.msix_bar, 0);
    CHECK_EQUAL(function.msix_table, 0x1000);

    put(0, 0x54, 4, 0xffc8); /* its end lies outside the BAR */
    CHECK_EQUAL(read_it().msix, 0);
    put(0, 0x54, 4, 0x1004); /* ports */
    CHECK_EQUAL(read_it().msix, 0);
    put(0, 0x54, 4, 0x1007); /* no such BAR */
    CHECK_EQUAL(read_it().msix, 0);
    put(0, 0x34, 1, 0x10); /* in the header */
    CHECK_EQUAL(read_it().msi, 0);
    put(0, 0x34, 1, 0xfc); /* too near the end */
    put(0, 0xfc, 2, 0x0005);
    CHECK_EQUAL(read_it().msi, 0);
}

TEST(what_drivers_may_write)
{
    start();
    put(0, 0x06, 2, 0x10);
    put(0, 0x34, 1, 0x50);
    put(0, 0x50, 2, 0x6005); /* MSI */
    put(0, 0x60, 2, 0x7001); /* power management */
    put(0, 0x70, 2, 0x0009); /* vendor's */
    struct pci_function function = read_it();

    CHECK(!pci_may_write(&config, &function, 0x04, 2)); /* another way leads there */
    CHECK(!pci_may_write(&config, &function, 0x10, 4));
    CHECK(!pci_may_write(&config, &function, 0x30, 4));
    CHECK(pci_may_write(&config, &function, 0x0c, 1));
    CHECK(!pci_may_write(&config, &function, 0x0c, 2));
    CHECK(pci_may_write(&config, &function, 0x40, 4)); /* in front of the list: the device's own */
    CHECK(!pci_may_write(&config, &function, 0x50, 4));
    CHECK(!pci_may_write(&config, &function, 0x5c, 4));
    CHECK(!pci_may_write(&config, &function, 0x60, 4));
    CHECK(pci_may_write(&config, &function, 0x64, 2));
    CHECK(!pci_may_write(&config, &function, 0x64, 4));
    CHECK(!pci_may_write(&config, &function, 0x70, 2));
    CHECK(pci_may_write(&config, &function, 0x74, 4));
    CHECK(!pci_may_write(&config, &function, 0x75, 2));
    CHECK(!pci_may_write(&config, &function, 0x100, 4));
    CHECK(!pci_may_write(&config, &function, 0xfffffffc, 4));
}

TEST(quiet)
{
    start();
    put(0, 0x06, 2, 0x10);
    put(0, 0x34, 1, 0x50);
    put(0, 0x50, 4, 0x00816005);
    put_mask(0, 0x52, 2, 0x0071);
    put(0, 0x60, 4, 0xc0030011);
    put_mask(0, 0x62, 2, 0xc000);
    put(0, 0x64, 4, 0);
    struct pci_function function = read_it();

    pci_quiet(&config, &function);
    CHECK_EQUAL(get(0, 0x04, 2) & 0x0404, 0x0400);
    CHECK_EQUAL(get(0, 0x52, 2) & 1, 0);
    CHECK_EQUAL(get(0, 0x62, 2) & 0x8000, 0);
}

static unsigned waited;

/* What a reset does to the header. */
static void reset_now(void)
{
    waited++;
    put(0, 0x10, 4, 0);
    put(0, 0x04, 2, 0);
}

TEST(reset_brings_the_header_back)
{
    start();
    waited = 0;
    struct pci_function function = read_it();

    CHECK(!pci_reset(&config, &function, reset_now));
    put(0, 0x06, 2, 0x10);
    put(0, 0x34, 1, 0x50);
    put(0, 0x50, 4, 0x00000010);
    put(0, 0x54, 4, 0x10000000);
    put_mask(0, 0x58, 2, 0xffff);
    function = read_it();
    CHECK(pci_reset(&config, &function, reset_now));
    CHECK_EQUAL(waited, 1);
    CHECK_EQUAL(get(0, 0x58, 2) & 0x8000, 0x8000);
    CHECK_EQUAL(get(0, 0x10, 4), 0xfe000000);
    CHECK_EQUAL(get(0, 0x04, 2) & 7, 0);
}

static bool count_found(void *context, const struct pci_function *function)
{
    (void)function;
    ++*(unsigned *)context;
    return true;
}

/* A bridge that claims to lead to its own bus; functions 1 and up only where function 0 says so. */
TEST(walk)
{
    unsigned count = 0;

    start();
    bus.count = 4;
    for (unsigned n = 1; n < 4; n++) {
        bus.functions[n] = bus.functions[0];
        bus.functions[n].where = where_of(0, n == 3, 2, n == 3 ? 0 : n);
    }
    put(0, 0x0e, 1, 0x81);
    put(0, 0x19, 1, 0);
    pci_walk(&config, 0, 0, 255, count_found, &count);
    CHECK_EQUAL(count, 4);
    put(0, 0x0e, 1, 0x00);
    count = 0;
    pci_walk(&config, 0, 0, 255, count_found, &count);
    CHECK_EQUAL(count, 2);
    put(0, 0, 2, 0xffff);
    count = 0;
    pci_walk(&config, 0, 0, 0, count_found, &count);
    CHECK_EQUAL(count, 0);
}

TEST(lines_of_chip_sets)
{
    uint32_t line, flags;

    start();
    struct pci_function function = read_it();

    CHECK(!route_line(&config, &function, &line, &flags));
    bus.count = 2;
    bus.functions[1].where = where_of(0, 0, 31, 0);
    bus.functions[1].size = 256;
    put(1, 0, 4, 0x29188086);
    CHECK(route_line(&config, &function, &line, &flags));
    CHECK_EQUAL(line, 22); /* device 2, INTA */
    CHECK_EQUAL(flags, IRQ_LEVEL | IRQ_LOW);
    function.pin = 0;
    CHECK(!route_line(&config, &function, &line, &flags));
    function.pin = 2;
    put(1, 0, 4, 0x70008086);
    put(1, 0x60, 4, 0x0a0b800a);
    CHECK(route_line(&config, &function, &line, &flags)); /* PIRQ 2: 0x0b */
    CHECK_EQUAL(line, 0x0b);
    CHECK_EQUAL(flags, IRQ_ISA);
    function.pin = 1;
    CHECK(!route_line(&config, &function, &line, &flags)); /* PIRQ 1 is off */
}

/* --- Bridges ------------------------------------------------------------------------------------------------------------ */

/* A bridge from its bus to the next; port: of PCI Express, or none (16). */
static void put_bridge(unsigned n, uint32_t where, uint8_t secondary, uint32_t port)
{
    bus.functions[n].size = 256;
    bus.functions[n].where = where;
    put(n, 0x00, 4, 0x00011234);
    put(n, 0x0e, 1, 1);
    put(n, 0x19, 1, secondary);
    if (port == 16)
        return;
    put(n, 0x06, 2, 0x10);
    put(n, 0x34, 1, 0x40);
    put(n, 0x40, 2, 0x0010);
    put(n, 0x42, 2, port << 4 | 2);
}

static void behind(unsigned n, uint32_t where)
{
    bus.functions[n].size = 256;
    bus.functions[n].where = where;
    put(n, 0x00, 4, 0x00021234);
    bus.count = n + 1;
}

TEST(requests_name_who_asks_or_a_bridge)
{
    uint32_t root = where_of(0, 0, 3, 0), middle = where_of(0, 1, 4, 0),
             deep = where_of(0, 2, 5, 1);

    start();
    CHECK_EQUAL(bridge_requester(&config, where_of(0, 0, 2, 0)), where_of(0, 0, 2, 0));
    CHECK_EQUAL(bridge_requester(&config, where_of(0, 7, 2, 0)),
                where_of(0, 7, 2, 0)); /* another root bus */
    put_bridge(0, root, 1, 4);
    put_bridge(1, middle, 2, 6);
    behind(2, deep);
    CHECK_EQUAL(bridge_requester(&config, deep), deep); /* PCI Express all the way */
    put_bridge(1, middle, 2, 7);
    CHECK_EQUAL(bridge_requester(&config, deep), where_of(0, 2, 0, 0));
    CHECK_EQUAL(bridge_requester(&config, middle), middle);
    put_bridge(1, middle, 2, 8);
    CHECK_EQUAL(bridge_requester(&config, deep), middle);
    start();
    put_bridge(0, root, 1, 16);
    put_bridge(1, middle, 2, 16);
    behind(2, deep);
    CHECK_EQUAL(bridge_requester(&config, deep), root); /* the last that puts its name on it */
    put_bridge(0, root, 1, 7);
    CHECK_EQUAL(bridge_requester(&config, deep), where_of(0, 1, 0, 0));
}

TEST(bridges_that_lie_lead_nowhere)
{
    start();
    put_bridge(0, where_of(0, 1, 3, 0), 1, 16); /* to its own bus */
    put_bridge(1, where_of(0, 2, 3, 0), 1, 16); /* back */
    behind(2, where_of(0, 1, 4, 0));
    CHECK_EQUAL(bridge_requester(&config, where_of(0, 1, 4, 0)), where_of(0, 1, 4, 0));
    put_bridge(0, where_of(0, 0, 3, 0), 1, 4);
    put(0, 0x41, 1, 0x40); /* a list of capabilities that is a circle */
    put(0, 0x40, 1, 0x05);
    CHECK_EQUAL(bridge_requester(&config, where_of(0, 1, 4, 0)), where_of(0, 0, 3, 0));
}
