/* See kept.h. */
#include "lib/fat/kept.h"

#include <string.h>

#include "lib/fat/buffer.h"
#include "lib/fat/volume.h"

#define RECORDS_SHARE 8u /* of kept memory is for records */

/* What must be the same for two mounts to be of the same volume. */
static uint64_t identity(const struct fat_volume *volume)
{
    const uint64_t words[] = {volume->serial,     volume->clusters,     volume->sector_size,
                              volume->bits,       volume->data_start,   volume->cluster_sectors,
                              volume->root_start, volume->root_cluster, volume->table_sectors};
    uint64_t hash = KEPT_MAGIC;
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        hash = (hash ^ words[i]) * UINT64_C(0x9e3779b97f4a7c15);
    return hash;
}

static void undo_all(struct kept *kept)
{
    while (kept->undo_count) {
        const struct undo *undo = &kept->undo[kept->undo_count - 1];
        memcpy((uint8_t *)kept + undo->offset, undo->old, undo->length);
        in_order();
        kept->undo_count--;
    }
}

int64_t kept_open(struct fat_volume *volume, void *memory, size_t length)
{
    struct kept *kept = memory;
    if (length < sizeof(*kept) * 2 || length > UINT32_MAX || (uintptr_t)memory % 16)
        return -E_INVALID;
    uint32_t room = volume->table_span * volume->sector_size;
    uint32_t records = (uint32_t)(length / RECORDS_SHARE / sizeof(struct record));
    size_t rest = length - sizeof(*kept) - records * sizeof(struct record);
    uint32_t buffers = (uint32_t)(rest / (BUFFER_IMAGES * room + sizeof(struct buffer)));
    if (buffers < BUFFERS_LEAST)
        return -E_INVALID;
    if (kept->magic != KEPT_MAGIC || kept->identity != identity(volume) ||
        kept->records != records || kept->buffers != buffers || kept->room != room) {
        kept->magic = 0;
        in_order();
        memset((uint8_t *)memory + sizeof(kept->magic), 0,
               sizeof(*kept) + records * sizeof(struct record) + buffers * sizeof(struct buffer) -
                   sizeof(kept->magic));
        kept->identity = identity(volume);
        kept->records = records;
        kept->buffers = buffers;
        kept->room = room;
        kept->turn = kept->next_id = 1;
        in_order();
        kept->magic = KEPT_MAGIC;
    }
    undo_all(kept);
    volume->kept = kept;
    volume->records = (struct record *)(kept + 1);
    volume->heads = (struct buffer *)(volume->records + records);
    volume->images = (uint8_t *)(volume->heads + buffers);
    return 0;
}

void keep_bytes(struct fat_volume *volume, void *at, const void *bytes, size_t length)
{
    struct kept *kept = volume->kept;
    for (size_t done = 0; done < length;) {
        struct undo *undo = &kept->undo[kept->undo_count];
        uint32_t piece = (uint32_t)MIN(length - done, sizeof(undo->old));
        undo->offset = (uint32_t)((uint8_t *)at + done - (uint8_t *)kept);
        undo->length = piece;
        memcpy(undo->old, (uint8_t *)at + done, piece);
        in_order();
        kept->undo_count++;
        in_order();
        memcpy((uint8_t *)at + done, (const uint8_t *)bytes + done, piece);
        done += piece;
    }
}

void keep_commit(struct fat_volume *volume)
{
    in_order();
    volume->kept->undo_count = 0;
    in_order();
}

void keep_abort(struct fat_volume *volume)
{
    undo_all(volume->kept);
}
