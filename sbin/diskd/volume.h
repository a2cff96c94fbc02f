/* What lies on a disk or a partition, as far as names for it go: the file system's UUID and label. Pure.
 *
 * Known are FAT (Microsoft's FAT specification, section 3) and ext2 to ext4. What looks like none of them has no names.
 */
#pragma once

#include "sbin/diskd/partition.h"

#define VOLUME_NAME_MAX 67u /* 16 characters, each as \xNN */

struct volume {
    const char *type; /* "fat32", ...; NULL: not known */
    char uuid[37];    /* "5E2A-11F0"; "" if there is none */
    char label[VOLUME_NAME_MAX + 1];
};

/* Of the volume whose first sector is `first`, and which is `count` long. What cannot be read is not known. */
void volume_read(const struct medium *medium, uint64_t first, uint64_t count,
                 struct volume *volume);

/* Bytes of a name as they go into URIs and lists: what is neither printable, nor UTF-8, or would end a word or a part of a path is
 * \xNN, as udev has it. size: of to; what finds no room is cut off. */
void name_encode(const char *from, size_t length, char *to, size_t size);

/* A GUID as UEFI lays it out, in its usual form. */
void guid_format(const uint8_t guid[16], char text[37]);
