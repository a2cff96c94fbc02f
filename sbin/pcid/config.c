/* The machine's configuration space: in memory where ACPI says so (system_info has what the kernel found), else through
 * ports (PCI Local Bus Specification 3.0, 3.2.2.3.2), the first 256 bytes. One thread: the two ports belong together. */
#include "sbin/pcid/config.h"

#include <stdio.h>

#include "lib/sys/error.h"
#include "lib/sys/map.h"
#include "lib/sys/ports.h"
#include "lib/sys/startup.h"
#include "lib/sys/syscall.h"

#define PORT_ADDRESS 0xcf8
#define PORT_DATA    0xcfc
#define ENABLE       0x80000000u
#define BUS_SIZE     0x100000u /* of ECAM: 256 functions of 4 KiB */

static struct {
    struct config_segment range;
    volatile uint8_t *memory; /* of its first bus; NULL: ports */
} segments[ABI_PCI_SEGMENTS];
static unsigned segment_count;

static volatile uint8_t *memory_of(uint32_t where)
{
    uint32_t bus = where >> 8 & 0xff;

    for (unsigned i = 0; i < segment_count; i++)
        if (segments[i].memory && segments[i].range.segment == where >> 16 &&
            bus >= segments[i].range.first_bus && bus <= segments[i].range.last_bus)
            return segments[i].memory + (uint64_t)(bus - segments[i].range.first_bus) * BUS_SIZE +
                   (where & 0xff) * 4096;
    return NULL;
}

static uint32_t machine_size(void *context, uint32_t where)
{
    (void)context;
    if (memory_of(where))
        return 4096;
    return where >> 16 == 0 && segment_count && !segments[0].memory ? 256 : 0;
}

static void select_register(uint32_t where, uint32_t offset)
{
    port_write(PORT_ADDRESS, 4, ENABLE | where << 8 | (offset & 0xfc));
}

static uint32_t machine_read(void *context, uint32_t where, uint32_t offset, uint32_t size)
{
    volatile uint8_t *at = memory_of(where);

    (void)context;
    if (!at) {
        select_register(where, offset);
        return port_read((uint16_t)(PORT_DATA + offset % 4), size);
    }
    at += offset;
    if (size == 1)
        return *at;
    return size == 2 ? *(volatile uint16_t *)at : *(volatile uint32_t *)at;
}

static void machine_write(void *context, uint32_t where, uint32_t offset, uint32_t size,
                          uint32_t value)
{
    volatile uint8_t *at = memory_of(where);

    (void)context;
    if (!at) {
        select_register(where, offset);
        port_write((uint16_t)(PORT_DATA + offset % 4), size, value);
        return;
    }
    at += offset;
    if (size == 1)
        *at = (uint8_t)value;
    else if (size == 2)
        *(volatile uint16_t *)at = (uint16_t)value;
    else
        *(volatile uint32_t *)at = value;
}

const struct config config_machine = {machine_read, machine_write, machine_size, NULL};

bool config_segment_at(unsigned n, struct config_segment *segment)
{
    if (n >= segment_count)
        return false;
    *segment = segments[n].range;
    return true;
}

/* --- Starting ------------------------------------------------------------------------------------------------ */

static int64_t map_segment(const struct abi_pci_segment *from)
{
    uint64_t length = (from->last_bus - from->first_bus + UINT64_C(1)) * BUS_SIZE;
    int64_t memory = sys_memory_physical(startup_handle("memory:0x0"),
                                         from->address + (uint64_t)from->first_bus * BUS_SIZE,
                                         length, CACHE_NONE);
    if (memory < 0)
        return memory;
    int64_t address = memory_map((handle_t)memory, 0, length, PROT_READ_ | PROT_WRITE_);
    handle_drop((handle_t)memory);
    if (address < 0)
        return address;
    segments[segment_count].memory = (volatile uint8_t *)(uintptr_t)address;
    segments[segment_count++].range =
        (struct config_segment){from->segment, from->first_bus, from->last_bus};
    return 0;
}

/* A write of ENABLE stays in the address port if there is a host bridge behind it. */
static int64_t use_ports(void)
{
    int64_t result = sys_ioport_grant(startup_handle("ioport:0xcf8"));
    if (result < 0)
        return result;
    select_register(0, 0);
    if (port_read(PORT_ADDRESS, 4) != ENABLE)
        return -E_NOT_FOUND;
    segments[0].range = (struct config_segment){0, 0, 255};
    segment_count = 1;
    return 0;
}

int64_t config_start(void)
{
    struct abi_system_info info = {0};
    int64_t result = sys_system_info(&info, sizeof(info));

    for (unsigned i = 0; result >= 0 && i < ABI_PCI_SEGMENTS && info.pci[i].address; i++) {
        int64_t error = map_segment(&info.pci[i]);
        if (error < 0)
            fprintf(stderr, "segment %u at 0x%llx: %s\n", info.pci[i].segment,
                    (unsigned long long)info.pci[i].address, error_text(error));
    }
    return segment_count ? 0 : use_ports();
}
