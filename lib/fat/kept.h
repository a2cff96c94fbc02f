/* Kept memory: what is changed and not yet written, valid at each instant (sbin/fsd.tmp's arena has the same idea).
 *
 *     keep_set(volume, &record->size, size)       keep_bytes(volume, at, bytes, length)
 *     keep_commit(volume) or keep_abort(volume)   the call's changes are all there, or none
 *
 * Before bytes are changed, where they lie and what they were goes into the undo log, whose count is what makes an entry
 * valid. Whoever dies leaves a log, and the next process goes back by it (kept_open). What only caches the volume (clean buffers) needs
 * no log, and is found as well: a buffer has a kind last of all, and loses it first.
 *
 *     header | records | buffers' heads | buffers' images
 */
#pragma once

#include "lib/fat/fat.h"

#define KEPT_MAGIC UINT64_C(0x3274706b74616670)
#define KEPT_UNDO  4096u

struct undo {
    uint32_t offset;
    uint32_t length; /* at most 8 */
    uint8_t old[8];
};

/* A file that somebody has, or that has changes that are not finished; or clusters that are to be freed. */
struct record {
    uint64_t id;
    uint64_t slot;  /* of its entry: device offset / 32; 0: it has no name */
    uint64_t turn;  /* DOOMED: in which turn it became so */
    uint32_t start; /* first cluster; 0: none */
    uint32_t size;
    uint32_t valid; /* bytes from the start that the device has; what is behind them is zero */
    uint32_t flags; /* RECORD_* */
    uint64_t inode;
};

#define RECORD_USED 0x01u
#define RECORD_HELD 0x02u /* somebody has a reference */
#define RECORD_GREW 0x04u /* data must be written before its entry */
#define RECORD_TRIM 0x08u /* may have more clusters than its size needs */
#define RECORD_DOOMED \
    0x10u /* no file: clusters to be freed once nothing on the platter leads to them */

enum mark { MARK_NONE, MARK_IN_USE, MARK_CHANGING /* some of the marks may say so */ };

struct kept {
    uint64_t magic;
    uint64_t identity; /* of the volume */
    uint32_t undo_count;
    uint32_t records, buffers;
    uint32_t room;     /* bytes of a buffer's image */
    uint32_t clearing; /* phase whose cells are being made clean; 0: none */
    uint32_t marked;   /* enum mark: whether the platter says that the volume is in use */
    uint32_t ready;    /* the volume was mounted: what is changed is here, not lost */
    uint32_t reserved;
    struct numbered number; /* of the last call that had one and was carried out */
    uint64_t turn;          /* how often all has been written, from 1 */
    uint64_t next_id;
    struct undo undo[KEPT_UNDO];
};

/* The compiler writes what was logged before the count, and the count before the change. Others than this thread see memory only
 * when it has ended. */
static inline void in_order(void)
{
    __asm__ volatile("" ::: "memory");
}

/* Lays kept memory out for the volume, or finds what the predecessor left in it: sets volume->kept, records, heads and images. */
MUST_CHECK int64_t kept_open(struct fat_volume *volume, void *memory, size_t length);

void keep_bytes(struct fat_volume *volume, void *at, const void *bytes, size_t length);

#define keep_set(volume, pointer, value)                                \
    do {                                                                \
        __typeof__(*(pointer)) keep_value_ = (value);                   \
        keep_bytes(volume, pointer, &keep_value_, sizeof(keep_value_)); \
    } while (0)

void keep_commit(struct fat_volume *volume);
void keep_abort(struct fat_volume *volume);
