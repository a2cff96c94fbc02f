/* A volume is mounted, synced and left. */
#include "lib/fat/volume.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/fat/boot.h"
#include "lib/fat/buffer.h"
#include "lib/fat/call.h"
#include "lib/fat/commit.h"
#include "lib/fat/repair.h"

static void say(const struct fat_volume *volume, const char *format, va_list arguments)
{
    char text[160];
    vsnprintf(text, sizeof(text), format, arguments);
    volume->config.message(volume->config.context, text);
}

void volume_say(const struct fat_volume *volume, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(volume, format, arguments);
    va_end(arguments);
}

int64_t volume_malformed(const struct fat_volume *volume, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(volume, format, arguments);
    va_end(arguments);
    return -E_IO;
}

int64_t volume_read(const struct fat_volume *volume, uint64_t offset, void *bytes, size_t length)
{
    return volume->config.read(volume->config.context, offset, bytes, length) < 0 ? -E_IO : 0;
}

int64_t volume_write(const struct fat_volume *volume, uint64_t offset, const void *bytes,
                     size_t length)
{
    return volume->config.write(volume->config.context, offset, bytes, length) < 0 ? -E_IO : 0;
}

static void volume_free(struct fat_volume *volume)
{
    nodes_close(volume);
    space_close(volume);
    buffers_close(volume);
    free(volume->records_free);
    free(volume);
}

/* What the predecessor left: files somebody had, and such as have changes to be written. */
static int64_t adopt_all(struct fat_volume *volume)
{
    records_sort(volume);
    for (uint32_t i = 0; i < volume->kept->records; i++) {
        struct record *record = &volume->records[i];
        if (!record->flags || record->flags & RECORD_DOOMED)
            continue;
        int64_t result = node_adopt(volume, record);
        if (result < 0)
            return result;
    }
    return 0;
}

static int64_t open_parts(struct fat_volume *volume, void *kept, size_t length)
{
    int64_t result = boot_read(volume);
    if (result >= 0)
        result = kept_open(volume, kept, length);
    if (result >= 0)
        result = buffers_open(volume);
    if (result < 0)
        return result;
    commit_recover(volume);
    volume->records_free = calloc(volume->kept->records, sizeof(uint32_t));
    if (!volume->records_free)
        return -E_NO_MEMORY;
    result = node_root(volume);
    if (result >= 0)
        result = boot_check(volume);
    if (result < 0)
        return result;
    info_read(volume);
    return space_open(volume);
}

/* Once it may be written, and as long as nobody has anything of it. */
static int64_t look_through(struct fat_volume *volume)
{
    if (volume->read_only || !volume->unseen)
        return 0;
    if (!nodes_none(volume))
        return -E_BUSY;
    volume->unseen = false;
    volume->aborts++; /* what is known of the root may change */
    return repair(volume);
}

int64_t fat_mount(const struct fat_config *config, void *kept, size_t length,
                  struct fat_volume **result)
{
    struct fat_volume *volume = calloc(1, sizeof(*volume));
    if (!volume)
        return -E_NO_MEMORY;
    volume->config = *config;
    volume->read_only = config->read_only;
    list_init(&volume->buffers_clean);
    list_init(&volume->buffers_dirty);
    list_init(&volume->nodes_idle);
    list_init(&volume->nodes_pending);
    list_init(&volume->nodes_nameless);
    int64_t error = open_parts(volume, kept, length);
    if (error >= 0)
        error = adopt_all(volume);
    if (error >= 0 && !volume->kept->ready && volume->was_dirty) {
        volume->kept->marked = MARK_IN_USE;
        volume->unseen = true;
        error = look_through(volume);
    }
    if (error < 0) {
        volume_free(volume);
        return error;
    }
    volume->kept->ready = 1;
    *result = volume;
    return 0;
}

struct fat_node *fat_inherit(struct fat_volume *volume)
{
    while (volume->inherit_next < volume->kept->records) {
        const struct record *record = &volume->records[volume->inherit_next++];
        if (!(record->flags & RECORD_HELD) || record->flags & RECORD_DOOMED)
            continue;
        if (record->slot)
            return fat_get(node_find(volume, record->slot));
        list_for_each (struct fat_node, node, &volume->nodes_nameless, link) {
            if (node->record == record)
                return fat_get(node);
        }
    }
    return NULL;
}

struct fat_node *fat_root(struct fat_volume *volume)
{
    return fat_get(volume->root);
}

bool fat_dirty(const struct fat_volume *volume)
{
    return volume->dirty_count || volume->doomed || !list_empty(&volume->nodes_pending);
}

uint32_t fat_sector_size(const struct fat_volume *volume)
{
    return volume->sector_size;
}

uint32_t fat_cluster_size(const struct fat_volume *volume)
{
    return volume->cluster_size;
}

int64_t fat_sync(struct fat_volume *volume)
{
    return volume->read_only ? 0 : commit(volume);
}

bool fat_is_clean(const struct fat_volume *volume)
{
    return volume->kept->marked == MARK_NONE && !fat_dirty(volume);
}

int64_t fat_clean(struct fat_volume *volume)
{
    uint32_t free;
    if (volume->read_only)
        return 0;
    int64_t result;
    do
        result = commit(volume);
    while (result >= 0 && fat_dirty(volume));
    if (result < 0 || volume->kept->marked == MARK_NONE || !list_empty(&volume->nodes_nameless))
        return result;
    result = space_count(volume, &free);
    if (result >= 0)
        result = info_write(volume, free);
    if (result >= 0 && volume->config.flush(volume->config.context) < 0)
        result = -E_IO;
    return result < 0 ? result : boot_mark(volume, false);
}

int64_t fat_unmount(struct fat_volume *volume)
{
    int64_t result = fat_clean(volume);
    if (result >= 0)
        volume->kept->magic = 0;
    volume_free(volume);
    return result;
}

int64_t fat_set_read_only(struct fat_volume *volume, bool read_only)
{
    if (!read_only && volume->damaged)
        return -E_READ_ONLY;
    int64_t result = read_only ? fat_clean(volume) : 0;
    if (result < 0)
        return result;
    volume->read_only = read_only;
    result = look_through(volume);
    if (result < 0)
        volume->read_only = true;
    return !read_only && volume->damaged ? -E_READ_ONLY : result;
}

int64_t fat_statfs(struct fat_volume *volume, struct fat_statfs *statfs)
{
    memset(statfs, 0, sizeof(*statfs));
    while (volume->doomed && !volume->read_only) {
        int64_t result = commit(volume);
        if (result < 0)
            return result;
    }
    statfs->bits = volume->bits;
    statfs->sector_size = volume->sector_size;
    statfs->cluster_size = volume->cluster_size;
    statfs->clusters = volume->clusters;
    statfs->serial = volume->serial;
    statfs->read_only = volume->read_only;
    memcpy(statfs->label, volume->label, sizeof(statfs->label));
    return space_count(volume, &statfs->clusters_free);
}
