/* What lies in the arena: volumes, inodes, and the opens of each.
 *
 *     volume (one per mount) -> root directory -> entries -> inodes -> opens
 *
 * An inode lives as long as it has a name or an open file. A file's bytes are a memory object of its own (data.h).
 * All changes go through arena_set; what a call allocates is given back by arena_abort when it fails.
 */
#pragma once

#include "abi/abi.h"
#include "sbin/fsd.tmp/arena.h"

struct directory {
    ref_t slots; /* struct slot[room], in the order the names came */
    ref_t
        index; /* uint32_t[2 * room], by hash: 0, or a slot's number + 1; those of removed names stay */
    uint32_t room;    /* a power of two, or 0 */
    uint32_t used;    /* slots, with those of removed names */
    uint64_t next;    /* position of the next name */
    ref_t parent;     /* inode; its own for the root */
    uint32_t folders; /* entries that are directories */
};

struct inode {
    uint32_t type; /* enum file_type */
    uint32_t mode;
    uint32_t uid, gid;
    uint32_t links; /* names; of a directory 1 or 0 */
    ref_t volume;
    ref_t opens;          /* the latest */
    ref_t target;         /* of a link: size + 1 bytes */
    ref_t next, previous; /* of the volume */
    uint64_t size;        /* of a directory: names */
    uint64_t pages;       /* charged to the volume */
    int64_t accessed, modified, changed;
    struct directory directory;
    /* The process's own, valid while epoch is arena->epoch: how it reaches the data. */
    uint32_t epoch;
    handle_t memory;
    void *address;         /* mapped there; NULL: not */
    uint64_t room;         /* bytes mapped */
    struct inode *dropped; /* the next of those that are to go */
};

struct volume {
    ref_t next;
    uint32_t id;
    ref_t root;
    ref_t first;          /* of all its inodes, named or not */
    uint64_t limit, used; /* pages */
    uint64_t inodes_limit, inodes;
};

/* An open file: by its id the relay knows it, whoever serves it. */
struct open {
    uint64_t id;
    ref_t inode;
    ref_t next, previous; /* of the same inode */
    uint32_t flags;       /* OPEN_* */
    uint32_t place;       /* opens.c, the process's own */
    uint32_t reserved;
};

/* Volumes. E_EXISTS, E_NO_MEMORY. */
MUST_CHECK int64_t volume_create(uint64_t limit, uint32_t mode, int64_t now,
                                 struct volume **volume);
struct volume *volume_find(uint32_t id); /* NULL: none */
struct volume *volume_first(void);
struct volume *volume_after(const struct volume *volume);
/* With all that is in it, in many transactions; one that was not finished has the id 0. Nothing of it is open. */
void volume_destroy(struct volume *volume);

/* A new one without a name. E_NO_SPACE, E_NO_MEMORY. */
MUST_CHECK int64_t inode_create(struct volume *volume, uint32_t type, uint32_t mode, int64_t now,
                                struct inode **inode);
/* A name was taken from it, or it was closed: if that was the last the inode goes. */
void inode_release(struct inode *inode);

MUST_CHECK int64_t open_create(struct inode *inode, uint64_t id, uint32_t flags,
                               struct open **open);
/* The last of an inode without a name takes it along. Not to be undone: to be committed. */
void open_destroy(struct open *open);

static inline struct volume *inode_volume(const struct inode *inode)
{
    return arena_at(inode->volume);
}
