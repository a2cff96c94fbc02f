/* Sectors of metadata in kept memory, and which of their cells (a slot, an entry of the table) are changed.
 *
 *     buffer_get(volume, BUFFER_SLOTS, sector, &buffer)       of the device; BUFFER_TABLE: counted from the table's start
 *     buffer_now(volume, buffer)                              its bytes as they are to be
 *     buffer_change(volume, buffer, cell, at, bytes, length, phase)
 *
 * A buffer with changes has two images: as it is to be, and as it lies on the device while commit.c writes the changes of one
 * phase after the other. Each changed cell knows its phase.
 *
 * Of the table a buffer has one sector of the first copy; of FAT12's three, or all there are, so that no entry lies in two buffers. What
 * buffer_get gave stays where it is until BUFFERS_STEADY others were got.
 */
#pragma once

#include "lib/fat/volume.h"

enum buffer_kind { BUFFER_NONE, BUFFER_TABLE, BUFFER_SLOTS };

/* In which order changes reach the platter (docs/fat.md). */
enum phase {
    PHASE_NONE,
    PHASE_NEW, /* nothing leads to it yet, or no longer: entries of the table of new and of freed clusters, long names */
    PHASE_LINK, /* the table's entries that lead to new clusters, or no longer to cut off ones */
    PHASE_NAME, /* short entries: new ones, and new sizes */
    PHASE_GONE, /* short entries that go */
    PHASE_LAST, /* long names of those */
    PHASE_END,
};
#define PHASE_LEAVING 0x80u /* with PHASE_GONE: SLOT_LEAVING is set in PHASE_NEW */

struct buffer {
    uint64_t sector;
    uint32_t kind;   /* enum buffer_kind */
    uint32_t phases; /* bits of those that cells have; 0: it is clean */
};

struct buffer_link {
    struct list link;
    uint32_t hash_next; /* number + 1 */
};

#define RUN_BYTES       65536u /* of buffers written at once; one of FAT12's tables fits */
#define BUFFER_IMAGES   3u     /* now, device, phases: each of kept->room bytes */
#define BUFFERS_STEADY  8u
#define BUFFERS_SPARE   16u                                   /* are never dirty */
#define BUFFERS_OF_CALL 32u                                   /* a call makes dirty at most */
#define BUFFERS_LEAST   (2 * BUFFERS_OF_CALL + BUFFERS_SPARE) /* or none is never crowded */

MUST_CHECK int64_t buffers_open(struct fat_volume *volume); /* finds those of the predecessor */
void buffers_close(struct fat_volume *volume);

MUST_CHECK int64_t buffer_get(struct fat_volume *volume, enum buffer_kind kind, uint64_t sector,
                              struct buffer **buffer);
/* If it is there; NULL. */
struct buffer *buffer_find(struct fat_volume *volume, enum buffer_kind kind, uint64_t sector);
/* length bytes at `at` in the buffer, all in one cell. */
void buffer_change(struct fat_volume *volume, struct buffer *buffer, uint32_t cell, uint32_t at,
                   const void *bytes, uint32_t length, uint32_t phase);
/* The sectors are about to be written to without the buffers: clean ones are forgotten. */
void buffers_forget(struct fat_volume *volume, uint64_t sector, uint64_t count);
/* Nothing is changed any more in the buffer. */
void buffer_cleaned(struct fat_volume *volume, struct buffer *buffer);

/* After keep_abort: which buffers are dirty, by their heads. */
void buffers_sort(struct fat_volume *volume);

static inline uint32_t buffer_number(const struct fat_volume *volume, const struct buffer *buffer)
{
    return (uint32_t)(buffer - volume->heads);
}

static inline uint8_t *buffer_image(const struct fat_volume *volume, const struct buffer *buffer,
                                    uint32_t which)
{
    return volume->images +
           ((size_t)buffer_number(volume, buffer) * BUFFER_IMAGES + which) * volume->kept->room;
}

static inline uint8_t *buffer_now(const struct fat_volume *volume, const struct buffer *buffer)
{
    return buffer_image(volume, buffer, 0);
}

static inline uint8_t *buffer_device(const struct fat_volume *volume, const struct buffer *buffer)
{
    return buffer_image(volume, buffer, 1);
}

static inline uint8_t *buffer_phases(const struct fat_volume *volume, const struct buffer *buffer)
{
    return buffer_image(volume, buffer, 2);
}

/* How many sectors a buffer has. */
static inline uint32_t sectors_of(const struct fat_volume *volume, uint32_t kind, uint64_t sector)
{
    if (kind == BUFFER_SLOTS)
        return 1;
    return MIN(volume->table_span, volume->table_sectors - (uint32_t)sector);
}

static inline uint32_t buffer_sectors(const struct fat_volume *volume, const struct buffer *buffer)
{
    return sectors_of(volume, buffer->kind, buffer->sector);
}

/* Whether so many calls have room for their changes, or all must be written first. */
static inline bool buffers_crowded(const struct fat_volume *volume, uint32_t calls)
{
    return volume->dirty_count + calls * BUFFERS_OF_CALL + BUFFERS_SPARE > volume->kept->buffers;
}
