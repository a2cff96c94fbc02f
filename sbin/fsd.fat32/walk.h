/* From a path to what it names. */
#pragma once

#include "lib/fat/fat.h"
#include "lib/fsd/path.h"

struct place {
    struct fat_node *directory; /* where the name is; NULL: the path ends in .. or is the root */
    struct fat_node *node;      /* NULL: there is no such name */
    const char *name;
    size_t length;
};

/* A name that is missing at the end is no error. The place has references (place_put), unless this fails. E_NOT_FOUND,
 * E_NOT_DIRECTORY, E_TOO_LONG, E_INVALID, E_IO. */
MUST_CHECK int64_t walk(const char *path, size_t length, struct place *place);
void place_put(struct place *place);
