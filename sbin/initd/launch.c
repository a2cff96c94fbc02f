/* Collecting a program's handles and spawning it. */
#include "sbin/initd/launch.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sys/error.h"
#include "lib/sys/quota.h"
#include "lib/sys/startup.h"
#include "sbin/initd/posix.h"
#include "sbin/initd/protocol.h"

#define PORT_RIGHTS (RIGHT_ACCEPT | RIGHT_SEND | RIGHT_WAIT | RIGHT_DUPLICATE | RIGHT_TRANSFER)
#define ALL_RIGHTS  RIGHT_ALL

/* The handles of a program being started; each is ours until spawn_start took it. */
struct parcel {
    struct spawn_handle *handles;
    char (*names)[STARTUP_NAME_MAX + 1];
    uint32_t count;
    const char *who;
};

handle_t launch_own(const char *name)
{
    return startup_handle(name);
}

static int64_t complain(const char *who, const char *what, int64_t error)
{
    fprintf(stderr, "%s: %s: %s\n", who, what, error_text(error));
    return error;
}

/* Takes the handle over, under a name made by the format. */
static PRINTF(3, 4) int64_t
    parcel_add(struct parcel *parcel, handle_t handle, const char *format, ...)
{
    va_list arguments;
    uint32_t count = parcel->count + 1;
    struct spawn_handle *handles = realloc(parcel->handles, count * sizeof(*handles));
    if (handles)
        parcel->handles = handles;
    void *names = realloc(parcel->names, count * sizeof(*parcel->names));
    if (names)
        parcel->names = names;
    if (!handles || !names) {
        handle_drop(handle);
        return -E_NO_MEMORY;
    }
    va_start(arguments, format);
    int length = vsnprintf(parcel->names[parcel->count], sizeof(*parcel->names), format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length >= sizeof(*parcel->names)) {
        handle_drop(handle);
        return -E_TOO_LONG;
    }
    parcel->handles[parcel->count++].handle = handle;
    return 0;
}

static void parcel_drop(struct parcel *parcel)
{
    for (uint32_t i = 0; i < parcel->count; i++)
        handle_drop(parcel->handles[i].handle);
    free(parcel->handles);
    free(parcel->names);
}

static int64_t add_copy(struct parcel *parcel, handle_t handle, uint32_t rights, const char *prefix,
                        const char *name)
{
    int64_t copy = handle_copy(handle, rights);
    return copy < 0 ? copy : parcel_add(parcel, (handle_t)copy, "%s%s", prefix, name);
}

static int64_t add_ports(struct parcel *parcel, const struct service_conf *conf, handle_t own)
{
    if (conf->port && own != HANDLE_NONE) {
        int64_t result = add_copy(parcel, own, PORT_RIGHTS, "port:", conf->port);
        if (result < 0)
            return complain(parcel->who, conf->port, result);
    }
    for (size_t i = 0; i < conf->protocols.count; i++) {
        const char *name = conf->protocols.items[i];
        const struct protocol *protocol = protocol_find(name);
        int64_t result = protocol ? add_copy(parcel, protocol->port, PORT_RIGHTS, "port:", name)
                                  : -E_NO_PROTOCOL;
        if (result < 0)
            return complain(parcel->who, name, result);
    }
    return 0;
}

static int64_t add_ranges(struct parcel *parcel, const struct device_ranges *ranges,
                          enum resource_kind kind, const char *prefix)
{
    handle_t resource = launch_own("resource");
    for (size_t i = 0; i < ranges->count; i++) {
        const struct device_range *range = &ranges->items[i];
        int64_t result = sys_resource_create(resource, kind, range->base, range->count);
        if (result >= 0)
            result = parcel_add(parcel, (handle_t)result, "%s0x%" PRIx64, prefix, range->base);
        if (result < 0)
            return complain(parcel->who, prefix, result);
    }
    return 0;
}

static int64_t add_interrupts(struct parcel *parcel, const struct service_conf *conf)
{
    handle_t resource = launch_own("resource");
    for (size_t i = 0; i < conf->irqs.count; i++) {
        const struct device_range *irq = &conf->irqs.items[i];
        int64_t result = sys_irq_bind(resource, (uint32_t)irq->base, (uint32_t)irq->count, NULL);
        if (result >= 0)
            result = parcel_add(parcel, (handle_t)result, "irq:%" PRIu64, irq->base);
        if (result < 0)
            return complain(parcel->who, "interrupt", result);
    }
    return 0;
}

/* A right that is no range of anything. */
static int64_t add_right(struct parcel *parcel, bool given, enum resource_kind kind,
                         const char *name)
{
    if (!given)
        return 0;
    int64_t result = sys_resource_create(launch_own("resource"), kind, 0, 1);
    if (result >= 0)
        result = parcel_add(parcel, (handle_t)result, "%s", name);
    return result < 0 ? complain(parcel->who, name, result) : result;
}

static int64_t add_own(struct parcel *parcel, const struct service_conf *conf)
{
    for (size_t i = 0; i < conf->gives.count; i++) {
        const char *name = conf->gives.items[i];
        handle_t own = launch_own(name);
        int64_t result =
            own == HANDLE_NONE ? -E_NOT_FOUND : add_copy(parcel, own, ALL_RIGHTS, "", name);
        if (result == -E_NOT_FOUND)
            fprintf(stderr, "%s: this machine has no %s\n", parcel->who, name);
        else if (result < 0)
            return complain(parcel->who, name, result);
        else if (strcmp(name, "framebuffer") == 0) /* one at a time draws there */
            sys_ignore(sys_system_control(launch_own("resource"), SYSTEM_SCREEN, 0));
    }
    return 0;
}

