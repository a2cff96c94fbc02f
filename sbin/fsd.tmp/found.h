/* Paths that were found lately: most are asked for again.
 *
 * A directory's path (with its last slash) stays until a directory moves or goes; another's until any name is taken away or
 * its place in its directory changes. New names change nothing that was found.
 */
#pragma once

#include "lib/fsd/words.h"
#include "sbin/fsd.tmp/directory.h"

#define FOUND_PATHS  512u
#define FOUND_LENGTH 96u

enum found_kind { FOUND_DIRECTORY, FOUND_NAME, FOUND_KINDS };

struct found {
    uint64_t generation; /* 0: nothing */
    uint32_t length;
    ref_t directory;
    struct slot *slot; /* NULL for a directory */
    char path[FOUND_LENGTH + 8];
};

_Static_assert(sizeof(struct found) == 128, "found by a shift");

extern struct found found_paths[FOUND_PATHS];
extern uint64_t found_generations[FOUND_KINDS]; /* never the same in two kinds */

static inline struct found *found_at(const char *path, size_t length)
{
    return &found_paths[words_hash(path, length) % FOUND_PATHS];
}

static inline bool found_holds(const struct found *found, enum found_kind kind, const char *path,
                               size_t length)
{
    return found->generation == found_generations[kind] && found->length == length &&
           words_equal(found->path, path, length);
}

void found_enter(struct found *found, enum found_kind kind, const char *path, size_t length,
                 const struct inode *directory, struct slot *slot);
/* A name was taken from what it named, or has another place. */
void found_forget_names(void);
/* A directory has moved or gone, and all names below it. */
void found_forget_all(void);
