/* fs://, the mount tree: which URI stands for which part of it.
 *
 * vfsd answers commands on paths itself, but whoever has many of them takes the table once (FS_TABLE) and goes to the
 * mounted service straight away. A table never changes: when the tree does, `stale` is set and there is another.
 *
 * What a mounted service answers with E_LINK is a URI; an absolute path, which is fs://'s; or a path without a slash in
 * front: of that service, in place of the one it was asked for.
 *
 * mounts:// is for those who may change the tree; reading it gives /proc/mounts, mounts:///filesystems /proc/filesystems. Its commands
 * bear a number as those that change names do (abi/ops.def), and are carried out once.
 */
#pragma once

#include <stdint.h>

#include "abi/ops.h"

enum fs_op {
    FS_TABLE =
        OP_PROTOCOL, /* on fs:///. value: the table's length; handles: memory with it, to be read; the namespace that
                               its targets are in */
};

enum mounts_op {
    MOUNTS_MOUNT =
        OP_PROTOCOL, /* on mounts:///. args: MOUNT_* flags, -, -, number. in: source, point, type, options, each terminated; the
                                   point without links. E_NOT_FOUND, E_NOT_DIRECTORY, E_BUSY (it is mounted there), E_NOT_SUPPORTED (type);
                                   what the file system says of the source: E_BAD_FORMAT, E_IO, E_READ_ONLY, ... */
    MOUNTS_UMOUNT, /* args: UMOUNT_* flags, -, -, number. in: the point. E_INVALID: nothing is mounted there; E_BUSY; E_IO, E_NO_DEVICE, ...: what was
                    * written last cannot be brought to the medium, and the mount stays */
};

#define MOUNT_READ_ONLY 0x1u
#define MOUNT_REMOUNT \
    0x2u /* only the flags change, of what is mounted at the point. E_INVALID: nothing is */
#define UMOUNT_LAZY  0x1u /* out of sight at once, and gone when nobody uses it any more */
#define UMOUNT_FORCE 0x2u /* what cannot be written is given up; so it is by UMOUNT_LAZY */

#define FS_TARGET_MAX 200u /* bytes of a target */

#define FS_TABLE_MAGIC UINT64_C(0x3165656274756f6d)

/* A point by its text without the slash in front ("tmp"), which the root has none of. */
struct fs_mount {
    uint64_t head,
        mask; /* the point's first bytes as a number, the others zero; and all ones where they are */
    uint32_t point, point_length; /* offset in the table */
    uint32_t target,
        target_length; /* "tmp:///2": a directory, whose own name has a slash behind it. At least 8 bytes lie
                                       in front of it in the table */
};

#define FS_TABLE_LISTS 16u

struct fs_table {
    uint64_t magic;
    uint32_t stale; /* not 0: take another */
    uint32_t count;
    uint32_t first
        [FS_TABLE_LISTS]; /* by the low bits of a point's first byte: where the list of them begins, longest first,
                                       which ends with the root */
    struct fs_mount mounts[];
};
