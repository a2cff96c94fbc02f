/* The clusters of a node, as runs: found by walking the table once, then without it.
 *
 *     chain_find(node, index, most, &run)     the clusters from the index-th on that lie in a row; run.count 0: it ends before
 *     chain_extend(node, count)           more, in a row where possible
 *     chain_cut(node, count, &rest)       the rest is nobody's any more
 */
#pragma once

#include "lib/fat/space.h"

struct extent {
    uint32_t index; /* of its first cluster in the file */
    uint32_t first;
    uint32_t count;
};

struct chain {
    struct extent *extents;
    uint32_t count, room;
    uint32_t latest; /* the extent that was asked for last */
    bool ended;      /* all of it is known */
    uint64_t aborts; /* volume->aborts as it was found out */
};

/* `most` of them are looked for: as far the table is read, if it has not been yet. */
MUST_CHECK int64_t chain_find(struct fat_node *node, uint32_t index, uint32_t most,
                              struct cluster_run *run);
/* How many clusters, at most `most` + 1. */
MUST_CHECK int64_t chain_count(struct fat_node *node, uint32_t most, uint32_t *count);
/* At most `want` clusters at the end, in one run, as changes of this call: *run is what came. E_NO_SPACE. */
MUST_CHECK int64_t chain_extend(struct fat_node *node, uint32_t want, struct cluster_run *run);
/* It ends behind `count` > 0 clusters, which it has; rest: the first of the others, 0 if there are none. */
MUST_CHECK int64_t chain_cut(struct fat_node *node, uint32_t count, uint32_t *rest);
void chain_forget(struct chain *chain); /* what is known of it */
/* Behind these it is not known any more. */
void chain_forget_from(struct chain *chain, uint32_t count);
