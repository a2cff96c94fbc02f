/* What lies on the volume (Microsoft, FAT: General Overview of On-Disk Format 1.03). All numbers are little endian. */
#pragma once

#include <stdint.h>

#include "lib/base/base.h"

/* Sector 0. FAT12 and FAT16 have `volume` at offset 36, FAT32 at 64. */
struct boot_volume {
    uint8_t drive;
    uint8_t state; /* BOOT_DIRTY */
    uint8_t signature;
    uint32_t serial;
    char label[11];
    char type[8];
} PACKED;

struct boot_sector {
    uint8_t jump[3];
    char oem[8];
    uint16_t sector_size;
    uint8_t cluster_sectors;
    uint16_t reserved_sectors;
    uint8_t tables;
    uint16_t root_entries;
    uint16_t sectors16;
    uint8_t media;
    uint16_t table_sectors16;
    uint16_t track_sectors;
    uint16_t heads;
    uint32_t hidden_sectors;
    uint32_t sectors32;
    union {
        struct boot_volume volume;
        struct {
            uint32_t table_sectors32;
            uint16_t flags; /* BOOT_ONE_TABLE and which */
            uint16_t version;
            uint32_t root_cluster;
            uint16_t info_sector;
            uint16_t backup_sector;
            uint8_t reserved[12];
            struct boot_volume volume32;
        } PACKED;
    };
    uint8_t code[420];
    uint16_t signature; /* BOOT_SIGNATURE */
} PACKED;

_Static_assert(sizeof(struct boot_sector) == 512, "a boot sector is 512 bytes");

#define BOOT_SIGNATURE 0xaa55u
#define BOOT_EXTENDED  0x29u /* boot_volume.signature: serial, label and type are there */
#define BOOT_SERIAL    0x28u /* serial is */
#define BOOT_DIRTY     0x01u
#define BOOT_ONE_TABLE 0x80u /* only the table in the low 4 bits is current */

struct info_sector {
    uint32_t lead; /* INFO_LEAD */
    uint8_t reserved[480];
    uint32_t signature; /* INFO_SIGNATURE */
    uint32_t free;      /* clusters; INFO_UNKNOWN */
    uint32_t next;      /* where to look for some */
    uint8_t reserved2[12];
    uint32_t trail; /* INFO_TRAIL */
} PACKED;

_Static_assert(sizeof(struct info_sector) == 512, "FSInfo is 512 bytes");

#define INFO_LEAD      0x41615252u
#define INFO_SIGNATURE 0x61417272u
#define INFO_TRAIL     0xaa550000u
#define INFO_UNKNOWN   0xffffffffu

/* FAT12 or FAT16 by the number of clusters. FAT32 has 0 in table_sectors16 (and should have more clusters than FAT16 can, but
 * mkfs.fat makes small ones too, and everybody reads them). */
#define CLUSTERS_FAT12_MAX 4084u
#define CLUSTERS_FAT16_MAX 65524u
#define CLUSTERS_FAT32_MAX 0x0ffffff5u
#define CLUSTER_FIRST      2u

/* Bits of the table's entry 1 that are set on a volume that was properly left. */
#define CLEAN_FAT16 0x8000u
#define CLEAN_FAT32 0x08000000u

/* A directory's slot: a short entry, or a part of the long name of the one behind it. */
struct slot {
    union {
        struct {
            char name[11]; /* SLOT_END, SLOT_FREE in the first */
            uint8_t attributes;
            uint8_t flags; /* CASE_*, SLOT_LEAVING */
            uint8_t created_10ms;
            uint16_t created_time, created_date;
            uint16_t accessed_date;
            uint16_t cluster_high;
            uint16_t modified_time, modified_date;
            uint16_t cluster_low;
            uint32_t size;
        } PACKED;
        struct {
            uint8_t order; /* from 1; LONG_LAST: the highest, which comes first */
            uint8_t units1[10];
            uint8_t long_attributes; /* ATTRIBUTE_LONG */
            uint8_t type;            /* 0 */
            uint8_t sum;             /* of the short name */
            uint8_t units2[12];
            uint16_t zero;
            uint8_t units3[4];
        } PACKED;
    };
} PACKED;

_Static_assert(sizeof(struct slot) == 32, "a slot is 32 bytes");

#define SLOT_SIZE ((uint32_t)sizeof(struct slot))
#define SLOT_END  0x00u /* free, and so are all behind it */
#define SLOT_FREE 0xe5u
#define SLOT_E5   0x05u /* stands for a first byte of 0xe5 */

#define CASE_LOWER_BASE 0x08u
#define CASE_LOWER_TYPE 0x10u
#define SLOT_LEAVING \
    0x80u /* our own: the entry is about to go, as another has its clusters (repair.h) */

#define ATTRIBUTE_VOLUME 0x08u
#define ATTRIBUTE_LONG   0x0fu
#define ATTRIBUTE_MASK   0x3fu

#define LONG_LAST      0x40u
#define LONG_UNITS     13u
#define LONG_SLOTS_MAX 20u

#define DIRECTORY_SLOTS_MAX 65536u
