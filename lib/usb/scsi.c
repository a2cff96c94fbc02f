/* SCSI commands and answers: see scsi.h. */
#include "lib/usb/scsi.h"

#include <string.h>

enum {
    TEST_UNIT_READY = 0x00,
    REQUEST_SENSE = 0x03,
    INQUIRY = 0x12,
    MODE_SENSE_6 = 0x1a,
    START_STOP_UNIT = 0x1b,
    READ_CAPACITY_10 = 0x25,
    READ_10 = 0x28,
    WRITE_10 = 0x2a,
    SYNCHRONIZE_CACHE_10 = 0x35,
    UNMAP = 0x42,
    READ_16 = 0x88,
    WRITE_16 = 0x8a,
    SERVICE_ACTION_IN_16 = 0x9e,
    READ_CAPACITY_16 = 0x10, /* its service action */
    REPORT_LUNS = 0xa0,
};

#define START     0x01u
#define VITAL     0x01u
#define BLOCK_MIN 512u
#define BLOCK_MAX 4096u

static uint64_t get(const uint8_t *bytes, size_t count)
{
    uint64_t value = 0;
    while (count--)
        value = value << 8 | *bytes++;
    return value;
}

static void put(uint8_t *bytes, size_t count, uint64_t value)
{
    while (count--) {
        bytes[count] = (uint8_t)value;
        value >>= 8;
    }
}

/* --- commands --- */

static uint8_t begin(uint8_t *bytes, uint8_t operation, uint8_t length)
{
    memset(bytes, 0, SCSI_COMMAND_BYTES);
    bytes[0] = operation;
    return length;
}

uint8_t scsi_test_ready(uint8_t *bytes)
{
    return begin(bytes, TEST_UNIT_READY, 6);
}

uint8_t scsi_request_sense(uint8_t *bytes, uint8_t length)
{
    uint8_t size = begin(bytes, REQUEST_SENSE, 6);
    bytes[4] = length;
    return size;
}

uint8_t scsi_inquiry(uint8_t *bytes, uint8_t length)
{
    uint8_t size = begin(bytes, INQUIRY, 6);
    bytes[4] = length;
    return size;
}

uint8_t scsi_start(uint8_t *bytes)
{
    uint8_t size = begin(bytes, START_STOP_UNIT, 6);
    bytes[4] = START;
    return size;
}

uint8_t scsi_mode_sense(uint8_t *bytes, uint8_t page, uint8_t length)
{
    uint8_t size = begin(bytes, MODE_SENSE_6, 6);
    bytes[2] = page;
    bytes[4] = length;
    return size;
}

uint8_t scsi_capacity_10(uint8_t *bytes)
{
    return begin(bytes, READ_CAPACITY_10, 10);
}

uint8_t scsi_capacity_16(uint8_t *bytes, uint8_t length)
{
    uint8_t size = begin(bytes, SERVICE_ACTION_IN_16, 16);
    bytes[1] = READ_CAPACITY_16;
    bytes[13] = length;
    return size;
}

uint8_t scsi_synchronize(uint8_t *bytes)
{
    return begin(bytes, SYNCHRONIZE_CACHE_10, 10); /* from block 0, 0 blocks: all */
}

uint8_t scsi_inquiry_page(uint8_t *bytes, uint8_t page, uint8_t length)
{
    uint8_t size = scsi_inquiry(bytes, length);
    bytes[1] = VITAL;
    bytes[2] = page;
    return size;
}

uint8_t scsi_report_units(uint8_t *bytes, uint32_t length)
{
    uint8_t size = begin(bytes, REPORT_LUNS, 12);
    put(bytes + 6, 4, length);
    return size;
}

uint8_t scsi_unmap(uint8_t *bytes)
{
    uint8_t size = begin(bytes, UNMAP, 10);
    bytes[8] = SCSI_UNMAP_BYTES;
    return size;
}

/* Lengths of what follows, and one descriptor (SBC-3 5.28.2). */
void scsi_unmap_list(uint8_t *list, uint64_t block, uint32_t count)
{
    memset(list, 0, SCSI_UNMAP_BYTES);
    put(list, 2, SCSI_UNMAP_BYTES - 2);
    put(list + 2, 2, SCSI_UNMAP_BYTES - 8);
    put(list + 8, 8, block);
    put(list + 16, 4, count);
}

