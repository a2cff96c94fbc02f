/* Namespaces: see namespace.h. */
#include "kernel/proto/namespace.h"

#include "abi/errors.h"
#include "kernel/account.h"
#include "kernel/handle.h"
#include "kernel/ipc/port.h"
#include "kernel/syscall.h"
#include "kernel/types.h"
#include "kernel/vmm/heap.h"
#include "lib/base/string.h"

static struct cache namespace_cache = CACHE_INIT("namespace", sizeof(struct namespace), 16);
static struct cache entry_cache = CACHE_INIT("namespace entry", sizeof(struct namespace_entry), 16);

static bool name_ok(const char *name, size_t length)
{
    if (length == 0 || length > PROTOCOL_NAME_MAX)
        return false;
    for (size_t i = 0; i < length; i++) {
        char c = name[i];

        if (!((c >= 'a' && c <= 'z') ||
              (i && ((c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.'))))
            return false;
    }
    return true;
}

int namespace_new(struct namespace **result)
{
    struct namespace *names = object_alloc(&namespace_cache, OBJECT_NAMESPACE, 0);

    if (!names)
        return -E_NO_MEMORY;
    lock_init(&names->lock, RANK_NAMESPACE, "namespace");
    list_init(&names->entries);
    *result = names;
    return 0;
}

static struct namespace_entry *entry_new(struct namespace *names, const char *name, size_t length,
                                         struct port *port)
{
    struct account *account = names->object.account;

    if (!account_take(account, QUOTA_MEMORY, sizeof(struct namespace_entry)))
        return NULL;

    struct namespace_entry *entry = cache_alloc(&entry_cache);

    if (!entry) {
        account_give(account, QUOTA_MEMORY, sizeof(struct namespace_entry));
        return NULL;
    }
    memcpy(entry->name, name, length);
    entry->length = (uint32_t)length;
    entry->port = port;
    object_handle_get(&port->object);
    return entry;
}

static void entry_free(struct namespace *names, struct namespace_entry *entry)
{
    object_handle_put(&entry->port->object);
    cache_free(&entry_cache, entry);
    account_give(names->object.account, QUOTA_MEMORY, sizeof(struct namespace_entry));
}

static struct namespace_entry *find_locked(struct namespace *names, const char *name, size_t length)
{
    list_for_each (struct namespace_entry, entry, &names->entries, link)
        if (entry->length == length && memcmp(entry->name, name, length) == 0)
            return entry;
    return NULL;
}

int namespace_set(struct namespace *names, const char *name, size_t length, struct port *port)
{
    struct namespace_entry *new = NULL;

    if (!name_ok(name, length))
        return -E_INVALID;
    if (port) {
        new = entry_new(names, name, length, port);
        if (!new)
            return -E_NO_MEMORY;
    }
    lock_acquire(&names->lock);
    struct namespace_entry *old = find_locked(names, name, length);
    if (old)
        list_remove(&old->link);
    if (new)
        list_append(&names->entries, &new->link);
    lock_release(&names->lock);
    if (old)
        entry_free(names, old);
    return old || new ? 0 : -E_NOT_FOUND;
}

int namespace_copy(struct namespace *from, struct namespace **to)
{
    struct namespace *copy;
    int error = namespace_new(&copy);

    if (error)
        return error;
    lock_acquire(&from->lock);
    list_for_each (struct namespace_entry, entry, &from->entries, link) {
        struct namespace_entry *new = entry_new(copy, entry->name, entry->length, entry->port);

        if (!new) {
            error = -E_NO_MEMORY;
            break;
        }
        list_append(&copy->entries, &new->link);
    }
    lock_release(&from->lock);
    if (error)
        object_put(&copy->object);
    else
        *to = copy;
    return error;
}

void namespace_destroy(struct object *object)
{
    struct namespace *names = container_of(object, struct namespace, object);

    list_for_each (struct namespace_entry, entry, &names->entries, link) {
        list_remove(&entry->link);
        entry_free(names, entry);
    }
    cache_free(&namespace_cache, names);
}

bool namespace_held(struct object *object, uint64_t *position, object_visitor *visit)
{
    struct namespace *names = container_of(object, struct namespace, object);

    (void)position; /* as many as namespace_resolve looks at */
    lock_acquire(&names->lock);
    list_for_each (struct namespace_entry, entry, &names->entries, link)
        visit(&entry->port->object);
    lock_release(&names->lock);
    return true;
}

/* scheme://rest; anything else is fs's. */
static void split(const char *uri, size_t length, size_t *scheme, size_t *rest)
{
    for (size_t i = 0; i + 2 < length && uri[i] != '/'; i++) {
        if (uri[i] == ':' && uri[i + 1] == '/' && uri[i + 2] == '/' && name_ok(uri, i)) {
            *scheme = i;
            *rest = i + 3;
            return;
        }
    }
    *scheme = *rest = 0;
}

/* A scheme of up to seven letters is in the first word of its URI: its listed name is in one, too. A URI's length behind "://",
 * or 0 where this is no such scheme, or not listed. */
static inline size_t find_short_locked(struct namespace *names, const char *uri, size_t length,
                                       struct namespace_entry **entry)
{
    const uint64_t each_byte = UINT64_C(0x0101010101010101);
    uint64_t word, colons;

    if (unlikely(length < sizeof(word)))
        return 0;
    __builtin_memcpy(&word, uri, sizeof(word));
    colons = word ^ ':' * each_byte;
    colons = (colons - each_byte) & ~colons & each_byte << 7;
    if (unlikely(!colons))
        return 0;

    size_t scheme = (size_t)__builtin_ctzll(colons) / 8; /* the lowest is exact */

    if (unlikely(scheme + 3 > length || uri[scheme + 1] != '/' || uri[scheme + 2] != '/'))
        return 0;
    word &= (UINT64_C(1) << 8 * scheme) - 1;
    list_for_each (struct namespace_entry, listed, &names->entries, link) {
        if (listed->first_word == word && listed->length == scheme) {
            *entry = listed;
            return scheme + 3;
        }
    }
    return 0;
}

static struct namespace_entry *find_any_locked(struct namespace *names, const char *uri,
                                               size_t scheme)
{
    return scheme ? find_locked(names, uri, scheme) : find_locked(names, "fs", 2);
}

int namespace_resolve(struct namespace *names, const char *uri, size_t length, struct port **port,
                      const char **rest, size_t *rest_length)
{
    struct namespace_entry *entry = NULL;
    size_t scheme, start;

    lock_acquire(&names->lock);
    start = find_short_locked(names, uri, length, &entry);
    if (unlikely(!start)) {
        lock_release(&names->lock);
        split(uri, length, &scheme, &start);
        lock_acquire(&names->lock);
        entry = find_any_locked(names, uri, scheme);
    }
    if (likely(entry)) {
        *port = entry->port;
        object_get(&entry->port->object);
    }
    lock_release(&names->lock);
    *rest = uri + start;
    *rest_length = length - start;
    return entry ? 0 : -E_NO_PROTOCOL;
}

/* --- Calls ------------------------------------------------------------------------------------------------ */

static struct namespace *namespace_of(struct object *object)
{
    return container_of(object, struct namespace, object);
}

/* The namespace a call changes: the handle's, or by HANDLE_SELF (no handle has all rights) the process's own. */
static int writable(struct object *object, struct namespace **names)
{
    if (thread_current()->call_rights == RIGHT_ALL)
        return process_own_names(process_current(), names);
    object_get(object);
    *names = namespace_of(object);
    return 0;
}

/* port NULL: off the list. */
static int list_name(struct object *object, const char *name, size_t length, struct port *port)
{
    struct namespace *names;
    int error = writable(object, &names);

    if (error)
        return error;
    error = namespace_set(names, name, length, port);
    object_put(&names->object);
    return error;
}

static int copy_name(uaddr_t from, uint64_t length, char name[PROTOCOL_NAME_MAX + 1])
{
    if (length > PROTOCOL_NAME_MAX)
        return -E_TOO_LONG;
    return user_copy_in(name, from, length);
}

int64_t sys_proto_create(struct object *object, uaddr_t name, uint64_t length)
{
    char text[PROTOCOL_NAME_MAX + 1];
    struct port *port;
    int error = copy_name(name, length, text);

    if (!error)
        error = port_new(&port);
    if (error)
        return error;

    object_get(&port->object); /* another thread may close the handle at once */
    int64_t handle = handle_return(
        &port->object, RIGHT_ALL & ~(RIGHT_READ | RIGHT_WRITE | RIGHT_EXECUTE | RIGHT_MAP));

    if (handle > 0 && length) {
        error = list_name(object, text, length, port);
        if (error)
            (void)!handle_remove(process_current()->handles, (handle_t)handle);
    }
    object_put(&port->object);
    return error ? error : handle;
}

int64_t sys_namespace_create(struct object *object, uint32_t flags)
{
    struct namespace *names;

    if (flags & ~NAMESPACE_EMPTY)
        return -E_INVALID;
    int error = flags & NAMESPACE_EMPTY ? namespace_new(&names)
                                        : namespace_copy(namespace_of(object), &names);

    if (error)
        return error;
    return handle_return(&names->object,
                         RIGHT_READ | RIGHT_WRITE | RIGHT_DUPLICATE | RIGHT_TRANSFER);
}

int64_t sys_namespace_bind(struct object *object, uaddr_t name, uint64_t length, handle_t handle)
{
    char text[PROTOCOL_NAME_MAX + 1];
    struct object *port = NULL;
    int error = copy_name(name, length, text);

    if (!error && handle != HANDLE_NONE)
        error = handle_lookup(process_current()->handles, handle, OBJECT_PORT, 0, &port, NULL);
    if (error)
        return error;
    error = list_name(object, text, length, port ? container_of(port, struct port, object) : NULL);
    if (port)
        object_put(port);
    return error;
}

/* Only to be bound: who has the port of a name can do no more than who has the name. */
int64_t sys_namespace_lookup(struct object *object, uaddr_t name, uint64_t length)
{
    struct namespace *names = namespace_of(object);
    char text[PROTOCOL_NAME_MAX + 1];
    int error = copy_name(name, length, text);

    if (error)
        return error;
    lock_acquire(&names->lock);
    struct namespace_entry *entry = find_locked(names, text, length);
    struct port *port = entry ? entry->port : NULL;
    if (port)
        object_get(&port->object);
    lock_release(&names->lock);
    return port ? handle_return(&port->object, RIGHT_DUPLICATE | RIGHT_TRANSFER) : -E_NO_PROTOCOL;
}
