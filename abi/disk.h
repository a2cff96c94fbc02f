/* disk://: block devices and their partitions; for file systems, for whoever reads and writes them, and for drivers.
 *
 *     disk:///vd0                 a device               disk:///by-uuid/<UUID>, by-label/<label>       of a volume
 *     disk:///vd0/p1 (or vd0p1)   a partition of it      disk:///by-partuuid/<UUID>, by-partlabel/<name>   of a partition (GPT)
 *     disk:///by-id/<bus>-<what the device says>, and -part<N> behind it: the same wherever it is plugged in (sbin/diskd/id.h)
 *     disk:///disks               a line for each, for people and programs; READABLE when it has changed
 *
 * diskd finds the names; what an open answers is a file of the device's driver, so that data goes through nobody else, and goes
 * on whoever of the two dies. A partition is a device of its own: its offsets begin at 0, and nothing outside it is reached.
 *
 * **Bytes, for anybody.** OP_READ and OP_WRITE at any offset and length, as of a file that cannot grow: a read ends at the end of
 * the device, a write that would begin there is E_NO_SPACE. The bytes are copied once. OP_WRITE's args[1] takes DISK_* flags; an append's number is none, and ignored.
 * OP_SYNC: what was written (acknowledged) before is on the medium. OP_STAT: a FILE_BLOCK and its size.
 *
 * **Without a copy.** DISK_MEMORY gives the file memory that the device reaches by DMA and the caller maps; DISK_READ and
 * DISK_WRITE name pieces of it. Offsets, places and lengths are multiples of the sector. All is done, or there is an error
 * and nobody knows which of it was done. While a command is under way its pieces belong to the device: their bytes are
 * undefined in a read, and not to be changed in a write. The memory is the file's: all who have the file (a duplicate, a fork)
 * have one; it is there as long as the file or a mapping is, a dying driver's, too.
 *
 * **For one alone.** OPEN_EXCLUSIVE: as long as the file is open nobody else opens so what has a byte in common with it, a mount included; and if
 * it is opened for writing, nobody else writes there, whoever had it open before. E_BUSY is the others'.
 *
 * As many commands as there are threads that send them are under way at once, and end in any order. Two that overlap and are
 * under way at the same time are done in either order. All may be repeated, and the relay does so when the driver dies: callers
 * see a pause. What the device loses is tried again after its reset by the driver.
 *
 * Errors, each of which is the caller's: E_MEDIUM (these sectors cannot be read or written; others can), E_IO (the device failed,
 * resets did not help), E_NO_DEVICE (it is gone), E_RANGE (outside the device or the memory), E_INVALID (no multiples of the
 * sector, unknown flags), E_READ_ONLY (open for writing), E_BUSY (another file holds it), E_ACCESS (not opened for it), E_NO_SPACE (a
 * device that is promised more than it has), E_NOT_SUPPORTED (DISK_DISCARD of a device that cannot), E_NO_MEMORY, E_QUOTA (DISK_MEMORY).
 */
#pragma once

#include <stdint.h>

#include "abi/ops.h"

enum disk_op {
    DISK_ATTACH =
        OP_PROTOCOL, /* on disk:///driver/<function>, by a driver. send: its port (RIGHT_DUPLICATE | _TRANSFER). While
                               * the file shows nothing diskd knows of it; READABLE: attach again, diskd has forgotten */
    DISK_RESCAN, /* on disk:///<disk>, a path: its table of partitions was changed */

    DISK_GEOMETRY = OP_PROTOCOL_REPLAY, /* out: struct disk_geometry */
    DISK_MEMORY, /* args: length, at most DISK_MEMORY_MAX. value: length; handle: memory (RIGHT_READ, _WRITE, _DUPLICATE,
                  * _TRANSFER), zero at first. A second time: the same memory, whatever the length, when all commands on the file
                  * that were begun before are done: who comes after a client that died has it for himself */
    DISK_READ, /* args: offset, DISK_* flags, and a piece: place, length. Or in: struct disk_piece..., at most
                * DISK_PIECES_MAX, which together are [offset, offset + their lengths). value: bytes */
    DISK_WRITE,   /* likewise */
    DISK_DISCARD, /* args: offset, length, DISK_ZERO: nobody needs what is there; with DISK_ZERO it reads as zeros afterwards */
};

