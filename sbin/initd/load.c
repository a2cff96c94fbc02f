/* /etc/services and what it names: protocols and units, before anything is started. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sys/conf.h"
#include "lib/sys/error.h"
#include "lib/sys/file.h"
#include "sbin/initd/drivers.h"
#include "sbin/initd/supervise.h"
#include "sbin/initd/unit.h"

#define SERVICES_FILE "initfs:///etc/services"
#define FILE_LIMIT    65536u
#define WORDS_MAX     64u

static void protocols_create(const struct service_conf *conf, size_t service)
{
    for (size_t i = 0; i < conf->protocols.count; i++) {
        const char *name = conf->protocols.items[i];
        int64_t result = protocol_create(name, service);
        if (result < 0)
            fprintf(stderr, "%s: cannot create %s://: %s\n", conf->name, name, error_text(result));
    }
}

static void service_add(const char *name)
{
    if (unit_find(name)) {
        fprintf(stderr, "%s: listed twice\n", name);
        return;
    }
    struct unit *unit = unit_create(name, NULL);
    if (unit)
        protocols_create(&unit->conf, unit_count() - 1);
}

/* What a driver serves, all its processes serve. */
static void driver_add(const char *service)
{
    struct service_conf conf;
    if (!unit_load(service, &conf))
        return;
    protocols_create(&conf, PROTOCOL_OF_DRIVERS);
    service_conf_destroy(&conf);
}

static void dependencies_check(void)
{
    const struct unit *unit;
    for (size_t i = 0; (unit = unit_at(i)); i++) {
        const struct strings *after = &unit->conf.after;
        for (size_t j = 0; j < after->count; j++)
            if (!unit_find(after->items[j]))
                fprintf(stderr, "%s: waits for %s, which is not started\n", unit->conf.name,
                        after->items[j]);
    }
}

static void services_read(void)
{
    char *text, *words[WORDS_MAX];
    size_t length;
    int count;
    int64_t result = file_load(HANDLE_SELF, SERVICES_FILE, FILE_LIMIT, &text, &length);
    if (result < 0) {
        fprintf(stderr, "%s: %s\n", SERVICES_FILE, error_text(result));
        return;
    }
    struct conf_reader reader = {.text = text, .length = length};
    while ((count = conf_next(&reader, words, WORDS_MAX)) != 0) {
        if (count < 0 || strcmp(words[0], "service") != 0)
            fprintf(stderr, "%s:%u: %s\n", SERVICES_FILE, reader.line,
                    count < 0 ? reader.problem : "service NAME... is wanted");
        for (int i = 1; i < count && strcmp(words[0], "service") == 0; i++)
            service_add(words[i]);
    }
    free(text);
}

/* Who serves them is told from now on. */
static void protocols_watch(handle_t port)
{
    const struct protocol *protocol;
    for (size_t i = 0; (protocol = protocol_at(i)); i++) {
        if (protocol->service == PROTOCOL_NO_SERVICE)
            continue;
        int64_t result = sys_port_bind(port, protocol->port, SIGNAL_WRITABLE, KEY_READY | i, 0);
        if (result < 0)
            fprintf(stderr, "cannot watch %s://: %s\n", protocol->name, error_text(result));
    }
}

void supervise_load(handle_t port)
{
    units_use(port);
    services_read();
    drivers_load(driver_add);
    dependencies_check();
    protocols_watch(port);
}
