/* Names of disk:// (abi/disk.h), found among the drivers' disks. All with links_lock held.
 *
 * A disk has the name its driver wishes; of two that wish for the same, the one whose function comes first, and the other
 * <name>@<function>: so names do not depend on who was faster. Of two volumes with the same UUID or label, and of two disks that say
 * the same of themselves, the one on the disk that is listed first has it.
 */
#pragma once

#include <stdio.h>

#include "sbin/diskd/link.h"

enum node {
    NODE_NONE,
    NODE_ROOT,
    NODE_DISKS, /* the list, as text */
    NODE_TAGS,  /* by-id, by-uuid, ... */
    NODE_TAG,   /* a link in there */
    NODE_PART,  /* a disk, or a partition */
};

enum tag { TAG_ID, TAG_UUID, TAG_LABEL, TAG_PARTUUID, TAG_PARTLABEL, TAGS };

struct name {
    enum node node;
    enum tag tag;      /* of NODE_TAGS, NODE_TAG */
    struct link *link; /* of NODE_TAG (where it leads), NODE_PART */
    const struct scanned *disk;
    const struct part *part;
};

#define NAME_MAX_ (2 * DISK_NAME_MAX + FUNCTION_MAX + 16)

/* path: terminated; slashes in front and behind mean nothing. A partition may be spelled "vd0/p1" or "vd0p1", as it is listed. */
struct name name_find(const char *path);

/* What a name of NODE_TAG or NODE_PART leads to: "vd0/p1". */
void name_text(const struct name *name, char text[NAME_MAX_]);

/* The entry of a folder at this position (0, ...); false: there is none behind. An entry that is there no longer, or has no name, is
 * ""; text has room for a tag. */
#define ENTRY_MAX (sizeof(((struct part *)0)->partlabel))
bool name_entry(const struct name *folder, uint64_t position, char text[ENTRY_MAX],
                struct name *entry);

/* The text of disk:///disks. */
void names_list(FILE *out);
