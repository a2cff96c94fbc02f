/* The table of protocols. */
#include "sbin/initd/protocol.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sys/error.h"
#include "lib/sys/wait.h"
#include "sbin/initd/roster.h"

static struct protocol **protocols;
static size_t protocol_count;

const struct protocol *protocol_find(const char *name)
{
    for (size_t i = 0; i < protocol_count; i++)
        if (strcmp(protocols[i]->name, name) == 0)
            return protocols[i];
    return NULL;
}

const struct protocol *protocol_at(size_t index)
{
    return index < protocol_count ? protocols[index] : NULL;
}

int64_t protocol_enter(const char *name, handle_t port, size_t service)
{
    if (strlen(name) > PROTOCOL_NAME_MAX)
        return -E_TOO_LONG;
    if (protocol_find(name))
        return -E_EXISTS;
    struct protocol *protocol = calloc(1, sizeof(*protocol));
    struct protocol **table = realloc(protocols, (protocol_count + 1) * sizeof(*table));
    if (table)
        protocols = table;
    if (!protocol || !table) {
        free(protocol);
        return -E_NO_MEMORY;
    }
    strcpy(protocol->name, name);
    protocol->port = port;
    protocol->service = service;
    protocols[protocol_count++] = protocol;
    return 0;
}

int64_t protocol_create(const char *name, size_t service)
{
    if (protocol_find(name))
        return -E_EXISTS;
    uint32_t entry = roster_enter(ROSTER_PROTOCOL, name);
    int64_t port = roster_handle(entry);
    if (port == HANDLE_NONE) {
        port = sys_proto_create(HANDLE_SELF, name, strlen(name));
        if (port < 0)
            return port;
        roster_keep(entry, (handle_t)port);
    } else { /* the names of the initd before were its own */
        sys_ignore(sys_namespace_bind(HANDLE_SELF, name, strlen(name), (handle_t)port));
    }
    int64_t result = protocol_enter(name, (handle_t)port, service);
    if (result < 0)
        handle_drop((handle_t)port);
    return result;
}

bool port_served(handle_t port)
{
    struct abi_handle_info info;
    return sys_handle_info(port, &info) >= 0 && (info.signals & SIGNAL_WRITABLE);
}

bool protocol_served(const struct protocol *protocol)
{
    return port_served(protocol->port);
}

bool protocol_wait(const struct protocol *protocol, int64_t deadline)
{
    return handle_wait(protocol->port, SIGNAL_WRITABLE, deadline) > 0;
}

int64_t protocol_namespace(const char *who, char *const *names, size_t count, handle_t *namespace)
{
    int64_t result = sys_namespace_create(HANDLE_SELF, NAMESPACE_EMPTY);
    if (result < 0)
        return result;
    *namespace = (handle_t)result;
    for (size_t i = 0; i < count; i++) {
        const struct protocol *protocol = protocol_find(names[i]);
        if (!protocol) {
            fprintf(stderr, "%s: nobody serves %s://\n", who, names[i]);
            continue;
        }
        result = sys_namespace_bind(*namespace, names[i], strlen(names[i]), protocol->port);
        if (result < 0) {
            handle_drop(*namespace);
            return result;
        }
    }
    return 0;
}
