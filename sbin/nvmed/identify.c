#include "sbin/nvmed/identify.h"

#include <string.h>

#include "abi/errors.h"

/* Of a controller: figure 247. */
#define C_SERIAL     4u
#define C_MODEL      24u
#define C_FIRMWARE   64u
#define C_TRANSFER   77u
#define C_EVENTS     92u
#define C_SUBMISSION 512u
#define C_COMPLETION 513u
#define C_NAMESPACES 516u
#define C_COMMANDS   520u
#define C_CACHE      525u

#define EVENTS_NAMESPACES     0x100u
#define COMMANDS_DATASET      0x4u
#define COMMANDS_WRITE_ZEROES 0x8u
#define CACHE_IS_VOLATILE     0x1u
#define SUBMISSION_SHIFT      6u /* entries of 64 and 16 bytes */
#define COMPLETION_SHIFT      4u
#define VERSION_LISTS         0x10100u
#define NAMESPACES_MOST       0xfffffffdu /* numbers beyond mean others than one of them */

/* Of a namespace: figure 245. */
#define N_BLOCKS       0u
#define N_FEATURES     24u
#define N_FORMATS      25u
#define N_FORMAT       26u
#define N_WRITTEN      64u /* blocks it likes to write at once, less one, if the feature is there */
#define N_ATTRIBUTES   99u
#define N_FORMAT_TABLE 128u

#define FEATURES_WRITTEN     0x10u
#define ATTRIBUTES_READ_ONLY 0x1u
#define FORMAT_INDEX         0xfu
#define SHIFT_LEAST          9u
#define SHIFT_MOST           12u
#define SHIFT_PHYSICAL_MOST  16u

static uint32_t get16(const uint8_t *bytes, uint32_t at)
{
    return bytes[at] | (uint32_t)bytes[at + 1] << 8;
}

static uint32_t get32(const uint8_t *bytes, uint32_t at)
{
    return get16(bytes, at) | get16(bytes, at + 2) << 16;
}

static uint64_t get64(const uint8_t *bytes, uint32_t at)
{
    return get32(bytes, at) | (uint64_t)get32(bytes, at + 4) << 32;
}

/* Without the blanks around it; what cannot be printed is shown as '?'. */
static void text_copy(char *to, const uint8_t *from, size_t length)
{
    while (length && (from[length - 1] == ' ' || !from[length - 1]))
        length--;
    while (length && *from == ' ')
        from++, length--;
    for (size_t i = 0; i < length; i++)
        to[i] = from[i] > ' ' && from[i] < 0x7f ? (char)from[i] : from[i] == ' ' ? ' ' : '?';
    to[length] = '\0';
}

/* Low four bits: at least that many; high: at most. */
static bool entries_fit(uint8_t sizes, uint32_t shift)
{
    return (sizes & 0xf) <= shift && shift <= sizes >> 4;
}

int64_t nvme_controller_parse(const uint8_t *bytes, uint32_t version,
                              struct nvme_controller_facts *facts)
{
    uint32_t transfer = bytes[C_TRANSFER], commands = get16(bytes, C_COMMANDS);
    if (!entries_fit(bytes[C_SUBMISSION], SUBMISSION_SHIFT) ||
        !entries_fit(bytes[C_COMPLETION], COMPLETION_SHIFT))
        return -E_NOT_SUPPORTED;
    *facts = (struct nvme_controller_facts){
        .namespaces = MIN(get32(bytes, C_NAMESPACES), NAMESPACES_MOST),
        .transfer_most = transfer && transfer < 20 ? NVME_PAGE << transfer : UINT32_MAX,
        .lists = version >= VERSION_LISTS,
        .cache = bytes[C_CACHE] & CACHE_IS_VOLATILE,
        .dataset = commands & COMMANDS_DATASET,
        .write_zeroes = commands & COMMANDS_WRITE_ZEROES,
        .tells_namespaces = get32(bytes, C_EVENTS) & EVENTS_NAMESPACES,
    };
    text_copy(facts->serial, bytes + C_SERIAL, NVME_SERIAL_MAX);
    text_copy(facts->firmware, bytes + C_FIRMWARE, NVME_FIRMWARE_MAX);
    text_copy(facts->model, bytes + C_MODEL, NVME_MODEL_MAX);
    return 0;
}

/* Of a block as it is written at once: no less than one as it is addressed. */
static uint32_t physical_shift(const uint8_t *bytes, uint32_t block_shift)
{
    uint32_t blocks = bytes[N_FEATURES] & FEATURES_WRITTEN ? get16(bytes, N_WRITTEN) + 1 : 1;
    uint32_t shift = block_shift + (uint32_t)__builtin_ctz(blocks);
    return shift <= SHIFT_PHYSICAL_MOST ? shift : block_shift;
}

int64_t nvme_namespace_parse(const uint8_t *bytes, struct nvme_namespace_facts *facts)
{
    uint32_t index = bytes[N_FORMAT] & FORMAT_INDEX;
    uint32_t format = get32(bytes, N_FORMAT_TABLE + 4 * index);
    uint32_t metadata = format & 0xffff, shift = format >> 16 & 0xff;
    uint64_t blocks = get64(bytes, N_BLOCKS);
    if (!blocks)
        return -E_NOT_FOUND;
    if (index > bytes[N_FORMATS] || metadata || shift < SHIFT_LEAST || shift > SHIFT_MOST)
        return -E_NOT_SUPPORTED;
    *facts = (struct nvme_namespace_facts){
        .blocks = MIN(blocks, (uint64_t)INT64_MAX >> shift), /* bytes have numbers, too */
        .block_shift = shift,
        .physical_shift = physical_shift(bytes, shift),
        .read_only = bytes[N_ATTRIBUTES] & ATTRIBUTES_READ_ONLY,
    };
    return 0;
}
