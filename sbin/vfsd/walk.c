/* See walk.h. The list is locked only to be looked at, never while a service is asked. */
#include "sbin/vfsd/walk.h"

#include <string.h>

#include "abi/ops.h"
#include "lib/base/mounts.h"
#include "lib/base/uri.h"
#include "sbin/vfsd/tree.h"

#define LINKS_MAX 40
#define ROOT      "fs:///"
#define SCHEME    5u

struct asked {
    char uri[PATH_LENGTH_MAX + FS_TARGET_MAX + 8];
    size_t length;
    size_t rest; /* how much of the path the point took */
};

static bool in_tree(const struct walk *walk)
{
    return walk->length >= sizeof(ROOT) - 1 && memcmp(walk->uri, ROOT, sizeof(ROOT) - 1) == 0;
}

static int64_t resolve(struct walk *walk, const char *text, size_t length)
{
    unsigned flags;
    int64_t result =
        uri_resolve(ROOT, text, length, walk->uri, sizeof(walk->uri), &walk->length, &flags);
    return result < 0 ? result : in_tree(walk) ? 0 : -E_LINK;
}

int64_t walk_begin(struct walk *walk, const char *path, size_t length)
{
    return length ? resolve(walk, path, length) : resolve(walk, "/", 1);
}

/* What to ask of whom. */
static void ask(const struct walk *walk, struct asked *asked)
{
    const char *path = walk->uri + SCHEME;
    size_t length = walk->length - SCHEME, rest;
    uint64_t table_length;
    pthread_rwlock_rdlock(&tree_lock);
    const struct fs_table *table = tree_table(&table_length);
    const struct fs_mount *mount = mounts_find(table, path, length, &rest);
    memcpy(asked->uri, mounts_text(table, mount->target), mount->target_length);
    asked->rest = rest;
    asked->length = mount->target_length + length - rest;
    memcpy(asked->uri + mount->target_length, path + rest, length - rest);
    if (rest == length)
        asked->uri[asked->length++] = '/';
    pthread_rwlock_unlock(&tree_lock);
}

static int64_t follow(struct walk *walk, const char *text, size_t length)
{
    char link[2 * PATH_LENGTH_MAX];
    size_t rest, link_length;
    uint64_t table_length;
    pthread_rwlock_rdlock(&tree_lock);
    const struct fs_table *table = tree_table(&table_length);
    const struct fs_mount *mount =
        mounts_find(table, walk->uri + SCHEME, walk->length - SCHEME, &rest);
    int64_t result = mounts_link(table, mount, text, length, link, sizeof(link), &link_length);
    pthread_rwlock_unlock(&tree_lock);
    return result < 0 ? result : resolve(walk, link, link_length);
}

int64_t walk_open(struct walk *walk, uint32_t flags, uint32_t mode)
{
    char link[PATH_LENGTH_MAX];
    for (int links = 0; links <= LINKS_MAX; links++) {
        struct asked asked;
        ask(walk, &asked);
        struct abi_open open = {
            .uri = (uintptr_t)asked.uri,
            .uri_length = asked.length,
            .flags = flags,
            .mode = mode,
            .link = (uintptr_t)link,
            .link_length = sizeof(link),
        };
        int64_t result = sys_open(HANDLE_SELF, &open);
        if (result == -E_LINK)
            result = follow(walk, link, open.link_length);
        else
            return result;
        if (result < 0)
            return result;
    }
    return -E_LOOP;
}

/* The second path goes along as its part behind "scheme://", and must be of the same mount. */
static int64_t second_add(const struct walk *walk, const struct asked *first,
                          const struct walk *second, struct asked *asked,
                          struct abi_command *command)
{
    struct uri uri;
    ask(second, asked);
    if (asked->rest != first->rest ||
        memcmp(walk->uri + SCHEME, second->uri + SCHEME, first->rest) != 0)
        return -E_CROSS_DEVICE;
    int64_t result = uri_split(asked->uri, asked->length, &uri);
    command->in = (uintptr_t)uri.rest;
    command->in_length = uri.rest_length;
    return result;
}

int64_t walk_call(struct walk *walk, struct walk *second, struct abi_command *command)
{
    char link[PATH_LENGTH_MAX];
    uint64_t out = command->out, out_length = command->out_length;
    if (!out_length) {
        command->out = (uintptr_t)link;
        command->out_length = sizeof(link);
    }
    for (int links = 0; links <= LINKS_MAX; links++) {
        struct asked asked, other;
        ask(walk, &asked);
        int64_t result = second ? second_add(walk, &asked, second, &other, command) : 0;
        if (result < 0)
            return result;
        struct abi_path_call call = {
            .uri = (uintptr_t)asked.uri, .uri_length = asked.length, .command = *command};
        call.command.flags |= COMMAND_RESTARTABLE;
        result = sys_path_call(HANDLE_SELF, &call);
        if (result == -E_LINK)
            result = follow(second && call.command.values[1] == 1 ? second : walk,
                            (const char *)(uintptr_t)call.command.out,
                            MIN(call.command.values[0], call.command.out_length));
        else {
            *command = call.command;
            command->out = out;
            command->out_length = out_length;
            return result;
        }
        if (result < 0)
            return result;
    }
    return -E_LOOP;
}

int64_t walk_target(const struct walk *walk, char *target)
{
    struct asked asked;
    if (!in_tree(walk)) {
        if (walk->length > FS_TARGET_MAX)
            return -E_TOO_LONG;
        memcpy(target, walk->uri, walk->length);
        target[walk->length] = '\0';
        return 0;
    }
    ask(walk, &asked);
    while (asked.length && asked.uri[asked.length - 1] == '/')
        asked.length--;
    if (asked.length > FS_TARGET_MAX)
        return -E_TOO_LONG;
    memcpy(target, asked.uri, asked.length);
    target[asked.length] = '\0';
    return 0;
}
