#include "sbin/ahcid/ata.h"

#include <string.h>

#include "abi/errors.h"

/* Words of IDENTIFY DEVICE (ATA8-ACS 7.16.7). */
enum identify_word {
    W_GENERAL = 0,
    W_SERIAL = 10,
    W_FIRMWARE = 23,
    W_MODEL = 27,
    W_CAPABILITIES = 49,
    W_DEPTH = 75,
    W_SATA = 76,
    W_SETS = 82, /* command sets that it knows: 82 and 83 */
    W_SETS_2 = 83,
    W_ENABLED = 85, /* ... that are on */
    W_SECTORS = 100,
    W_TRIM_BLOCKS = 105,
    W_SIZES = 106,
    W_SECTOR_WORDS = 117,
    W_TRIM = 169,
    W_ROTATION = 217,
    W_INTEGRITY = 255,
};

#define GENERAL_NO_ATA      0x8000u
#define CAPABILITIES_DMA    0x0100u
#define SATA_QUEUED         0x0100u
#define SETS_CACHE          0x0020u
#define SETS_2_LONG         0x0400u /* 48-bit addresses */
#define SIZES_LARGE         0x1000u /* sectors of more than 512 bytes */
#define SIZES_SEVERAL       0x2000u /* of which several are written at once */
#define SIZES_SEVERAL_SHIFT 0x000fu
#define TRIM_KNOWN          0x0001u
#define ROTATION_NONE       0x0001u                     /* 0: it does not say */
#define VALID(word)         (((word)&0xc000) == 0x4000) /* of words that old devices have not */
#define INTEGRITY_SIGNATURE 0xa5u
#define SECTOR_SHIFT_LEAST  9u
#define SECTOR_SHIFT_MOST   12u
#define PHYSICAL_SHIFT_MOST 16u
#define SECTORS_MOST        (UINT64_C(1) << 48)

static uint32_t word(const uint8_t *bytes, uint32_t index)
{
    return bytes[2 * index] | (uint32_t)bytes[2 * index + 1] << 8;
}

/* Two letters in each word, the first one above; without the blanks around it, and what cannot be printed as '?'. */
static void text_copy(char *to, const uint8_t *bytes, uint32_t index, size_t length)
{
    size_t used = 0;
    for (size_t i = 0; i < length; i++) {
        uint8_t letter = bytes[2 * index + (i ^ 1)];
        if (letter == ' ' && !used)
            continue;
        to[used++] = letter >= ' ' && letter < 0x7f ? (char)letter : letter ? '?' : ' ';
    }
    while (used && to[used - 1] == ' ')
        used--;
    to[used] = '\0';
}

static bool sum_is_good(const uint8_t *bytes)
{
    uint8_t sum = 0;
    if ((word(bytes, W_INTEGRITY) & 0xff) != INTEGRITY_SIGNATURE)
        return true; /* it has none */
    for (uint32_t i = 0; i < ATA_IDENTIFY_BYTES; i++)
        sum += bytes[i];
    return sum == 0;
}

/* 0: of a size that is no sector's. */
static uint32_t sector_shift(const uint8_t *bytes)
{
    uint32_t sizes = word(bytes, W_SIZES);
    if (!VALID(sizes) || !(sizes & SIZES_LARGE))
        return SECTOR_SHIFT_LEAST;
    uint64_t length =
        2 * (word(bytes, W_SECTOR_WORDS) | (uint64_t)word(bytes, W_SECTOR_WORDS + 1) << 16);
    for (uint32_t shift = SECTOR_SHIFT_LEAST; shift <= SECTOR_SHIFT_MOST; shift++)
        if (length == UINT64_C(1) << shift)
            return shift;
    return 0;
}

static uint32_t physical_shift(const uint8_t *bytes, uint32_t shift)
{
    uint32_t sizes = word(bytes, W_SIZES);
    if (VALID(sizes) && sizes & SIZES_SEVERAL)
        shift += sizes & SIZES_SEVERAL_SHIFT;
    return MIN(shift, PHYSICAL_SHIFT_MOST);
}

static uint64_t sectors(const uint8_t *bytes)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < 4; i++)
        count |= (uint64_t)word(bytes, W_SECTORS + i) << 16 * i;
    return count;
}

