/* Cutting pieces of memory into segments of requests, as a device can have them. Pure.
 *
 *     struct disk_cursor cursor = {.pieces = pieces, .pages = dma->pages};
 *     while (left)
 *         left -= disk_split(&cursor, left, &limits, segments, &count);     a request's worth
 */
#pragma once

#include "abi/abi.h"
#include "abi/disk.h"
#include "lib/base/base.h"

/* A part of memory as the device knows it. */
struct disk_segment {
    uint64_t address;
    uint32_t length; /* a multiple of the sector */
};

struct disk_limits {
    uint32_t segments;      /* of a request: at most so many */
    uint32_t segment_bytes; /* each: at most so long, a multiple of the sector; 0: any length */
    uint32_t bytes;         /* of a request: at most so many, a multiple of the sector */
    bool
        whole_pages; /* between two segments of a request both end and beginning lie on pages (NVMe's PRPs) */
};

/* What comes next: from `within` in pieces[piece] on. Pieces begin and end on sectors. */
struct disk_cursor {
    const struct disk_piece *pieces;
    uint32_t piece;
    uint64_t within;
    const uint64_t *pages; /* the memory's addresses, page by page */
};

/* The next segments, at most limits->segments and not more than `left` bytes, which the pieces have; the cursor moves on behind
 * them. Pages that lie behind one another become one segment. Returns their bytes: at least a sector. */
uint32_t disk_split(struct disk_cursor *cursor, uint64_t left, const struct disk_limits *limits,
                    struct disk_segment *segments, uint32_t *count);
