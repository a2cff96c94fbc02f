/* See tree.h.
 *
 * Kept: the list, as texts behind each other, in one of two halves of a memory; which one is valid is one word. And the table that
 * is handed out, so that the next instance can say that it is stale. */
#include "sbin/vfsd/tree.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/mounts.h"
#include "lib/base/uri.h"
#include "lib/sys/keep.h"

#define KEY_STATE 1u
#define KEY_LIST  2u /* and 3: the halves */
#define KEY_TABLE 4u

#define FIELDS 5u

#define ENTRIES(mounts) ((mounts) + FS_TABLE_LISTS) /* each list has the root, too */

struct state {
    uint32_t half; /* 0: none yet, else 1 or 2 */
    uint32_t lengths[2];
    uint32_t begun;
    struct tree_change last[2]; /* that is in the half, with all before */
};

pthread_rwlock_t tree_lock = PTHREAD_RWLOCK_INITIALIZER;
struct mount *tree_mounts;
size_t tree_count;

static handle_t port;
static struct state *state;

static struct {
    struct fs_table *table; /* mapped to be written */
    uint64_t length, used;
    handle_t memory, names;
} shared = {.memory = HANDLE_NONE, .names = HANDLE_NONE};

static char **fields_of(struct mount *mount, char **fields[FIELDS])
{
    fields[0] = &mount->source;
    fields[1] = &mount->point;
    fields[2] = &mount->type;
    fields[3] = &mount->options;
    fields[4] = &mount->target;
    return fields[0];
}

static void mount_free(struct mount *mount)
{
    char **fields[FIELDS];
    fields_of(mount, fields);
    for (size_t i = 0; i < FIELDS; i++)
        free(*fields[i]);
}

int64_t tree_add(const struct mount *mount)
{
    struct mount copy = *mount, *grown;
    char **fields[FIELDS];
    bool whole = true;
    fields_of(&copy, fields);
    for (size_t i = 0; i < FIELDS; i++) {
        *fields[i] = strdup(*fields[i]);
        whole = whole && *fields[i];
    }
    grown = whole ? realloc(tree_mounts, (tree_count + 1) * sizeof(*grown)) : NULL;
    if (!grown) {
        mount_free(&copy);
        return -E_NO_MEMORY;
    }
    tree_mounts = grown;
    tree_mounts[tree_count++] = copy;
    return 0;
}

void tree_remove(size_t at)
{
    mount_free(&tree_mounts[at]);
    tree_count--;
    memmove(&tree_mounts[at], &tree_mounts[at + 1], (tree_count - at) * sizeof(*tree_mounts));
}

int64_t tree_set_options(size_t at, const char *options)
{
    char *copy = strdup(options);
    if (!copy)
        return -E_NO_MEMORY;
    free(tree_mounts[at].options);
    tree_mounts[at].options = copy;
    return 0;
}

void tree_clear(void)
{
    while (tree_count)
        tree_remove(tree_count - 1);
}

size_t tree_find(const char *point, size_t length)
{
    size_t at = 0;
    while (at < tree_count && (strlen(tree_mounts[at].point) != length ||
                               memcmp(tree_mounts[at].point, point, length) != 0))
        at++;
    return at;
}

size_t tree_uses(const char *target)
{
    size_t length = strlen(target), uses = 0;
    for (size_t i = 0; i < tree_count; i++) {
        const char *other = tree_mounts[i].target;
        if (strncmp(other, target, length) == 0 && (!other[length] || other[length] == '/'))
            uses++;
    }
    return uses;
}

/* --- kept --- */

static size_t list_length(void)
{
    size_t length = 0;
    for (size_t i = 0; i < tree_count; i++) {
        char **fields[FIELDS];
        fields_of(&tree_mounts[i], fields);
        for (size_t field = 0; field < FIELDS; field++)
            length += strlen(*fields[field]) + 1;
    }
    return length;
}

static int64_t list_save(const struct tree_change *by)
{
    static const struct tree_change none;
    size_t length = list_length();
    uint32_t half = state->half == 1 ? 2 : 1;
    char *text = keep_memory(port, KEY_LIST + half - 1, MAX(length, (size_t)PAGE_SIZE)), *at = text;
    if (!text)
        return -E_NO_MEMORY;
    for (size_t i = 0; i < tree_count; i++) {
        char **fields[FIELDS];
        fields_of(&tree_mounts[i], fields);
        for (size_t field = 0; field < FIELDS; field++)
            at = stpcpy(at, *fields[field]) + 1;
    }
    state->lengths[half - 1] = (uint32_t)length;
    state->last[half - 1] = by ? *by : state->half ? state->last[state->half - 1] : none;
    keep_commit(&state->half, half);
    keep_release(text, MAX(length, (size_t)PAGE_SIZE));
    return 0;
}

