/* Namespaces: scheme name → protocol. What a process can name is what its namespace lists.
 * Lock: namespace->lock (RANK_NAMESPACE). */
#pragma once

#include "kernel/object.h"

struct port;

struct namespace_entry {
    struct list link;
    struct port *port; /* a handle's worth of interest */
    uint32_t length;
    char name[PROTOCOL_NAME_MAX + 1];
};

struct namespace
{
    struct object object;
    struct lock lock;
    struct list entries;
};

int namespace_new(struct namespace **names) MUST_CHECK;
int namespace_copy(struct namespace *from, struct namespace **to) MUST_CHECK;
/* Replaces an entry of that name. port NULL: takes it off (E_NOT_FOUND). */
int namespace_set(struct namespace *names, const char *name, size_t length,
                  struct port *port) MUST_CHECK;
/* Splits a URI and finds its protocol (a reference). *rest points into uri. E_NO_PROTOCOL, E_INVALID. */
int namespace_resolve(struct namespace *names, const char *uri, size_t length, struct port **port,
                      const char **rest, size_t *rest_length) MUST_CHECK;
