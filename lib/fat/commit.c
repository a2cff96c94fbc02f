/* See commit.h. */
#include "lib/fat/commit.h"

#include <string.h>

#include "lib/fat/boot.h"
#include "lib/fat/buffer.h"
#include "lib/fat/call.h"
#include "lib/fat/table.h"

/* Cells of a buffer. */
static uint32_t cells_of(const struct fat_volume *volume, const struct buffer *buffer)
{
    return buffer->kind == BUFFER_TABLE ? table_cells(volume) : volume->sector_size / SLOT_SIZE;
}

/* Brings the device's image to where it is to be after the phase. */
static void apply(struct fat_volume *volume, struct buffer *buffer, uint32_t phase)
{
    uint8_t *device = buffer_device(volume, buffer);
    const uint8_t *now = buffer_now(volume, buffer), *phases = buffer_phases(volume, buffer);
    uint32_t cells = cells_of(volume, buffer);
    for (uint32_t i = 0; i < cells; i++) {
        struct slot *slot = (struct slot *)(void *)(device + i * SLOT_SIZE);
        if (phases[i] == (PHASE_GONE | PHASE_LEAVING) && phase == PHASE_NEW)
            slot->flags |= (uint8_t)SLOT_LEAVING;
        if ((phases[i] & ~PHASE_LEAVING) != phase)
            continue;
        if (buffer->kind == BUFFER_TABLE)
            table_copy(volume, device, now, i);
        else
            memcpy(slot, now + i * SLOT_SIZE, SLOT_SIZE);
    }
}

/* --- Buffers whose sectors follow each other are one write --- */

/* volume->run's bytes, which begin where the buffer does. */
static int64_t write_run(struct fat_volume *volume, const struct buffer *first, uint32_t length)
{
    uint32_t copies = first->kind == BUFFER_TABLE ? volume->tables : 1;
    uint64_t start = first->kind == BUFFER_TABLE ? volume->table_start : 0;
    int64_t result = 0;
    for (uint32_t i = 0; i < copies && result >= 0; i++) {
        uint64_t at = start + (uint64_t)i * volume->table_sectors + first->sector;
        result = volume_write(volume, at * volume->sector_size, volume->run, length);
    }
    return result;
}

/* The buffer of the sectors behind this one's (step 1) or in front of it (-1), if the phase has something in it. */
static struct buffer *neighbour(struct fat_volume *volume, const struct buffer *buffer, int step,
                                uint32_t phase)
{
    uint32_t sectors = buffer->kind == BUFFER_TABLE ? volume->table_span : 1;
    if (step < 0 && buffer->sector < sectors)
        return NULL;
    struct buffer *found =
        buffer_find(volume, buffer->kind, buffer->sector + (uint64_t)((int64_t)step * sectors));
    return found && found->phases & 1u << phase ? found : NULL;
}

/* This buffer and all behind it. */
static int64_t write_from(struct fat_volume *volume, struct buffer *buffer, uint32_t phase)
{
    const struct buffer *first = buffer;
    uint32_t length = 0;
    int64_t result = 0;
    for (; buffer && result >= 0; buffer = neighbour(volume, buffer, 1, phase)) {
        uint32_t more = buffer_sectors(volume, buffer) * volume->sector_size;
        if (length + more > RUN_BYTES) {
            result = write_run(volume, first, length);
            first = buffer;
            length = 0;
        }
        apply(volume, buffer, phase);
        memcpy(volume->run + length, buffer_device(volume, buffer), more);
        length += more;
    }
    return result < 0 ? result : write_run(volume, first, length);
}

static int64_t flush(struct fat_volume *volume)
{
    return volume->config.flush(volume->config.context) < 0 ? -E_IO : 0;
}

/* The phase's cells are as they should be on the platter. */
static void clear_cells(struct fat_volume *volume, uint32_t phase)
{
    list_for_each (struct buffer_link, own, &volume->buffers_dirty, link) {
        struct buffer *buffer = &volume->heads[own - volume->links];
        uint8_t *phases = buffer_phases(volume, buffer);
        uint32_t left = 0;
        if (!(buffer->phases & 1u << phase))
            continue;
        for (uint32_t i = 0; i < cells_of(volume, buffer); i++) {
            if ((phases[i] & ~PHASE_LEAVING) == phase)
                phases[i] = PHASE_NONE;
            left |= phases[i] ? 1u << (phases[i] & ~PHASE_LEAVING) : 0;
        }
        if (left)
            buffer->phases = left;
        else
            buffer_cleaned(volume, buffer);
    }
}

static void make_clean(struct fat_volume *volume, uint32_t phase)
{
    volume->kept->clearing = phase;
    in_order();
    clear_cells(volume, phase);
    in_order();
    volume->kept->clearing = 0;
}

void commit_recover(struct fat_volume *volume)
{
    if (volume->kept->clearing)
        make_clean(volume, volume->kept->clearing);
}