/* The next terminated text of what is left; NULL: there is none. */
static char *text_next(char **at, const char *end)
{
    char *text = *at, *zero = memchr(text, '\0', (size_t)(end - text));
    *at = zero ? zero + 1 : text;
    return zero ? text : NULL;
}

static bool list_read(char *text, size_t length)
{
    const char *end = text + length;
    while (text < end) {
        struct mount mount;
        char **fields[FIELDS];
        fields_of(&mount, fields);
        for (size_t i = 0; i < FIELDS; i++)
            if (!(*fields[i] = text_next(&text, end)))
                return false;
        if (strlen(mount.target) > FS_TARGET_MAX || tree_add(&mount) < 0)
            return false;
    }
    return tree_find("", 0) < tree_count;
}

static void table_forget(void)
{
    handle_t old = keep_get(port, KEY_TABLE);
    struct abi_map map = {
        .length = PAGE_SIZE,
        .memory = old,
        .protection = PROT_READ_ | PROT_WRITE_,
        .flags = MAP_SHARED_,
    };
    int64_t address = old == HANDLE_NONE ? -E_NOT_FOUND : sys_space_map(HANDLE_SELF, &map);
    if (address >= 0) {
        __atomic_store_n(&((struct fs_table *)address)->stale, 1, __ATOMIC_RELEASE);
        sys_ignore(sys_space_unmap(HANDLE_SELF, (uint64_t)address, map.length));
    }
    handle_drop(old);
}

bool tree_recover(handle_t fs_port)
{
    port = fs_port;
    state = keep_memory(port, KEY_STATE, sizeof(*state));
    if (!state || state->half < 1 || state->half > 2)
        return false;
    uint32_t length = state->lengths[state->half - 1];
    char *text = keep_memory(port, KEY_LIST + state->half - 1, MAX(length, PAGE_SIZE));
    bool whole = text && list_read(text, length);
    keep_release(text, MAX(length, PAGE_SIZE));
    if (!whole)
        tree_clear();
    return whole;
}

bool tree_has(const struct tree_change *change)
{
    const struct tree_change *last = state->half ? &state->last[state->half - 1] : NULL;
    return change->number && last && last->number == change->number &&
           last->caller == change->caller;
}

bool tree_begun(void)
{
    return state->begun;
}

void tree_set_begun(void)
{
    keep_commit(&state->begun, 1);
}

/* --- the table --- */

static unsigned list_of(const struct mount *mount)
{
    return (unsigned char)mount->point[0] % FS_TABLE_LISTS;
}

/* By list, and in each the longest first; the root last of all. */
static int by_place(const void *a, const void *b)
{
    const struct mount *first = *(struct mount *const *)a, *second = *(struct mount *const *)b;
    size_t one = strlen(first->point), other = strlen(second->point);
    if (!one || !other)
        return !one - !other;
    if (list_of(first) != list_of(second))
        return list_of(first) < list_of(second) ? -1 : 1;
    return one > other ? -1 : one < other;
}

static uint32_t text_put(struct fs_table *table, uint64_t *used, const char *text, size_t length)
{
    uint32_t offset = (uint32_t)*used;
    memcpy((char *)table + offset, text, length);
    *used += length;
    return offset;
}

static void entry_add(struct fs_table *table, uint64_t *used, const struct mount *mount)
{
    struct fs_mount *entry = &table->mounts[table->count++];
    entry->point_length = (uint32_t)strlen(mount->point);
    entry->target_length = (uint32_t)strlen(mount->target);
    memcpy(&entry->head, mount->point, MIN(entry->point_length, sizeof(entry->head)));
    memset(&entry->mask, 0xff, MIN(entry->point_length, sizeof(entry->mask)));
    entry->point = text_put(table, used, mount->point, entry->point_length);
    entry->target = text_put(table, used, mount->target, entry->target_length);
}

