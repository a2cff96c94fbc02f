/* Opening by need. */
#include "sbin/powerd/hardware.h"

#include <inttypes.h>
#include <stdio.h>

#include "lib/sys/error.h"
#include "lib/sys/map.h"
#include "lib/sys/ports.h"
#include "lib/sys/startup.h"
#include "lib/sys/syscall.h"

#define PORTS 0x10000u

enum access { UNKNOWN, OPEN, REFUSED };

static uint8_t ports[PORTS]; /* enum access */
static handle_t memory = HANDLE_NONE;

void hardware_prepare(void)
{
    uint32_t index = 0;
    const char *base;
    memory = startup_handle_next("memory:", &index, &base);
}

/* Of the resource that has it. */
static bool port_grant(uint64_t port)
{
    uint32_t index = 0;
    const char *base;
    handle_t resource;
    while ((resource = startup_handle_next("ioport:", &index, &base)) != HANDLE_NONE) {
        int64_t one = sys_resource_create(resource, RESOURCE_IOPORT, port, 1);
        if (one < 0)
            continue;
        int64_t result = sys_ioport_grant((handle_t)one);
        handle_drop((handle_t)one);
        return result >= 0;
    }
    return false;
}

static bool ports_open(uint64_t first, unsigned width)
{
    unsigned count = width / 8;
    if ((width != 8 && width != 16 && width != 32) || first > PORTS - count)
        return false;
    for (uint64_t port = first; port < first + count; port++) {
        if (ports[port] == UNKNOWN) {
            ports[port] = port_grant(port) ? OPEN : REFUSED;
            if (ports[port] == REFUSED)
                fprintf(stderr, "port 0x%" PRIx64 " is not the firmware's to touch\n", port);
        }
        if (ports[port] != OPEN)
            return false;
    }
    return true;
}

bool hardware_port_read(uint64_t port, unsigned width, uint32_t *value)
{
    *value = UINT32_MAX >> (32 - MIN(width, 32u)); /* as where nothing is */
    if (!ports_open(port, width))
        return false;
    *value = port_read((uint16_t)port, width / 8);
    return true;
}

bool hardware_port_write(uint64_t port, unsigned width, uint32_t value)
{
    if (!ports_open(port, width))
        return false;
    port_write((uint16_t)port, width / 8, value);
    return true;
}

void *hardware_map(uint64_t address, uint64_t length)
{
    uint64_t start = ALIGN_DOWN(address, (uint64_t)PAGE_SIZE), end = address + length;
    if (memory == HANDLE_NONE || end < address || end > UINT64_MAX - PAGE_SIZE)
        return NULL;
    uint64_t whole = ALIGN_UP(end, (uint64_t)PAGE_SIZE) - start;
    int64_t object = sys_memory_physical(memory, start, whole, CACHE_NONE);
    if (object < 0) {
        fprintf(stderr, "memory at 0x%" PRIx64 " is not the firmware's to touch: %s\n", address,
                error_text(object));
        return NULL;
    }
    int64_t mapped =
        memory_map((handle_t)object, address - start, length, PROT_READ_ | PROT_WRITE_);
    handle_drop((handle_t)object);
    return mapped < 0 ? NULL : (void *)mapped;
}

void hardware_unmap(void *mapped, uint64_t length)
{
    uint64_t start = ALIGN_DOWN((uint64_t)(uintptr_t)mapped, (uint64_t)PAGE_SIZE);
    uint64_t end = ALIGN_UP((uint64_t)(uintptr_t)mapped + length, (uint64_t)PAGE_SIZE);
    sys_ignore(sys_space_unmap(HANDLE_SELF, start, end - start));
}