static int64_t add_proc(struct parcel *parcel, const struct service_conf *conf)
{
    for (size_t i = 0; i < conf->uses.count; i++) {
        if (strcmp(conf->uses.items[i], "proc") != 0)
            continue;
        handle_t file = posix_file();
        if (file == HANDLE_NONE) {
            fprintf(stderr, "%s: starts before proc:// is served\n", parcel->who);
            return 0;
        }
        return parcel_add(parcel, file, "proc");
    }
    return 0;
}

static int64_t add_terminal(struct parcel *parcel, handle_t terminal)
{
    static const char *const descriptors[] = {"0", "1", "2"};
    if (terminal == HANDLE_NONE)
        return 0;
    for (size_t i = 0; i < ARRAY_SIZE(descriptors); i++) {
        int64_t result = add_copy(parcel, terminal, ALL_RIGHTS, "fd:", descriptors[i]);
        if (result < 0)
            return complain(parcel->who, "terminal", result);
    }
    return 0;
}

static int64_t parcel_fill(struct parcel *parcel, const struct service_conf *conf,
                           const struct launch_extra *extra)
{
    int64_t result = add_ports(parcel, conf, extra->port);
    if (result >= 0)
        result = add_ranges(parcel, &conf->ioports, RESOURCE_IOPORT, "ioport:");
    if (result >= 0)
        result = add_ranges(parcel, &conf->memories, RESOURCE_MEMORY, "memory:");
    if (result >= 0)
        result = add_ranges(parcel, &conf->lines, RESOURCE_IRQ, "lines:");
    if (result >= 0)
        result = add_ranges(parcel, &conf->messages, RESOURCE_MESSAGE, "messages:");
    if (result >= 0)
        result = add_ranges(parcel, &conf->dmas, RESOURCE_DMA, "dma:");
    if (result >= 0)
        result = add_interrupts(parcel, conf);
    if (result >= 0)
        result = add_right(parcel, conf->power, RESOURCE_POWER, "power");
    if (result >= 0)
        result = add_right(parcel, conf->clock, RESOURCE_CLOCK, "clock");
    if (result >= 0)
        result = add_own(parcel, conf);
    if (result >= 0)
        result = add_proc(parcel, conf);
    if (result >= 0)
        result = add_terminal(parcel, extra->terminal);
    for (uint32_t i = 0; i < parcel->count; i++)
        parcel->handles[i].name = parcel->names[i];
    return result;
}

/* What a session may use when its configuration says nothing: by the machine's memory, enough for whatever it may be
 * for, and never all there is. */
static void session_limits(uint64_t limits[QUOTA_COUNT])
{
    struct abi_system_info info;

    quota_none(limits);
    if (sys_system_info(&info, sizeof(info)) < 0)
        return;

    uint64_t memory = info.frames_total * PAGE_SIZE;

    limits[QUOTA_MEMORY] = memory / 8 * 7;
    limits[QUOTA_HANDLES] = memory / 0x1000;
    limits[QUOTA_PROCESSES] = memory / 0x20000;
    limits[QUOTA_THREADS] = memory / 0x10000;
    limits[QUOTA_COMMANDS] = memory / 0x20000;
    limits[QUOTA_PORTS] = memory / 0x20000;
    limits[QUOTA_BINDINGS] = memory / 0x4000;
    limits[QUOTA_KEPT] = memory / 0x4000;
}

/* With namespace and program open. */
static int64_t parcel_spawn(const struct service_conf *conf, struct parcel *parcel,
                            handle_t namespace, const struct spawn_program *program, bool session,
                            handle_t *process)
{
    bool owns_machine = false;
    uint64_t limits[QUOTA_COUNT];

    if (session && !conf->limited)
        session_limits(limits);
    else
        memcpy(limits, conf->limits, sizeof(limits));

    struct spawn spawn = {
        .name = conf->name,
        .program = *program,
        .image = launch_own("image"),
        .namespace = namespace,
        .argv = conf->arguments.items,
        .environment = conf->environment.items,
        .handles = parcel->handles,
        .handle_count = parcel->count,
        .priority = conf->priority,
        .limits = session || conf->limited ? limits : NULL,
        .flags = EXEC_SUSPENDED | (session ? SPAWN_ORDINARY : 0),
    };

    for (size_t i = 0; i < conf->gives.count; i++)
        owns_machine |= strcmp(conf->gives.items[i], "resource") == 0;
    if (!owns_machine)
        spawn.flags |= SPAWN_LIMITED;

    int64_t result = spawn_start(&spawn, process);
    if (result >= 0)
        parcel->count = 0; /* all are the child's */
    else
        complain(conf->name, conf->program, result);
    return result;
}

int64_t launch(const struct service_conf *conf, const struct spawn_program *program,
               const struct launch_extra *extra, handle_t *process)
{
    struct parcel parcel = {.who = conf->name};
    handle_t namespace;
    int64_t result = protocol_namespace(conf->name, conf->uses.items, conf->uses.count, &namespace);
    if (result < 0)
        return complain(conf->name, "namespace", result);
    result = parcel_fill(&parcel, conf, extra);
    if (result >= 0)
        result = parcel_spawn(conf, &parcel, namespace, program, extra->terminal != HANDLE_NONE,
                              process);
    parcel_drop(&parcel);
    handle_drop(namespace);
    return result;
}