/* sorted: by_place. */
static uint64_t table_fill(struct fs_table *table, struct mount *const *sorted)
{
    const struct mount *root = sorted[tree_count - 1];
    uint64_t used = sizeof(*table) + ENTRIES(tree_count) * sizeof(table->mounts[0]);
    size_t at = 0;
    for (uint32_t list = 0; list < FS_TABLE_LISTS; list++) {
        table->first[list] = table->count;
        while (at + 1 < tree_count && list_of(sorted[at]) == list)
            entry_add(table, &used, sorted[at++]);
        entry_add(table, &used, root);
    }
    table->magic = FS_TABLE_MAGIC;
    return used;
}

/* The protocols that the targets name, and no others; those of volumes that nobody serves yet come later (volumes.c). */
static int64_t names_make(handle_t *names)
{
    int64_t result = sys_namespace_create(HANDLE_SELF, NAMESPACE_EMPTY);
    if (result < 0)
        return result;
    *names = (handle_t)result;
    for (size_t i = 0; i < tree_count; i++) {
        const char *target = tree_mounts[i].target;
        size_t length = uri_scheme_length(target, strlen(target));
        int64_t named = sys_namespace_lookup(HANDLE_SELF, target, length);
        if (named >= 0) {
            result = sys_namespace_bind(*names, target, length, (handle_t)named);
            handle_drop((handle_t)named);
        }
        if (named == -E_NO_PROTOCOL || named == -E_NOT_FOUND)
            continue;
        if (named < 0 || result < 0) {
            handle_drop(*names);
            return named < 0 ? named : result;
        }
    }
    return 0;
}

static int64_t table_make(struct fs_table **table, uint64_t *length, uint64_t *used,
                          handle_t *memory)
{
    struct mount **sorted = malloc(tree_count * sizeof(struct mount *));
    if (!sorted)
        return -E_NO_MEMORY;
    for (size_t i = 0; i < tree_count; i++)
        sorted[i] = &tree_mounts[i];
    qsort(sorted, tree_count, sizeof(struct mount *), by_place);
    *length = ALIGN_UP(sizeof(**table) + ENTRIES(tree_count) * sizeof((*table)->mounts[0]) +
                           list_length() + FS_TABLE_LISTS * strlen(sorted[tree_count - 1]->target),
                       (uint64_t)PAGE_SIZE);
    struct abi_map map = {
        .length = *length, .protection = PROT_READ_ | PROT_WRITE_, .flags = MAP_SHARED_};
    int64_t result = sys_memory_create(*length, MEMORY_FIXED);
    *memory = map.memory = result < 0 ? HANDLE_NONE : (handle_t)result;
    if (result >= 0)
        result = sys_space_map(HANDLE_SELF, &map);
    if (result >= 0) {
        *table = (struct fs_table *)result;
        *used = table_fill(*table, sorted);
    } else {
        handle_drop(*memory);
    }
    free(sorted);
    return MIN(result, INT64_C(0));
}

int64_t tree_publish(const struct tree_change *by)
{
    struct fs_table *table;
    uint64_t length, used;
    handle_t memory, names;
    int64_t result = names_make(&names);
    if (result < 0)
        return result;
    result = table_make(&table, &length, &used, &memory);
    if (result >= 0)
        result = list_save(by);
    if (result < 0) {
        handle_drop(names);
        return result;
    }
    table_forget();
    sys_ignore(keep_handle(port, KEY_TABLE, memory));
    keep_release(shared.table, shared.length);
    handle_drop(shared.memory);
    handle_drop(shared.names);
    shared.table = table;
    shared.length = length;
    shared.used = used;
    shared.memory = memory;
    shared.names = names;
    return 0;
}

bool tree_published(void)
{
    return shared.table;
}

const struct fs_table *tree_table(uint64_t *length)
{
    *length = shared.used;
    return shared.table;
}

int64_t tree_share(handle_t handles[2])
{
    const uint32_t rights = RIGHT_READ | RIGHT_DUPLICATE | RIGHT_TRANSFER;
    int64_t memory = sys_handle_duplicate(shared.memory, rights);
    if (memory < 0)
        return memory;
    int64_t names = sys_handle_duplicate(shared.names, rights);
    if (names < 0) {
        handle_drop((handle_t)memory);
        return names;
    }
    handles[0] = (handle_t)memory;
    handles[1] = (handle_t)names;
    return 0;
}
