/* Reads a tar archive that lies in memory: ustar, GNU long names ('L', 'K'), pax path/linkpath/size (x, g).
 *
 *     struct tar_reader reader = {.data = bytes, .length = count};
 *     struct tar_entry entry;
 *     while ((result = tar_next(&reader, &entry)) > 0) ...
 *     if (result < 0) report(reader.problem, reader.offset);
 *
 * No field is trusted: every length is checked against the archive, checksums must be right, names are what
 * they are (the caller decides about ".." and duplicates). Nothing is allocated: names and data point into
 * the archive or into the entry, so an entry must not be copied, and lives until the next call.
 */
#pragma once

#include "lib/base/base.h"

enum tar_type {
    TAR_FILE,
    TAR_HARD_LINK,
    TAR_SYMBOLIC_LINK,
    TAR_DIRECTORY,
    TAR_OTHER, /* devices, pipes: no data */
};

struct tar_entry {
    enum tar_type type;
    const char *name; /* not terminated */
    size_t name_length;
    const char *link; /* target, of links; not terminated */
    size_t link_length;
    const uint8_t *data;
    uint64_t size;
    uint32_t mode, uid, gid;
    int64_t modified; /* seconds since 1970 */
    char joined[256]; /* ustar's prefix/name */
};

/* What a pax or GNU header says about the entry that follows it. NULL or -1: nothing. */
struct tar_extra {
    const char *name, *link;
    size_t name_length, link_length;
    bool has_size;
    uint64_t size;
};

struct tar_reader {
    const uint8_t *data;
    uint64_t length;
    uint64_t offset;        /* of the next header */
    const char *problem;    /* why the last call failed */
    struct tar_extra extra; /* for the next entry */
};

/* 1: an entry; 0: the end; -E_BAD_FORMAT: reader->problem says why. An archive that stops without its end
 * marker is truncated, and so an error. */
MUST_CHECK int tar_next(struct tar_reader *reader, struct tar_entry *entry);
