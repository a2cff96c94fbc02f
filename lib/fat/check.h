/* The walk over all of a volume's tree that repair.c makes: what is damaged, which clusters are in use, and putting right.
 *
 *     check_walk(&check, CHECK_FIND)   which directories have an entry that is not about to leave
 *     check_walk(&check, CHECK_LOOK)   check.damage, check.used
 *     check_walk(&check, CHECK_FIX)    the same, with changes
 */
#pragma once

#include "lib/fat/volume.h"

enum check_mode { CHECK_FIND, CHECK_LOOK, CHECK_FIX };

struct folder {
    uint32_t start;
    uint32_t parent; /* what ".." is to say */
};

struct leaving {
    uint64_t slot; /* 0: settled */
    struct slot entry;
    uint32_t parent;
};

struct check {
    struct fat_volume *volume;
    enum check_mode mode;
    struct bits used;    /* clusters; of directories that were found their first */
    struct bits staying; /* first clusters of directories that have an entry without SLOT_LEAVING */
    struct bits kept;    /* and of those that were taken by one with it */
    struct folder *folders; /* found so far; those from `at` on are to be looked through */
    uint32_t folder_count, folder_room, at;
    struct leaving *leaving;
    uint32_t leaving_count, leaving_room;
    uint32_t damage, cut, left, lost, parts; /* how many */
};

MUST_CHECK int64_t check_walk(struct check *check, enum check_mode mode);
/* A change as a call of its own. */
MUST_CHECK int64_t check_fix_table(struct check *check, uint32_t cluster, uint32_t value,
                                   uint32_t phase);
void check_free(struct check *check);