uint8_t scsi_transfer(uint8_t *bytes, bool write, uint64_t block, uint32_t count)
{
    uint8_t size;
    if (block + count <= UINT32_MAX) {
        size = begin(bytes, write ? WRITE_10 : READ_10, 10);
        put(bytes + 2, 4, block);
        put(bytes + 7, 2, count);
    } else {
        size = begin(bytes, write ? WRITE_16 : READ_16, 16);
        put(bytes + 2, 8, block);
        put(bytes + 10, 4, count);
    }
    return size;
}

/* --- answers --- */

/* Without control characters, and without the spaces in front and behind. */
static void text_copy(char *text, const uint8_t *bytes, size_t length)
{
    size_t used = 0;
    for (size_t i = 0; i < length; i++) {
        char character = (char)(bytes[i] < 0x20 || bytes[i] > 0x7e ? ' ' : bytes[i]);
        if (used || character != ' ')
            text[used++] = character;
    }
    while (used && text[used - 1] == ' ')
        used--;
    text[used] = '\0';
}

bool scsi_inquiry_parse(const uint8_t *bytes, size_t length, struct scsi_inquiry *inquiry)
{
    if (length < SCSI_INQUIRY_BYTES)
        return false;
    *inquiry = (struct scsi_inquiry){
        .type = bytes[0] & 0x1f,
        .present = bytes[0] >> 5 == 0,
        .removable = bytes[1] & 0x80,
        .version = bytes[2],
    };
    text_copy(inquiry->vendor, bytes + 8, 8);
    text_copy(inquiry->product, bytes + 16, 16);
    text_copy(inquiry->revision, bytes + 32, 4);
    return true;
}

static int capacity_set(struct scsi_capacity *capacity, uint64_t last, uint64_t block)
{
    if (block < BLOCK_MIN || block > BLOCK_MAX || block & (block - 1) ||
        last >= UINT64_MAX / BLOCK_MAX)
        return -E_NOT_SUPPORTED;
    *capacity = (struct scsi_capacity){last + 1, (uint32_t)block, (uint32_t)block, false};
    return 0;
}

int scsi_capacity_10_parse(const uint8_t *bytes, size_t length, struct scsi_capacity *capacity)
{
    if (length < SCSI_CAPACITY_10_BYTES)
        return -E_BAD_FORMAT;
    if (get(bytes, 4) == UINT32_MAX)
        return -E_AGAIN;
    return capacity_set(capacity, get(bytes, 4), get(bytes + 4, 4));
}

int scsi_capacity_16_parse(const uint8_t *bytes, size_t length, struct scsi_capacity *capacity)
{
    if (length < 14)
        return -E_BAD_FORMAT;
    int result = capacity_set(capacity, get(bytes, 8), get(bytes + 8, 4));
    if (result < 0)
        return result;
    capacity->physical = MIN(capacity->block << (bytes[13] & 0xf), 0x10000u);
    capacity->provisioned = length > 14 && bytes[14] & 0x80;
    return 0;
}

/* The pages begin behind a head of 4 bytes and the block descriptors (SPC-4 7.5). */
bool scsi_mode_parse(const uint8_t *bytes, size_t length, struct scsi_mode *mode)
{
    enum { HEAD = 4, PROTECTED = 0x80, SUBPAGES = 0x40, WRITES_LATER = 0x04 };
    if (length < HEAD)
        return false;
    length = MIN(length, bytes[0] + 1u);
    mode->read_only = bytes[2] & PROTECTED;
    for (size_t at = HEAD + bytes[3]; at + 3 <= length && !(bytes[at] & SUBPAGES);
         at += bytes[at + 1] + 2u)
        if ((bytes[at] & 0x3f) == SCSI_PAGE_CACHE)
            mode->cache = bytes[at + 2] & WRITES_LATER;
    return true;
}

/* --- sense --- */

static bool is_page(const uint8_t *bytes, size_t length, uint8_t page, size_t least)
{
    return length >= least && bytes[1] == page && get(bytes + 2, 2) + 4 >= least;
}

bool scsi_limits_parse(const uint8_t *bytes, size_t length, struct scsi_limits *limits)
{
    if (!is_page(bytes, length, SCSI_PAGE_LIMITS, 32))
        return false;
    bool any = get(bytes + 24, 4); /* descriptors */
    limits->most = any ? (uint32_t)get(bytes + 20, 4) : 0;
    limits->unit = MAX((uint32_t)get(bytes + 28, 4), 1u);
    return true;
}

bool scsi_provisioning_parse(const uint8_t *bytes, size_t length, bool *unmaps)
{
    if (!is_page(bytes, length, SCSI_PAGE_PROVISIONING, 6))
        return false;
    *unmaps = bytes[5] & 0x80;
    return true;
}

