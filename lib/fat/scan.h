/* Going through a directory's slots: as they are to be, or as the device has them. */
#pragma once

#include "lib/fat/directory.h"

struct scan {
    struct fat_node *node;
    uint32_t position;
    bool device;
    /* of the slot looked at last */
    uint32_t phase;
    /* the long name that is being put together */
    uint32_t expected; /* order of its next part; 0: none */
    uint8_t sum;
    bool whole;
};

MUST_CHECK int64_t scan_next(struct scan *scan, struct found *found); /* as directory_scan */
/* *slot stays there until BUFFERS_STEADY others were looked at. 0: the directory ends before. */
MUST_CHECK int64_t scan_slot(struct scan *scan, uint32_t number, const struct slot **slot);
