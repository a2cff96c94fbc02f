/* What the lists of the buses say, made units: see devices.h. */
#include "sbin/initd/devices.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sbin/initd/drivers.h"
#include "sbin/initd/posix.h"
#include "sbin/initd/roster.h"
#include "sbin/initd/supervise.h"
#include "sbin/initd/unwind.h"

/* The unit of a device that was not seen yet. */
static struct unit *driver_create(const char *service, const char *uri, uint64_t resets)
{
    struct unit *unit = unit_create(service, uri);
    if (!unit)
        return NULL;
    unit->resets = resets;
    supervise_begin(unit);
    return unit;
}

/* Of this bus. */
static bool unit_drives_on(const struct unit *unit, const char *bus)
{
    size_t length = strlen(bus);
    return unit->device && strncmp(unit->device, bus, length) == 0 && unit->device[length] == ':';
}

/* An initd before us may have ended between the end of a device and that of its driver. */
static void drivers_take_over(const char *service, const char *bus)
{
    char name[ROSTER_NAME_MAX + 1], uri[ROSTER_NAME_MAX + PROTOCOL_NAME_MAX + 5];
    size_t length = strlen(service);
    for (uint32_t entry = 0; roster_next(ROSTER_SERVICE, &entry, name);) {
        if (strncmp(name, service, length) != 0 || name[length] != '@' || unit_find(name))
            continue;
        snprintf(uri, sizeof(uri), "%s:///%s", bus, name + length + 1);
        driver_create(service, uri, 0);
    }
}

/* A list was read to its end. Drivers of devices that it has not got any more end. */
static void devices_listed(const char *bus)
{
    struct unit *unit;
    for (size_t i = 0; (unit = unit_at(i)); i++) {
        bool listed = unit->listed;
        if (!unit_drives_on(unit, bus))
            continue;
        unit->listed = false;
        unit->back = unit->gone && listed;
        if (listed || unit->gone || unwinding())
            continue;
        unit->gone = true;
        if (unit->process != HANDLE_NONE) {
            unwind_tell(unit);
        } else {
            unit_forget(unit);
            i--;
        }
    }
}

/* What is at its place now is another device, with which files of the first have nothing to do. */
void device_driver_ended(struct unit *unit)
{
    char *service = unit->conf.name, *uri = unit->device;
    uint64_t resets = unit->resets;
    bool back = unit->back;
    unit->conf.name = unit->device = NULL;
    unit_forget(unit);
    service[strcspn(service, "@")] = '\0';
    if (back)
        driver_create(service, uri, resets);
    free(service);
    free(uri);
}

/* There is a device, and this is its driver. One whose device was reset is ended, to begin anew. */
static void device_found(const char *service, const char *uri, uint64_t resets)
{
    struct unit *unit;
    for (size_t i = 0; (unit = unit_at(i)); i++)
        if (unit->device && strcmp(unit->device, uri) == 0)
            break;
    if (!unit)
        unit = driver_create(service, uri, resets);
    if (!unit)
        return;
    unit->listed = true;
    unit->resets = resets;
    if (unit->process == HANDLE_NONE || unit->life.resets == resets || unit->gone)
        return;
    fprintf(stderr, "%s: its device was reset\n", unit->conf.name);
    sys_ignore(sys_process_kill(unit->process, POSIX_SIGKILL));
}

void devices_read(void)
{
    drivers_found(drivers_take_over, device_found, devices_listed);
}