/* Addresses of one level: by a number of 8 bits, or of 14 (SAM-5 4.7.7). */
bool scsi_units_parse(const uint8_t *bytes, size_t length, uint32_t *units, uint32_t *more)
{
    enum { HEAD = 8, EACH = 8 };
    if (length < HEAD)
        return false;
    size_t end = MIN(length, HEAD + (size_t)get(bytes, 4));
    *units = *more = 0;
    for (size_t at = HEAD; at + EACH <= end; at += EACH) {
        uint64_t unit = get(bytes + at, 2), rest = get(bytes + at + 2, 6);
        if ((unit & 0xff00) == 0x4000)
            unit &= 0xff;
        if (unit < 32 && !rest)
            *units |= UINT32_C(1) << unit;
        else
            ++*more;
    }
    return true;
}

bool scsi_sense_parse(const uint8_t *bytes, size_t length, struct scsi_sense *sense)
{
    enum { FIXED = 0x70, FIXED_OLD = 0x71, DESCRIPTORS = 0x72, DESCRIPTORS_OLD = 0x73 };
    uint8_t kind = length ? bytes[0] & 0x7f : 0;
    *sense = (struct scsi_sense){0};
    if ((kind == FIXED || kind == FIXED_OLD) && length >= 3) {
        sense->key = bytes[2] & 0xf;
        if (length >= 14) {
            sense->code = bytes[12];
            sense->qualifier = bytes[13];
        }
        return true;
    }
    if ((kind != DESCRIPTORS && kind != DESCRIPTORS_OLD) || length < 4)
        return false;
    *sense = (struct scsi_sense){bytes[1] & 0xf, bytes[2], bytes[3]};
    return true;
}

enum key {
    NO_SENSE,
    RECOVERED,
    NOT_READY,
    MEDIUM_ERROR,
    HARDWARE_ERROR,
    ILLEGAL_REQUEST,
    UNIT_ATTENTION,
    DATA_PROTECT,
    BLANK_CHECK,
    ABORTED = 0xb,
    OVERFLOW = 0xd,
};

enum code {
    CODE_NOT_READY = 0x04, /* qualifier: why */
    CODE_NO_UNIT = 0x25,
    CODE_SPACE = 0x27,
    CODE_MEDIUM_CHANGED = 0x28,
    CODE_NO_MEDIUM = 0x3a,
};

static enum scsi_verdict not_ready(const struct scsi_sense *sense)
{
    enum { BECOMING = 0x01, TO_BE_STARTED = 0x02 };
    if (sense->code == CODE_NO_MEDIUM)
        return SCSI_EMPTY;
    if (sense->code == CODE_MEDIUM_CHANGED)
        return SCSI_CHANGED;
    if (sense->code != CODE_NOT_READY)
        return SCSI_ERROR;
    return sense->qualifier == TO_BE_STARTED ? SCSI_START : SCSI_WAIT;
}

enum scsi_verdict scsi_verdict(const struct scsi_sense *sense)
{
    switch ((enum key)sense->key) {
    case NO_SENSE:
    case RECOVERED:
        return SCSI_DONE;
    case NOT_READY:
        return not_ready(sense);
    case UNIT_ATTENTION:
        return sense->code == CODE_MEDIUM_CHANGED ? SCSI_CHANGED
               : sense->code == CODE_NO_MEDIUM    ? SCSI_EMPTY
                                                  : SCSI_AGAIN;
    case ABORTED:
        return SCSI_AGAIN;
    case ILLEGAL_REQUEST: /* a unit that was there: QEMU says so instead of the attention of one but the first */
        return sense->code == CODE_NO_UNIT ? SCSI_AGAIN : SCSI_ERROR;
    default:
        return SCSI_ERROR;
    }
}

int scsi_error(const struct scsi_sense *sense)
{
    enum { THIN_PROVISIONING = 0x07, UNKNOWN_COMMAND = 0x20, UNKNOWN_FIELD = 0x24 };
    switch ((enum key)sense->key) {
    case MEDIUM_ERROR:
    case BLANK_CHECK:
        return -E_MEDIUM;
    case ILLEGAL_REQUEST:
        return sense->code == UNKNOWN_COMMAND || sense->code == UNKNOWN_FIELD ? -E_NOT_SUPPORTED
                                                                              : -E_IO;
    case DATA_PROTECT:
        return sense->code == CODE_SPACE && sense->qualifier == THIN_PROVISIONING ? -E_NO_SPACE
                                                                                  : -E_READ_ONLY;
    case OVERFLOW:
        return -E_NO_SPACE;
    default:
        return -E_IO;
    }
}
