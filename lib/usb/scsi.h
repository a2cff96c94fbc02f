/* SCSI commands of disks (SPC-4, SBC-3) as bytes: made, and their answers read. Pure.
 *
 *     scsi_*(bytes, ...)               the command in 16 bytes; how long it is
 *     scsi_inquiry_parse(...)          ... of what it answered, as many bytes as came: false, or -E_BAD_FORMAT, if that is no answer
 *     scsi_sense_parse(...), scsi_verdict(...)     why a command failed, and what is to be done about it
 */
#pragma once

#include "abi/errors.h"
#include "lib/base/base.h"

#define SCSI_COMMAND_BYTES 16u

enum scsi_type { SCSI_DISK = 0x00, SCSI_CD = 0x05, SCSI_OPTICAL = 0x07, SCSI_SIMPLE_DISK = 0x0e };

struct scsi_inquiry {
    uint8_t type; /* enum scsi_type, among others */
    bool present, removable;
    uint8_t version;                          /* of the commands it knows: SCSI_SPC_3 and more */
    char vendor[9], product[17], revision[5]; /* printable, without the spaces around them */
};

struct scsi_capacity {
    uint64_t blocks;
    uint32_t block; /* bytes; a power of two from 512 to 4096 */
    uint32_t physical;
    bool provisioned; /* blocks need not have a place: some may be let go of */
};

/* In blocks; as one UNMAP says them. */
struct scsi_limits {
    uint32_t most; /* 0: it knows no UNMAP */
    uint32_t unit; /* what it lets go of at once, at least 1 */
};

struct scsi_mode {
    bool read_only, cache; /* cache: what was written may be lost until it is flushed */
};

struct scsi_sense {
    uint8_t key, code, qualifier;
};

/* What a failed command means for whoever sent it. */
enum scsi_verdict {
    SCSI_DONE,    /* it did not fail after all */
    SCSI_AGAIN,   /* at once */
    SCSI_WAIT,    /* in a while: the unit is becoming ready */
    SCSI_START,   /* when the unit was told to start */
    SCSI_EMPTY,   /* there is no medium */
    SCSI_CHANGED, /* the medium is another one */
    SCSI_ERROR,   /* scsi_error says which */
};

uint8_t scsi_test_ready(uint8_t *bytes);
uint8_t scsi_request_sense(uint8_t *bytes, uint8_t length);
uint8_t scsi_inquiry(uint8_t *bytes, uint8_t length);
uint8_t scsi_start(uint8_t *bytes);
uint8_t scsi_mode_sense(uint8_t *bytes, uint8_t page, uint8_t length);
uint8_t scsi_capacity_10(uint8_t *bytes);
uint8_t scsi_capacity_16(uint8_t *bytes, uint8_t length);
uint8_t scsi_synchronize(uint8_t *bytes);
/* A page of vital product data. */
uint8_t scsi_inquiry_page(uint8_t *bytes, uint8_t page, uint8_t length);
uint8_t scsi_report_units(uint8_t *bytes, uint32_t length);
/* Its data are scsi_unmap_list's. */
uint8_t scsi_unmap(uint8_t *bytes);
void scsi_unmap_list(uint8_t *list, uint64_t block, uint32_t count);
/* READ and WRITE in 10 bytes as far as these go, else in 16. count: at most SCSI_BLOCKS_MAX. */
uint8_t scsi_transfer(uint8_t *bytes, bool write, uint64_t block, uint32_t count);

#define SCSI_BLOCKS_MAX 0xffffu

#define SCSI_INQUIRY_BYTES     36u
#define SCSI_SENSE_BYTES       18u
#define SCSI_CAPACITY_10_BYTES 8u
#define SCSI_CAPACITY_16_BYTES 32u
#define SCSI_MODE_BYTES        192u
#define SCSI_PAGE_CACHE        0x08u
#define SCSI_PAGE_ALL          0x3fu
#define SCSI_UNMAP_BYTES       24u
#define SCSI_PAGE_LIMITS       0xb0u
#define SCSI_PAGE_PROVISIONING 0xb2u
#define SCSI_PAGE_BYTES        64u
#define SCSI_SPC_3             5u

bool scsi_inquiry_parse(const uint8_t *bytes, size_t length, struct scsi_inquiry *inquiry);
/* -E_AGAIN: the unit has more blocks than this can say, READ CAPACITY(16) is wanted. -E_NOT_SUPPORTED: blocks of a length that cannot be
 * worked with. */
MUST_CHECK int scsi_capacity_10_parse(const uint8_t *bytes, size_t length,
                                      struct scsi_capacity *capacity);
MUST_CHECK int scsi_capacity_16_parse(const uint8_t *bytes, size_t length,
                                      struct scsi_capacity *capacity);
/* Of MODE SENSE(6), with whatever pages. What the answer does not say stays as it was. */
bool scsi_mode_parse(const uint8_t *bytes, size_t length, struct scsi_mode *mode);

/* False: not the page. */
bool scsi_limits_parse(const uint8_t *bytes, size_t length, struct scsi_limits *limits);
bool scsi_provisioning_parse(const uint8_t *bytes, size_t length, bool *unmaps);
/* Units as bits, those below 32; *more: how many others there are. False: no list. */
bool scsi_units_parse(const uint8_t *bytes, size_t length, uint32_t *units, uint32_t *more);

bool scsi_sense_parse(const uint8_t *bytes, size_t length, struct scsi_sense *sense);
enum scsi_verdict scsi_verdict(const struct scsi_sense *sense);
/* -E_*, as abi/disk.h has them. */
int scsi_error(const struct scsi_sense *sense);
