/* Services' files, and what is made of them: see unit.h. */
#include "sbin/initd/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sys/conf.h"
#include "lib/sys/error.h"
#include "lib/sys/file.h"
#include "sbin/initd/drivers.h"
#include "sbin/initd/roster.h"

#define SERVICES_FOLDER "initfs:///etc/services.d/"
#define FILE_LIMIT      65536u

static struct unit **units;
static size_t count;
static uint32_t last_number;
static handle_t port;

void units_use(handle_t notify_port)
{
    port = notify_port;
}

size_t unit_count(void)
{
    return count;
}

struct unit *unit_at(size_t index)
{
    return index < count ? units[index] : NULL;
}

struct unit *unit_find(const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(units[i]->conf.name, name) == 0)
            return units[i];
    return NULL;
}

struct unit *unit_numbered(uint32_t number)
{
    for (size_t i = 0; i < count; i++)
        if (units[i]->number == number)
            return units[i];
    return NULL;
}

bool unit_serves(const struct unit *unit, const struct protocol *protocol)
{
    return protocol && protocol->service < count && units[protocol->service] == unit;
}

bool unit_is(const struct unit *unit, const char *service)
{
    size_t length = strlen(service);
    return strncmp(unit->conf.name, service, length) == 0 &&
           (!unit->conf.name[length] || (unit->device && unit->conf.name[length] == '@'));
}

static void unit_destroy(struct unit *unit)
{
    handle_drop(unit->process);
    if (unit->port != HANDLE_NONE)
        sys_ignore(sys_port_bind(port, unit->port, 0, 0, 0)); /* a binding keeps what it is to */
    handle_drop(unit->port);
    spawn_program_close(&unit->program);
    service_conf_destroy(&unit->conf);
    free(unit->device);
    free(unit);
}

void unit_process_over(struct unit *unit)
{
    if (unit->device)
        driver_grant_end(unit->device, unit->process);
    handle_drop(unit->process);
    unit->process = HANDLE_NONE;
    roster_keep(unit->entry, HANDLE_NONE);
}

/* The roster first: an initd that comes back in between must not start a driver with a port that is closed. */
void unit_forget(struct unit *unit)
{
    size_t at = 0;
    while (units[at] != unit)
        at++;
    count--;
    memmove(&units[at], &units[at + 1], (count - at) * sizeof(struct unit *));
    roster_forget(unit->entry);
    roster_forget(unit->port_entry);
    if (unit->port != HANDLE_NONE)
        sys_ignore(sys_port_close(unit->port, E_NO_DEVICE));
    unit_destroy(unit);
}

bool unit_load(const char *name, struct service_conf *conf)
{
    char *uri, *text;
    size_t length;
    struct conf_problem problem = {0};
    if (asprintf(&uri, SERVICES_FOLDER "%s.conf", name) < 0)
        return false;
    int64_t result = file_load(HANDLE_SELF, uri, FILE_LIMIT, &text, &length);
    if (result < 0) {
        fprintf(stderr, "%s: %s\n", uri, error_text(result));
        free(uri);
        return false;
    }
    int error = service_conf_parse(conf, name, text, length, &problem);
    if (error) {
        fprintf(stderr, "%s:%u: %s\n", uri, problem.line,
                problem.text ? problem.text : error_text(error));
        service_conf_destroy(conf);
    }
    free(text);
    free(uri);
    return error == 0;
}

/* Its own port: what the initd before had, or a new one. */
static int64_t unit_port(struct unit *unit)
{
    unit->port_entry = roster_enter(ROSTER_PORT, unit->conf.name);
    unit->port = roster_handle(unit->port_entry);
    if (unit->port == HANDLE_NONE) {
        int64_t made = sys_proto_create(HANDLE_SELF, NULL, 0);
        if (made < 0)
            return made;
        unit->port = (handle_t)made;
        roster_keep(unit->port_entry, unit->port);
    }
    return sys_port_bind(port, unit->port, SIGNAL_WRITABLE, KEY_OWN | unit->number, 0);
}

struct unit *unit_create(const char *service, const char *device)
{
    struct unit *unit = calloc(1, sizeof(*unit));
    struct unit **table = realloc(units, (count + 1) * sizeof(*table));
    if (table)
        units = table;
    if (!unit || !table || !unit_load(service, &unit->conf)) {
        free(unit);
        return NULL;
    }
    unit->process = unit->program.memory = unit->port = HANDLE_NONE;
    unit->number = ++last_number;
    unit->port_entry = ROSTER_NONE;
    int64_t result = 0;
    if (device &&
        (!service_conf_for_device(&unit->conf, device) || !(unit->device = strdup(device))))
        result = -E_NO_MEMORY;
    if (result >= 0 && unit->conf.port)
        result = unit_port(unit);
    if (result < 0) {
        fprintf(stderr, "%s: %s\n", unit->conf.name, error_text(result));
        unit_destroy(unit);
        return NULL;
    }
    unit->entry = roster_enter(ROSTER_SERVICE, unit->conf.name);
    units[count++] = unit;
    return unit;
}
