/* Namespaces: scheme name → protocol. What a process can name is what its namespace lists.
 *
 * A process inherits its maker's, the same object, or is given another. Each is its own master all the same: what a
 * process binds by HANDLE_SELF it binds in a copy if the namespace is shared (process_own_names). Whoever has a
 * handle to a namespace changes it for all.
 * Lock: namespace->lock (RANK_NAMESPACE). */
#pragma once

#include "kernel/object.h"

struct port;

struct namespace_entry {
    struct list link;
    struct port *port; /* a handle's worth of interest */
    uint32_t length;
    union {
        char name[PROTOCOL_NAME_MAX + 1]; /* zeros behind it */
        uint64_t first_word;
    };
};

struct namespace
{
    struct object object;
    struct lock lock;
    struct list entries;
    uint32_t processes; /* whose namespace it is; atomic */
};

static inline void namespace_use(struct namespace *names)
{
    object_get(&names->object);
    __atomic_fetch_add(&names->processes, 1, __ATOMIC_SEQ_CST);
    object_handle_moved(&names->object);
}

static inline void namespace_leave(struct namespace *names)
{
    __atomic_fetch_sub(&names->processes, 1, __ATOMIC_SEQ_CST);
    if (unlikely(__atomic_load_n(&circles_watched, __ATOMIC_RELAXED)))
        object_given_up(&names->object);
    object_put(&names->object);
}

/* By other processes, or with somebody who has a handle to it. */
static inline bool namespace_shared(const struct namespace *names)
{
    return __atomic_load_n(&names->processes, __ATOMIC_RELAXED) > 1 ||
           __atomic_load_n(&names->object.handles, __ATOMIC_RELAXED);
}

int namespace_new(struct namespace **names) MUST_CHECK;
int namespace_copy(struct namespace *from, struct namespace **to) MUST_CHECK;
/* Replaces an entry of that name. port NULL: takes it off (E_NOT_FOUND). */
int namespace_set(struct namespace *names, const char *name, size_t length,
                  struct port *port) MUST_CHECK;
/* Splits a URI and finds its protocol (a reference). *rest points into uri. E_NO_PROTOCOL, E_INVALID. */
int namespace_resolve(struct namespace *names, const char *uri, size_t length, struct port **port,
                      const char **rest, size_t *rest_length) MUST_CHECK;
