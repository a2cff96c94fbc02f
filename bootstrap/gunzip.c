/* The gzip frame; libdeflate inflates. The size stated at the end is checked against what deflate can make of
 * the input before it is believed, and its pages are taken on first touch only. */
#include "bootstrap/gunzip.h"

#include <libdeflate.h>
#include <string.h>
#include <sys/mman.h>

#define HEADER_LENGTH  10u
#define TRAILER_LENGTH 8u
#define DEFLATE_RATIO  1032u /* at most, asymptotically */

#define FLAG_HEADER_CRC 0x02u
#define FLAG_EXTRA      0x04u
#define FLAG_NAME       0x08u
#define FLAG_COMMENT    0x10u
#define FLAGS_RESERVED  0xe0u

static uint32_t little32(const uint8_t *bytes)
{
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

/* Moves *at behind a terminated string. */
static bool string_skip(const uint8_t *packed, size_t end, size_t *at)
{
    const uint8_t *zero = *at < end ? memchr(packed + *at, 0, end - *at) : NULL;
    if (!zero)
        return false;
    *at = (size_t)(zero - packed) + 1;
    return true;
}

/* Where the compressed data starts; 0: not within end. */
static size_t header_skip(const uint8_t *packed, size_t end)
{
    uint8_t flags = packed[3];
    size_t at = HEADER_LENGTH;
    if (flags & FLAG_EXTRA) {
        if (end - at < 2)
            return 0;
        at += 2u + packed[at] + (size_t)packed[at + 1] * 256;
    }
    if (at > end || ((flags & FLAG_NAME) && !string_skip(packed, end, &at)) ||
        ((flags & FLAG_COMMENT) && !string_skip(packed, end, &at)))
        return 0;
    if (flags & FLAG_HEADER_CRC)
        at += 2;
    return at < end ? at : 0;
}

static const char *inflate(const uint8_t *packed, size_t packed_length, uint8_t *data,
                           size_t length, uint32_t checksum)
{
    struct libdeflate_decompressor *decompressor = libdeflate_alloc_decompressor();
    size_t used, made;
    if (!decompressor)
        return "no memory to inflate the archive";
    enum libdeflate_result result = libdeflate_deflate_decompress_ex(
        decompressor, packed, packed_length, data, length, &used, &made);
    libdeflate_free_decompressor(decompressor);
    if (result == LIBDEFLATE_INSUFFICIENT_SPACE)
        return "the archive is corrupt or truncated: it inflates to more than it states";
    if (result != LIBDEFLATE_SUCCESS)
        return "the archive is corrupt or truncated: inflating it failed";
    if (made != length || used != packed_length)
        return "the archive is corrupt or truncated: a length is wrong";
    if (libdeflate_crc32(0, data, length) != checksum)
        return "the archive is corrupt: its checksum is wrong";
    return NULL;
}

const char *gunzip(const uint8_t *packed, size_t packed_length, uint8_t **data, size_t *length)
{
    if (packed_length < HEADER_LENGTH + TRAILER_LENGTH)
        return "the archive is truncated: shorter than a gzip header";
    if (packed[0] != 0x1f || packed[1] != 0x8b || packed[2] != 8 || (packed[3] & FLAGS_RESERVED))
        return "the archive is no gzip file";
    size_t end = packed_length - TRAILER_LENGTH;
    size_t start = header_skip(packed, end);
    if (!start)
        return "the archive is truncated: its gzip header is cut off";
    uint32_t checksum = little32(packed + end);
    *length = little32(packed + end + 4);
    if (*length == 0 || *length / DEFLATE_RATIO > end - start)
        return "the archive is corrupt or truncated: the size it states is impossible";
    *data = mmap(NULL, *length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (*data == MAP_FAILED)
        return "no memory for the inflated archive";
    const char *problem = inflate(packed + start, end - start, *data, *length, checksum);
    if (problem)
        gunzip_free(*data, *length);
    return problem;
}

void gunzip_free(uint8_t *data, size_t length)
{
    munmap(data, length);
}
