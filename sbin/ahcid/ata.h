/* A disk's own language (ATA8-ACS, SATA 3): commands, what it says of itself, how it says no. Pure.
 *
 * What it says is distrusted: an IDENTIFY that no driver could work with is refused, the rest is brought within bounds.
 */
#pragma once

#include "lib/base/base.h"

#define ATA_SERIAL_MAX     20u
#define ATA_FIRMWARE_MAX   8u
#define ATA_MODEL_MAX      40u
#define ATA_SECTORS_MAX    65536u /* of one command: 0 of 16 bits */
#define ATA_IDENTIFY_BYTES 512u

struct ata_facts {
    /* Printable, without blanks at either end. */
    char serial[ATA_SERIAL_MAX + 1], firmware[ATA_FIRMWARE_MAX + 1], model[ATA_MODEL_MAX + 1];
    uint64_t sectors;
    uint32_t sector_shift;   /* 9 to 12 */
    uint32_t physical_shift; /* what it writes at once, at least sector_shift */
    uint32_t depth;          /* queued commands at a time; 1: none are queued */
    uint32_t trim_blocks;    /* of 512 bytes that a TRIM may bring; 0: it knows no TRIM */
    bool cache;              /* what is written may be lost until it is flushed */
    bool rotates;
};

/* E_NOT_SUPPORTED: no disk, or one without 48-bit addresses or DMA. E_BAD_FORMAT: a sum that is wrong. */
MUST_CHECK int64_t ata_identify_parse(const uint8_t *bytes, struct ata_facts *facts);

enum ata_op {
    ATA_DATASET = 0x06,
    ATA_READ = 0x25,
    ATA_WRITE = 0x35,
    ATA_READ_QUEUED = 0x60,
    ATA_WRITE_QUEUED = 0x61,
    ATA_FLUSH = 0xea,
    ATA_IDENTIFY = 0xec,
};

struct ata_command {
    enum ata_op op;
    uint64_t first;
    uint32_t sectors; /* 1 to ATA_SECTORS_MAX; of ATA_DATASET: blocks of ranges */
};

static inline bool ata_is_queued(enum ata_op op)
{
    return op == ATA_READ_QUEUED || op == ATA_WRITE_QUEUED;
}

/* The register FIS from host to device, in 20 bytes. tag: of a queued command. */
void ata_fis_build(uint8_t *fis, const struct ata_command *command, uint32_t tag);

/* TRIM's ranges are words: 48 bits of the first sector, 16 of how many. */
#define ATA_TRIM_BLOCK       512u
#define ATA_TRIM_RANGES      (ATA_TRIM_BLOCK / 8)
#define ATA_TRIM_SECTORS_MAX 65535u

/* Ranges for [first, first + sectors) into `room` words, the others zero; how many sectors that was. */
uint64_t ata_trim_build(uint64_t *words, size_t room, uint64_t first, uint64_t sectors);

enum ata_verdict {
    ATA_FAILED, /* with the error */
    ATA_AGAIN,  /* the link was at fault, not the medium: the same once more */
};

/* task: AHCI_PORT_TFD after a command that was the only one has failed; transfer: it was a read or write. *error: -E_*; *cause: in words,
 * for the log. */
enum ata_verdict ata_error_judge(uint32_t task, bool transfer, int64_t *error, const char **cause);