int64_t ata_identify_parse(const uint8_t *bytes, struct ata_facts *facts)
{
    uint32_t sets = word(bytes, W_SETS_2), sata = word(bytes, W_SATA), shift = sector_shift(bytes);
    uint64_t count = sectors(bytes);
    if (!sum_is_good(bytes))
        return -E_BAD_FORMAT;
    if (word(bytes, W_GENERAL) & GENERAL_NO_ATA || !VALID(sets) || !(sets & SETS_2_LONG) ||
        !(word(bytes, W_CAPABILITIES) & CAPABILITIES_DMA) || !shift || !count ||
        count > SECTORS_MOST)
        return -E_NOT_SUPPORTED;
    *facts = (struct ata_facts){
        .sectors = count,
        .sector_shift = shift,
        .physical_shift = physical_shift(bytes, shift),
        .depth = sata != UINT16_MAX && sata & SATA_QUEUED ? (word(bytes, W_DEPTH) & 0x1f) + 1 : 1,
        .trim_blocks = word(bytes, W_TRIM) & TRIM_KNOWN ? MAX(word(bytes, W_TRIM_BLOCKS), 1u) : 0,
        .cache = word(bytes, W_ENABLED) & SETS_CACHE,
        .rotates = word(bytes, W_ROTATION) > ROTATION_NONE && word(bytes, W_ROTATION) < UINT16_MAX,
    };
    text_copy(facts->serial, bytes, W_SERIAL, ATA_SERIAL_MAX);
    text_copy(facts->firmware, bytes, W_FIRMWARE, ATA_FIRMWARE_MAX);
    text_copy(facts->model, bytes, W_MODEL, ATA_MODEL_MAX);
    return 0;
}

/* --- Commands --------------------------------------------------------------------------------------------------- */

#define FIS_HOST_TO_DEVICE 0x27u
#define FIS_COMMAND        0x80u
#define DEVICE_LBA         0x40u
#define DATASET_TRIM       0x01u

/* Where a number lies in the FIS (SATA 3, 10.3.4): its low part and its high part. */
enum fis_byte {
    FIS_TYPE = 0,
    FIS_FLAGS = 1,
    FIS_OP = 2,
    FIS_FEATURES = 3,
    FIS_LBA = 4,
    FIS_DEVICE = 7,
    FIS_LBA_HIGH = 8,
    FIS_FEATURES_HIGH = 11,
    FIS_COUNT = 12,
    FIS_COUNT_HIGH = 13,
    FIS_BYTES = 20,
};

void ata_fis_build(uint8_t *fis, const struct ata_command *command, uint32_t tag)
{
    bool queued = ata_is_queued(command->op);
    uint32_t features = queued ? command->sectors : command->op == ATA_DATASET ? DATASET_TRIM : 0;
    uint32_t count = queued ? tag << 3 : command->sectors;
    memset(fis, 0, FIS_BYTES);
    fis[FIS_TYPE] = FIS_HOST_TO_DEVICE;
    fis[FIS_FLAGS] = FIS_COMMAND;
    fis[FIS_OP] = (uint8_t)command->op;
    fis[FIS_FEATURES] = (uint8_t)features;
    fis[FIS_FEATURES_HIGH] = (uint8_t)(features >> 8);
    for (uint32_t i = 0; i < 3; i++) {
        fis[FIS_LBA + i] = (uint8_t)(command->first >> 8 * i);
        fis[FIS_LBA_HIGH + i] = (uint8_t)(command->first >> (24 + 8 * i));
    }
    fis[FIS_DEVICE] = DEVICE_LBA;
    fis[FIS_COUNT] = (uint8_t)count;
    fis[FIS_COUNT_HIGH] = (uint8_t)(count >> 8);
}

uint64_t ata_trim_build(uint64_t *words, size_t room, uint64_t first, uint64_t count)
{
    uint64_t done = 0;
    for (size_t i = 0; i < room; i++) {
        uint64_t part = MIN(count - done, (uint64_t)ATA_TRIM_SECTORS_MAX);
        words[i] = part ? (first + done) | part << 48 : 0;
        done += part;
    }
    return done;
}

/* --- Errors ----------------------------------------------------------------------------------------------------- */

#define TASK_ERROR(task) ((task) >> 8 & 0xff)
#define STATUS_ERROR     0x01u
#define STATUS_FAULT     0x20u

/* In the order in which they explain most (ATA8-ACS 6.3). A transfer that is refused is refused for its sectors: others were not. */
static const struct {
    uint8_t bit;
    uint8_t error, transfer_error;
    enum ata_verdict verdict;
    const char *cause;
} causes[] = {
    {0x80, E_IO, E_IO, ATA_AGAIN, "data did not get across"},
    {0x40, E_MEDIUM, E_MEDIUM, ATA_FAILED, "the medium cannot be read there"},
    {0x10, E_RANGE, E_RANGE, ATA_FAILED, "the disk has no such sector"},
    {0x01, E_MEDIUM, E_MEDIUM, ATA_FAILED, "the medium fails there"},
    {0x04, E_IO, E_MEDIUM, ATA_FAILED, "the disk refuses it"},
};

enum ata_verdict ata_error_judge(uint32_t task, bool transfer, int64_t *error, const char **cause)
{
    *error = -E_IO;
    *cause = task & STATUS_FAULT   ? "the disk is at fault"
             : task & STATUS_ERROR ? "the disk says error"
                                   : "the link or the adapter failed";
    if (!(task & STATUS_ERROR))
        return task & STATUS_FAULT ? ATA_FAILED : ATA_AGAIN;
    for (size_t i = 0; i < ARRAY_SIZE(causes); i++)
        if (TASK_ERROR(task) & causes[i].bit) {
            *error = -(int64_t)(transfer ? causes[i].transfer_error : causes[i].error);
            *cause = causes[i].cause;
            return causes[i].verdict;
        }
    return ATA_FAILED;
}