static int64_t write_phase(struct fat_volume *volume, uint32_t phase)
{
    bool wrote = phase == PHASE_NEW; /* file data was */
    bool any = false;
    list_for_each (struct buffer_link, own, &volume->buffers_dirty, link) {
        struct buffer *buffer = &volume->heads[own - volume->links];
        if (!(buffer->phases & 1u << phase))
            continue;
        any = true;
        int64_t result = 0;
        if (!neighbour(volume, buffer, -1, phase))
            result = write_from(volume, buffer, phase);
        if (result < 0)
            return result;
    }
    if ((wrote || any) && phase != PHASE_LAST) {
        int64_t result = flush(volume);
        if (result < 0)
            return result;
    }
    if (any)
        make_clean(volume, phase);
    return 0;
}

/* File data, in front of the entries that tell of it. */
static int64_t write_data(struct fat_volume *volume)
{
    int64_t result = 0;
    list_for_each (struct fat_node, node, &volume->nodes_pending, pending) {
        if (!(node->record->flags & RECORD_GREW))
            continue;
        int64_t one = 0;
        if (node->references)
            one = volume->config.write_back(volume->config.context, node);
        if (one >= 0)
            one = file_fill(node, node->record->size);
        result = one < 0 && result >= 0 ? one : result;
    }
    return result;
}

/* What grew has its data and its entry. */
static void settle(struct fat_volume *volume)
{
    list_for_each (struct fat_node, node, &volume->nodes_pending, pending) {
        node_unflag(node, RECORD_GREW);
        keep_commit(volume);
        if (!list_linked(&node->pending))
            node_settle(node);
    }
}

static int64_t write_all(struct fat_volume *volume)
{
    int64_t data = write_data(volume), result = 0;
    if (volume->kept->marked != MARK_IN_USE && volume->dirty_count)
        result = boot_mark(volume, true);
    for (uint32_t phase = PHASE_NEW; phase < PHASE_END && result >= 0; phase++)
        result = write_phase(volume, phase);
    if (result < 0)
        return result;
    volume->kept->turn++;
    settle(volume);
    return data < 0 ? -E_IO : 0;
}

int64_t commit(struct fat_volume *volume)
{
    int64_t result = write_all(volume);
    if (result < 0)
        return result;
    return reap(volume);
}

/* --- What comes after: clusters are freed --- */

/* A few clusters of a doomed chain: 1 if there are more. */
static int64_t free_some(struct fat_volume *volume, struct record *record)
{
    uint32_t cluster = record->start, dirty = volume->dirty_count;
    struct cluster_run runs[16];
    uint32_t count = 0, steps = 0;
    while (cluster && steps++ < 256 && volume->dirty_count < dirty + BUFFERS_OF_CALL) {
        uint32_t value;
        int64_t result = table_get(volume, cluster, &value);
        if (result >= 0 && value == TABLE_FREE)
            result = volume_malformed(volume, "cluster %u of a deleted file is free", cluster);
        if (result < 0) {
            cluster = 0; /* the rest is lost until a check finds it */
            break;
        }
        struct cluster_run *last = count ? &runs[count - 1] : NULL;
        if (!last || last->first + last->count != cluster) {
            if (count == ARRAY_SIZE(runs))
                break;
            runs[count++] = (struct cluster_run){cluster, 0};
        }
        runs[count - 1].count++;
        result = table_set(volume, cluster, TABLE_FREE, PHASE_NEW);
        if (result < 0)
            return call_end(volume, result);
        cluster = cluster_valid(volume, value) ? value : 0;
    }
    if (cluster)
        keep_set(volume, &record->start, cluster);
    else
        record_drop(volume, record);
    volume->doomed -= !cluster;
    (void)call_end(volume, 0);
    for (uint32_t i = 0; i < count; i++)
        space_give(volume, runs[i]);
    return cluster != 0;
}

/* The file's chain ends where its size wants it to. */
static int64_t trim(struct fat_node *node)
{
    struct fat_volume *volume = node->volume;
    uint32_t rest = 0, need = clusters_for(volume, node->record->size);
    int64_t result = 0;
    if (need)
        result = chain_cut(node, need, &rest);
    else
        rest = node->record->start;
    if (result >= 0 && !record_doom(volume, rest))
        result = -E_NO_MEMORY; /* not now */
    if (result >= 0 && !need && rest) {
        keep_set(volume, &node->record->start, 0u);
        chain_forget_from(&node->chain, 0);
    }
    if (result >= 0)
        node_unflag(node, RECORD_TRIM);
    result = call_end(volume, result);
    if (result == -E_IO) { /* the rest is lost until a check finds it */
        node_unflag(node, RECORD_TRIM);
        keep_commit(volume);
    }
    return result;
}

int64_t reap(struct fat_volume *volume)
{
    for (uint32_t i = 0; i < volume->kept->records && volume->doomed; i++) {
        struct record *record = &volume->records[i];
        int64_t more = 1;
        while (more > 0 && record->flags & RECORD_DOOMED && record->turn < volume->kept->turn) {
            if (buffers_crowded(volume, 2))
                return 0;
            more = free_some(volume, record);
        }
        if (more < 0)
            return more;
    }
    list_for_each (struct fat_node, node, &volume->nodes_pending, pending) {
        if (buffers_crowded(volume, 2))
            return 0;
        if (node->growing || !(node->record->flags & RECORD_TRIM))
            continue;
        (void)trim(node);
        if (!(node->record->flags & RECORD_TRIM))
            node_settle(node);
    }
    return 0;
}
