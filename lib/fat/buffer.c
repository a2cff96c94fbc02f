/* See buffer.h. */
#include "lib/fat/buffer.h"

#include <stdlib.h>
#include <string.h>

static uint32_t *hash_place(struct fat_volume *volume, uint32_t kind, uint64_t sector)
{
    uint64_t hash = (sector * 2 + (kind == BUFFER_TABLE)) * UINT64_C(0x9e3779b97f4a7c15);
    return &volume->buffer_hash[(hash >> 32) & volume->buffer_hash_mask];
}

static struct buffer_link *link_of(const struct fat_volume *volume, const struct buffer *buffer)
{
    return &volume->links[buffer_number(volume, buffer)];
}

static struct buffer *buffer_of(const struct fat_volume *volume, const struct list *link)
{
    const struct buffer_link *own = container_of(link, struct buffer_link, link);
    return &volume->heads[own - volume->links];
}

static void hash_enter(struct fat_volume *volume, struct buffer *buffer)
{
    uint32_t *place = hash_place(volume, buffer->kind, buffer->sector);
    link_of(volume, buffer)->hash_next = *place;
    *place = buffer_number(volume, buffer) + 1;
}

static void hash_leave(struct fat_volume *volume, struct buffer *buffer)
{
    uint32_t *place = hash_place(volume, buffer->kind, buffer->sector);
    while (*place != buffer_number(volume, buffer) + 1)
        place = &volume->links[*place - 1].hash_next;
    *place = link_of(volume, buffer)->hash_next;
}

int64_t buffers_open(struct fat_volume *volume)
{
    uint32_t count = volume->kept->buffers, hashes = 1;
    while (hashes < count)
        hashes *= 2;
    volume->links = calloc(count, sizeof(*volume->links));
    volume->buffer_hash = calloc(hashes, sizeof(uint32_t));
    volume->buffer_hash_mask = hashes - 1;
    list_init(&volume->buffers_clean);
    list_init(&volume->buffers_dirty);
    volume->run = malloc(RUN_BYTES);
    if (!volume->links || !volume->buffer_hash || !volume->run)
        return -E_NO_MEMORY;
    for (uint32_t i = 0; i < count; i++) {
        if (volume->heads[i].kind != BUFFER_NONE)
            hash_enter(volume, &volume->heads[i]);
        list_init(&volume->links[i].link);
    }
    buffers_sort(volume);
    return 0;
}

void buffers_close(struct fat_volume *volume)
{
    free(volume->links);
    free(volume->buffer_hash);
    free(volume->run);
}

void buffers_sort(struct fat_volume *volume)
{
    volume->dirty_count = 0;
    for (uint32_t i = 0; i < volume->kept->buffers; i++) {
        struct list *link = &volume->links[i].link;
        list_remove(link);
        list_append(volume->heads[i].phases ? &volume->buffers_dirty : &volume->buffers_clean,
                    link);
        volume->dirty_count += volume->heads[i].phases != 0;
    }
}

static uint64_t device_sector(const struct fat_volume *volume, uint32_t kind, uint64_t sector)
{
    return kind == BUFFER_TABLE ? volume->table_start + sector : sector;
}

/* BUFFER_NONE before its image is changed, and what it is thereafter: the next process takes it as it is. */
static void set_kind(struct buffer *buffer, uint32_t kind)
{
    in_order();
    buffer->kind = kind;
    in_order();
}

/* Of the table any copy will do if the first cannot be read. */
static int64_t fill(struct fat_volume *volume, const struct buffer *buffer, uint32_t kind)
{
    size_t length = (size_t)sectors_of(volume, kind, buffer->sector) * volume->sector_size;
    uint32_t copies = kind == BUFFER_TABLE ? volume->tables : 1;
    int64_t result = -E_IO;
    for (uint32_t copy = 0; copy < copies && result < 0; copy++) {
        uint64_t sector =
            device_sector(volume, kind, buffer->sector) + (uint64_t)copy * volume->table_sectors;
        result =
            volume_read(volume, sector * volume->sector_size, buffer_now(volume, buffer), length);
    }
    return result;
}

struct buffer *buffer_find(struct fat_volume *volume, enum buffer_kind kind, uint64_t sector)
{
    for (uint32_t at = *hash_place(volume, kind, sector); at;
         at = volume->links[at - 1].hash_next) {
        struct buffer *buffer = &volume->heads[at - 1];
        if (buffer->sector == sector && buffer->kind == kind)
            return buffer;
    }
    return NULL;
}

int64_t buffer_get(struct fat_volume *volume, enum buffer_kind kind, uint64_t sector,
                   struct buffer **result)
{
    struct buffer *buffer = buffer_find(volume, kind, sector);
    if (buffer) {
        *result = buffer;
        if (!buffer->phases && volume->buffers_clean.previous != &link_of(volume, buffer)->link) {
            list_unlink(&link_of(volume, buffer)->link);
            list_append(&volume->buffers_clean, &link_of(volume, buffer)->link);
        }
        return 0;
    }
    buffer = buffer_of(volume, volume->buffers_clean.next);
    if (buffer->kind != BUFFER_NONE)
        hash_leave(volume, buffer);
    set_kind(buffer, BUFFER_NONE);
    buffer->sector = sector;
    int64_t error = fill(volume, buffer, kind);
    if (error < 0)
        return error;
    set_kind(buffer, kind);
    hash_enter(volume, buffer);
    list_unlink(&link_of(volume, buffer)->link);
    list_append(&volume->buffers_clean, &link_of(volume, buffer)->link);
    *result = buffer;
    return 0;
}

void buffer_change(struct fat_volume *volume, struct buffer *buffer, uint32_t cell, uint32_t at,
                   const void *bytes, uint32_t length, uint32_t phase)
{
    uint8_t *phases = buffer_phases(volume, buffer);
    if (!buffer->phases) {
        memcpy(buffer_device(volume, buffer), buffer_now(volume, buffer), volume->kept->room);
        memset(phases, 0, volume->kept->room);
        list_remove(&link_of(volume, buffer)->link);
        list_append(&volume->buffers_dirty, &link_of(volume, buffer)->link);
        volume->dirty_count++;
    }
    uint32_t bits = buffer->phases | 1u << (phase & ~PHASE_LEAVING) |
                    (phase & PHASE_LEAVING ? 1u << PHASE_NEW : 0);
    if (bits != buffer->phases)
        keep_set(volume, &buffer->phases, bits);
    if (phases[cell] != (uint8_t)phase)
        keep_set(volume, &phases[cell], (uint8_t)phase);
    keep_bytes(volume, buffer_now(volume, buffer) + at, bytes, length);
}

void buffers_forget(struct fat_volume *volume, uint64_t sector, uint64_t count)
{
    for (uint64_t i = sector; i < sector + count; i++) {
        struct buffer *buffer = buffer_find(volume, BUFFER_SLOTS, i);
        if (!buffer || buffer->phases)
            continue;
        hash_leave(volume, buffer);
        set_kind(buffer, BUFFER_NONE);
        list_remove(&link_of(volume, buffer)->link);
        list_prepend(&volume->buffers_clean, &link_of(volume, buffer)->link);
    }
}

void buffer_cleaned(struct fat_volume *volume, struct buffer *buffer)
{
    buffer->phases = 0;
    list_remove(&link_of(volume, buffer)->link);
    list_append(&volume->buffers_clean, &link_of(volume, buffer)->link);
    volume->dirty_count--;
}