/* A part of the file's memory. */
struct disk_piece {
    uint64_t place, length;
};

#define DISK_NAME_MAX   63u /* bytes of a driver's name for a disk */
#define DISK_PIECES_MAX 1024u
#define DISK_MEMORY_MAX (UINT64_C(64) << 20)

/* Of writes: */
#define DISK_FIRST \
    0x8u /* what was acknowledged before is on the medium before any of this: as OP_SYNC and this write in one */
#define DISK_THROUGH 0x2u /* when it is acknowledged, it is on the medium (FUA) */
/* Of DISK_DISCARD: */
#define DISK_ZERO 0x4u

struct disk_geometry {
    uint64_t size;   /* bytes */
    uint64_t start;  /* of a partition, in bytes of its device */
    uint32_t sector; /* bytes; a power of two from 512 to PAGE_SIZE */
    uint32_t
        physical_sector; /* bytes that the device writes at once; smaller writes cost it a read */
    uint32_t flags;      /* DISK_IS_*, DISK_HAS_* */
    uint32_t depth;      /* so many commands the device works on at once */
    uint64_t transfer;   /* bytes: longer commands become several */
    uint64_t discard;    /* unit of DISK_DISCARD in bytes; 0: it cannot */
    char model[48], serial[64], firmware[16]; /* as the device says, terminated; may be empty */
    char bus[8];   /* "virtio", "ata", "nvme", "usb": how it is reached; may be empty */
    uint32_t unit; /* among those with this serial: the namespace (NVMe), the logical unit (USB) */
    uint32_t reserved;
};

#define DISK_IS_READ_ONLY  0x01u
#define DISK_IS_REMOVABLE  0x02u
#define DISK_IS_ROTATING   0x04u /* near is faster than far */
#define DISK_HAS_CACHE     0x08u /* OP_SYNC does something */
#define DISK_HAS_ZERO      0x10u /* DISK_DISCARD with DISK_ZERO */
#define DISK_HAS_PARTITION 0x20u /* this is one */

/* OP_CONTROL, args[0]: Linux's ioctl numbers, which the personality passes through. They are other spellings of the above. */
enum disk_control {
    DISK_CONTROL_READ_ONLY = 0x125e, /* value: 1, or 0 */
    DISK_CONTROL_RESCAN = 0x125f,    /* as DISK_RESCAN, but that the answer does not wait for it */
    DISK_CONTROL_SECTORS = 0x1260,   /* out: uint64_t, of 512 bytes */
    DISK_CONTROL_SYNC = 0x1261,
    DISK_CONTROL_SECTOR = 0x1268,          /* value: bytes */
    DISK_CONTROL_DISCARD = 0x1277,         /* in: uint64_t[2], offset and length */
    DISK_CONTROL_PHYSICAL_SECTOR = 0x127b, /* value: bytes */
    DISK_CONTROL_ZERO = 0x127f,            /* in: likewise */
    DISK_CONTROL_BLOCK = (int)0x80081270,  /* value: bytes that are good to read at once */
    DISK_CONTROL_SIZE = (int)0x80081272,   /* out: uint64_t, bytes */
};

/* What diskd asks of a driver's port (lib/disk serves it):
 *
 *     ""                     a file: OP_LIST names the driver's disks; READABLE when that, or one's size, has changed
 *     vd0                    opened for a whole disk. The driver's wish for its name: nobody's else, the same after each start
 *     vd0/2048+409600        opened for sectors [2048, 2048 + 409600)
 */
