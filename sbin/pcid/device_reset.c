/* Resets by registers: see device_reset.h. */
#include "sbin/pcid/device_reset.h"

#include "lib/pci/registers.h"
#include "lib/sys/map.h"
#include "lib/sys/ports.h"
#include "lib/sys/startup.h"
#include "lib/sys/wait.h"
#include "lib/virtio/capabilities.h"
#include "lib/virtio/legacy.h"

#define MILLISECOND INT64_C(1000000)
#define RESET_MOST  (1000 * MILLISECOND)

/* A register of 8 or 32 bits: where it lies, what is written, and which of its bits are 0 when that is done. */
struct reset {
    uint32_t bar, offset, width, value, busy;
};

/* --- What is known -------------------------------------------------------------------------------------------------- */

#define AHCI_CLASS  0x010601u
#define AHCI_RESET  0x80000001u /* AE and HR of GHC (AHCI 1.3.1, 3.1.2) */
#define VIRTIO      0x1af4u
#define VIRTIO_LAST 0x107fu
/* Of the common configuration: the device's status (Virtual I/O Device 1.2, 4.1.4.3). */
#define VIRTIO_STATUS 20u

static bool ahci_find(const struct config *config, const struct pci_function *function,
                      struct reset *reset)
{
    (void)config;
    *reset = (struct reset){.bar = 5, .offset = 4, .width = 4, .value = AHCI_RESET, .busy = 1};
    return function->class_code == AHCI_CLASS &&
           !(function->bars[reset->bar].flags & PCI_BAR_PORTS);
}

/* Of those that have no structures, as they were before virtio 1.0. */
static bool virtio_legacy_find(const struct pci_function *function, struct reset *reset)
{
    const struct pci_bar *bar = &function->bars[VIRTIO_LEGACY_BAR];

    *reset = (struct reset){
        .bar = VIRTIO_LEGACY_BAR, .offset = VIRTIO_LEGACY_STATUS, .width = 1, .busy = 0xff};
    return virtio_legacy_fits(function->device, function->revision, bar->flags, bar->base,
                              bar->length);
}

static bool virtio_find(const struct config *config, const struct pci_function *function,
                        struct reset *reset)
{
    struct pci_description description = {0};
    struct virtio_capabilities found;
    uint32_t words[64];

    if (function->vendor != VIRTIO || function->device < 0x1000 || function->device > VIRTIO_LAST)
        return false;
    for (uint32_t i = 0; i < ARRAY_SIZE(words); i++)
        words[i] = config_read(config, function->where, 4 * i, 4);
    for (uint32_t i = 0; i < PCI_BARS; i++) {
        description.bars[i].length = function->bars[i].length;
        description.bars[i].flags = function->bars[i].flags;
    }
    if (!virtio_capabilities_find((const uint8_t *)words, &description, &found))
        return virtio_legacy_find(function, reset);
    *reset = (struct reset){.bar = found.places[VIRTIO_COMMON].bar,
                            .offset = found.places[VIRTIO_COMMON].offset + VIRTIO_STATUS,
                            .width = 1,
                            .busy = 0xff};
    return true;
}

static bool (*const kinds[])(const struct config *config, const struct pci_function *function,
                             struct reset *reset) = {ahci_find, virtio_find};

/* --- How it is done ------------------------------------------------------------------------------------------------- */

/* The register: in memory that is mapped, or a port. */
struct place {
    volatile void *memory; /* NULL: the port */
    uint16_t port;
};

static uint32_t place_read(const struct place *place, uint32_t width)
{
    if (!place->memory)
        return port_read(place->port, width);
    return width == 1 ? *(volatile uint8_t *)place->memory : register_read(place->memory, 0);
}

static void place_write(const struct place *place, uint32_t width, uint32_t value)
{
    if (!place->memory)
        port_write(place->port, width, value);
    else if (width == 1)
        *(volatile uint8_t *)place->memory = (uint8_t)value;
    else
        register_write(place->memory, 0, value);
}

static bool write_and_wait(const struct place *place, const struct reset *reset)
{
    int64_t deadline = sys_clock_get(CLOCK_MONOTONIC_) + RESET_MOST;

    place_write(place, reset->width, reset->value);
    while (place_read(place, reset->width) & reset->busy) {
        if (sys_clock_get(CLOCK_MONOTONIC_) > deadline)
            return false;
        sleep_until(sys_clock_get(CLOCK_MONOTONIC_) + MILLISECOND);
    }
    return true;
}

static bool carry_out_in_memory(uint64_t address, const struct reset *reset)
{
    uint64_t page = ALIGN_DOWN(address, (uint64_t)PAGE_SIZE);
    handle_t resource = startup_handle("memory:0x0");
    int64_t memory = sys_memory_physical(resource, page, PAGE_SIZE, CACHE_NONE);

    if (memory < 0)
        return false;
    int64_t mapped = memory_map((handle_t)memory, 0, PAGE_SIZE, PROT_READ_ | PROT_WRITE_);
    handle_drop((handle_t)memory);
    if (mapped < 0)
        return false;
    struct place place = {.memory = (volatile uint8_t *)(uintptr_t)mapped + (address - page)};
    bool done = write_and_wait(&place, reset);
    sys_ignore(sys_space_unmap(HANDLE_SELF, (uint64_t)mapped, PAGE_SIZE));
    return done;
}

static bool carry_out_at_port(uint64_t port, const struct reset *reset)
{
    int64_t ports =
        sys_resource_create(startup_handle("ioport:0x1000"), RESOURCE_IOPORT, port, reset->width);

    if (ports < 0)
        return false;
    int64_t result = sys_ioport_grant((handle_t)ports);
    handle_drop((handle_t)ports);
    return result >= 0 && write_and_wait(&(struct place){.port = (uint16_t)port}, reset);
}

bool device_reset(const struct config *config, const struct pci_function *function)
{
    struct reset reset;

    for (uint32_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        if (!kinds[i](config, function, &reset))
            continue;
        const struct pci_bar *bar = &function->bars[reset.bar];
        bool ports = bar->flags & PCI_BAR_PORTS;
        if (reset.offset % reset.width || reset.offset + reset.width > bar->length)
            return false;
        pci_enable(config, function, ports ? PCI_COMMAND_PORTS : PCI_COMMAND_MEMORY);
        return ports ? carry_out_at_port(bar->base + reset.offset, &reset)
                     : carry_out_in_memory(bar->base + reset.offset, &reset);
    }
    return false;
}
