/* Lists of devices on their way from the buses to the supervisor. */
#include "sbin/initd/drivers.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/list.h"
#include "lib/sys/clock.h"
#include "lib/sys/error.h"
#include "lib/sys/file.h"
#include "lib/sys/keep.h"
#include "lib/sys/wait.h"
#include "sbin/initd/driver_conf.h"
#include "sbin/initd/protocol.h"
#include "sbin/initd/supervise.h"

#define DRIVERS_FILE "initfs:///etc/drivers"
#define FILE_LIMIT   65536u
#define LIST_FIRST   4096u
#define LIST_LIMIT   (UINT64_C(16) << 20)
#define PAUSE_NS     INT64_C(1000000000)

#define URI_SIZE (PROTOCOL_NAME_MAX + 4 + BUS_NAME_MAX + 1)

struct bus {
    struct list link;
    const char *name;
    char *list;    /* of its devices, new; NULL: nothing is new */
    bool reading;  /* ... and it is on its way */
    handle_t file; /* readable: there is another; HANDLE_NONE: it cannot be asked */
};

static struct driver_rule *rules; /* in the order of the file, whose text stays */
static size_t rule_count;
static struct list buses = LIST_INIT(buses);
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of what comes of buses */
static handle_t port;

/* --- rules --- */

static bool rule_add(const struct driver_rule *rule)
{
    struct driver_rule *table = realloc(rules, (rule_count + 1) * sizeof(*table));
    if (!table)
        return false;
    rules = table;
    rules[rule_count++] = *rule;
    return true;
}

static bool bus_add(const char *name)
{
    list_for_each (struct bus, bus, &buses, link)
        if (strcmp(bus->name, name) == 0)
            return true;
    struct bus *bus = calloc(1, sizeof(*bus));
    if (!bus)
        return false;
    bus->name = name;
    bus->file = HANDLE_NONE;
    list_append(&buses, &bus->link);
    return true;
}

static bool service_is_new(const char *service)
{
    for (size_t i = 0; i < rule_count; i++)
        if (strcmp(rules[i].service, service) == 0)
            return false;
    return true;
}

void drivers_load(void (*service_needed)(const char *service))
{
    struct driver_rule rule;
    char *text;
    size_t length;
    int found;
    int64_t result = file_load(HANDLE_SELF, DRIVERS_FILE, FILE_LIMIT, &text, &length);
    if (result < 0) {
        fprintf(stderr, "%s: %s\n", DRIVERS_FILE, error_text(result));
        return;
    }
    struct conf_reader reader = {.text = text, .length = length};
    while ((found = driver_rule_next(&reader, &rule)) != 0) {
        bool is_new = found > 0 && service_is_new(rule.service);
        if (found < 0)
            fprintf(stderr, "%s:%u: %s\n", DRIVERS_FILE, reader.line, reader.problem);
        else if (!bus_add(rule.bus) || !rule_add(&rule))
            fprintf(stderr, "%s:%u: no memory\n", DRIVERS_FILE, reader.line);
        else if (is_new)
            service_needed(rule.service);
    }
}

/* --- lists --- */

/* The whole list in one read, which is one state of it; free() it. NULL: *result says why. */
static char *list_read(handle_t file, int64_t *result)
{
    for (size_t size = LIST_FIRST; size <= LIST_LIMIT; size *= 2) {
        char *text = malloc(size + 1);
        struct abi_command command = {
            .op = OP_READ, .out = (uintptr_t)text, .out_length = text ? size : 0};
        *result = text ? file_command(file, &command) : -E_NO_MEMORY;
        if (*result >= 0 && command.values[0] < size) {
            text[command.values[0]] = '\0';
            return text;
        }
        free(text);
        if (*result < 0)
            return NULL;
    }
    *result = -E_TOO_BIG;
    return NULL;
}

static void list_pass_on(struct bus *bus, char *text)
{
    pthread_mutex_lock(&lock);
    free(bus->list);
    bus->list = text;
    bus->reading = false;
    pthread_mutex_unlock(&lock);
    sys_ignore(sys_port_notify(port, NOTIFY_LISTS));
}

static void bus_ask_by(struct bus *bus, handle_t file, bool reading)
{
    pthread_mutex_lock(&lock);
    bus->file = file;
    bus->reading = reading;
    pthread_mutex_unlock(&lock);
}

/* As long as the bus lets itself be asked; it may come back within that time. Why it ended. */
static int64_t bus_follow(struct bus *bus)
{
    char uri[URI_SIZE];
    handle_t file;
    snprintf(uri, sizeof(uri), "%s:///devices", bus->name);
    int64_t result = file_open(HANDLE_SELF, uri, OPEN_READ, &file);
    if (result < 0)
        return result;
    bus_ask_by(bus, file, false);
    while ((result = handle_wait(file, SIGNAL_READABLE, DEADLINE_NEVER)) >= 0) {
        bus_ask_by(bus, file, true);
        char *text = list_read(file, &result);
        if (!text)
            break;
        list_pass_on(bus, text);
    }
    bus_ask_by(bus, HANDLE_NONE, false);
    handle_drop(file);
    sys_ignore(
        sys_port_notify(port, NOTIFY_LISTS)); /* who waits for its list need not any longer */
    return result;
}

