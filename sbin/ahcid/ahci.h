/* AHCI as it is written: registers of the host bus adapter (HBA) and of its ports, and what lies in memory for both sides.
 * Names and numbers of Serial ATA AHCI 1.3.1. All numbers in memory are little endian.
 */
#pragma once

#include "lib/base/base.h"

#define AHCI_BAR   5u
#define AHCI_PORTS 32u
#define AHCI_SLOTS 32u
#define AHCI_GONE  UINT32_MAX /* what any register of a function that is not there says */

/* 3.1 */
enum ahci_register {
    AHCI_CAP = 0x00,
    AHCI_GHC = 0x04,
    AHCI_IS = 0x08, /* a bit for each port; writing 1 clears */
    AHCI_PI = 0x0c, /* a bit for each port that there is */
    AHCI_CAP2 = 0x24,
    AHCI_BOHC = 0x28,
    AHCI_PORT_FIRST = 0x100,
    AHCI_PORT_SIZE = 0x80,
};

#define AHCI_CAP_SLOTS(cap) ((uint32_t)((cap) >> 8 & 0x1f) + 1)
#define AHCI_CAP_CLO        (1u << 24) /* a busy device can be overridden */
#define AHCI_CAP_STAGGERED  (1u << 27) /* devices spin up when they are told to */
#define AHCI_CAP_NCQ        (1u << 30)
#define AHCI_CAP_64         (1u << 31)

#define AHCI_GHC_RESET      0x1u
#define AHCI_GHC_INTERRUPTS 0x2u
#define AHCI_GHC_AHCI       (1u << 31)

#define AHCI_CAP2_HANDOFF 0x1u
#define AHCI_BOHC_BIOS    0x1u  /* the firmware has it */
#define AHCI_BOHC_OS      0x2u  /* we want it */
#define AHCI_BOHC_BUSY    0x10u /* the firmware finishes what it is at */

/* 3.3 */
enum ahci_port_register {
    AHCI_PORT_LIST = 0x00, /* 64 bits */
    AHCI_PORT_FIS = 0x08,  /* 64 bits */
    AHCI_PORT_IS = 0x10,   /* writing 1 clears */
    AHCI_PORT_IE = 0x14,
    AHCI_PORT_CMD = 0x18,
    AHCI_PORT_TFD = 0x20, /* status | error << 8 of the device */
    AHCI_PORT_SIG = 0x24,
    AHCI_PORT_SSTS = 0x28,
    AHCI_PORT_SCTL = 0x2c,
    AHCI_PORT_SERR = 0x30, /* writing 1 clears */
    AHCI_PORT_SACT = 0x34, /* queued commands that are under way */
    AHCI_PORT_CI = 0x38,   /* commands that were issued and are not done */
};

#define AHCI_CMD_START         0x1u
#define AHCI_CMD_SPIN_UP       0x2u
#define AHCI_CMD_POWER         0x4u
#define AHCI_CMD_FIS_ON        0x10u
#define AHCI_CMD_FIS_RUNS      0x4000u
#define AHCI_CMD_RUNS          0x8000u
#define AHCI_CMD_COLD_PRESENCE 0x100000u
#define AHCI_CMD_ACTIVE        (1u << 28) /* ICC: the link is not to sleep */

/* Of PxIS and PxIE. */
#define AHCI_INT_REGISTERS 0x1u /* a non-queued command is done */
#define AHCI_INT_PIO       0x2u
#define AHCI_INT_DMA       0x4u
#define AHCI_INT_BITS      0x8u       /* queued ones are */
#define AHCI_INT_CONNECT   0x40u      /* a device has come, or has come back */
#define AHCI_INT_PHY       (1u << 22) /* the link is gone, or was for a moment */
#define AHCI_INT_OVERFLOW  (1u << 24) /* of a PRDT: more data than was asked for */
#define AHCI_INT_INTERFACE (1u << 27) /* the link failed in the middle */
#define AHCI_INT_BUS_DATA  (1u << 28) /* memory failed */
#define AHCI_INT_BUS       (1u << 29) /* ... so that it has stopped */
#define AHCI_INT_TASK      (1u << 30) /* the device says error */
#define AHCI_INT_ERRORS \
    (AHCI_INT_OVERFLOW | AHCI_INT_INTERFACE | AHCI_INT_BUS_DATA | AHCI_INT_BUS | AHCI_INT_TASK)
#define AHCI_INT_LINK (AHCI_INT_CONNECT | AHCI_INT_PHY)
#define AHCI_INT_ALL                                                                    \
    (AHCI_INT_REGISTERS | AHCI_INT_PIO | AHCI_INT_DMA | AHCI_INT_BITS | AHCI_INT_LINK | \
     AHCI_INT_ERRORS)

#define AHCI_SSTS_DEVICE(ssts) ((ssts)&0xf)
#define AHCI_DEVICE_NONE       0u
#define AHCI_DEVICE_READY      3u     /* there, and the link is up */
#define AHCI_SCTL_RESET        0x301u /* COMRESET; no sleep of the link */
#define AHCI_SCTL_RUN          0x300u
#define AHCI_SIG_DISK          0x00000101u
#define AHCI_SIG_PACKET        0xeb140101u
#define AHCI_SIG_MULTIPLIER    0x96690101u

/* 4.2 */
struct ahci_header {
    uint16_t flags, pieces;
    volatile uint32_t transferred;
    uint64_t table;
    uint32_t reserved[4];
};

#define AHCI_HEADER_WRITE 0x40u
#define AHCI_FIS_WORDS    5u /* in flags: how long the FIS is */

struct ahci_piece {
    uint64_t address;
    uint32_t reserved, length; /* less one; odd, therefore */
};

#define AHCI_PIECE_MOST (4u << 20) /* bytes */

struct ahci_table {
    uint8_t fis[64], packet[16], reserved[48];
    struct ahci_piece pieces[];
};

/* A page for each table. */
#define AHCI_TABLE_SIZE 4096u
#define AHCI_TABLE_ROOM ((AHCI_TABLE_SIZE - sizeof(struct ahci_table)) / sizeof(struct ahci_piece))
#define AHCI_LIST_SIZE  (AHCI_SLOTS * sizeof(struct ahci_header))
#define AHCI_FIS_SIZE   256u /* what the device sends */

_Static_assert(sizeof(struct ahci_header) == 32 && sizeof(struct ahci_table) == 128, "");