static void *bus_thread(void *argument)
{
    struct bus *bus = argument;
    int64_t reported = 0;
    for (;;) {
        int64_t result = bus_follow(bus);
        if (result != reported)
            fprintf(stderr, "no list of the devices on %s://: %s\n", bus->name, error_text(result));
        reported = result;
        sleep_until(clock_monotonic() + PAUSE_NS);
    }
    return NULL;
}

void drivers_watch(handle_t notify_port)
{
    port = notify_port;
    list_for_each (struct bus, bus, &buses, link) {
        pthread_t thread;
        int error = pthread_create(&thread, NULL, bus_thread, bus);
        if (error)
            fprintf(stderr, "%s://: nobody starts its drivers: %s\n", bus->name, strerror(error));
        else
            pthread_detach(thread);
    }
}

bool drivers_know(const char *uri)
{
    struct abi_handle_info info = {0};
    size_t length = strcspn(uri, ":");
    bool known = true;
    list_for_each (struct bus, bus, &buses, link) {
        if (strncmp(bus->name, uri, length) != 0 || bus->name[length])
            continue;
        pthread_mutex_lock(&lock);
        if (bus->file != HANDLE_NONE)
            sys_ignore(sys_handle_info(bus->file, &info));
        known = !bus->list && !bus->reading && !(info.signals & SIGNAL_READABLE);
        pthread_mutex_unlock(&lock);
    }
    return known;
}

static const struct driver_rule *rule_find(const struct bus *bus, const struct bus_device *device)
{
    for (size_t i = 0; i < rule_count; i++)
        if (driver_rule_fits(&rules[i], bus->name, device))
            return &rules[i];
    return NULL;
}

static char *list_take(struct bus *bus)
{
    pthread_mutex_lock(&lock);
    char *list = bus->list;
    bus->list = NULL;
    pthread_mutex_unlock(&lock);
    return list;
}

void drivers_found(void (*drives)(const char *service, const char *bus),
                   void (*found)(const char *service, const char *uri, uint64_t resets),
                   void (*listed)(const char *bus))
{
    list_for_each (struct bus, bus, &buses, link) {
        struct bus_device device;
        char uri[URI_SIZE], *list = list_take(bus), *rest = list;
        if (!list)
            continue;
        for (size_t i = 0; i < rule_count; i++)
            if (strcmp(rules[i].bus, bus->name) == 0)
                drives(rules[i].service, bus->name);
        while (bus_device_next(&rest, &device)) {
            const struct driver_rule *rule = rule_find(bus, &device);
            snprintf(uri, sizeof(uri), "%s:///%s", bus->name, device.name);
            if (rule)
                found(rule->service, uri, device.resets);
        }
        listed(bus->name);
        free(list);
    }
}

/* --- grants --- */

/* Where the bus's port keeps what a process may have. */
static int64_t grant_place(const char *uri, handle_t process, handle_t *bus, uint64_t *key)
{
    struct abi_process_info info;
    char name[PROTOCOL_NAME_MAX + 1];
    snprintf(name, sizeof(name), "%.*s", (int)strcspn(uri, ":"), uri);
    const struct protocol *protocol = protocol_find(name);
    int64_t result = protocol ? sys_process_info(process, &info) : -E_NO_PROTOCOL;
    if (result < 0)
        return result;
    *bus = protocol->port;
    *key = BUS_GRANT(info.id);
    return 0;
}

int64_t driver_grant(const char *uri, handle_t process)
{
    const char *device = strrchr(uri, '/') + 1;
    handle_t bus;
    uint64_t key;
    int64_t result = grant_place(uri, process, &bus, &key);
    int64_t memory = result < 0 ? result : sys_memory_create(PAGE_SIZE, 0);
    if (memory < 0)
        return memory;
    char name[BUS_NAME_MAX + 1] = "";
    strncpy(name, device, BUS_NAME_MAX);
    result = sys_memory_op((handle_t)memory, MEMORY_OP_WRITE, 0, sizeof(name), name);
    if (result >= 0)
        result = keep_handle(bus, key, (handle_t)memory);
    handle_drop((handle_t)memory);
    return result;
}

void driver_grant_end(const char *uri, handle_t process)
{
    handle_t bus;
    uint64_t key;
    if (grant_place(uri, process, &bus, &key) >= 0)
        sys_ignore(sys_port_keep(bus, key, HANDLE_NONE));
}
