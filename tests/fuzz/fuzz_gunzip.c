/* The boot archive's gzip frame: any bytes. As they are, and as what a frame of ours holds whose sizes and checksums are right
 * or nearly so. */
// sources: bootstrap/gunzip.c
// libs: deflate
#include <stdlib.h>
#include <string.h>

#include <libdeflate.h>

#include "bootstrap/gunzip.h"

#define SIZE_MAX_HERE 65536u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool condition)
{
    if (!condition)
        abort();
}

/* From a block that ends where the bytes do. */
static const char *unpack(const uint8_t *packed, size_t size, uint8_t **data, size_t *length)
{
    uint8_t *copy = malloc(size);
    memcpy(copy, packed, size);
    const char *why = gunzip(copy, size, data, length);
    free(copy);
    return why;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t packed[SIZE_MAX_HERE];
    uint8_t *unpacked;
    size_t length;
    if (!unpack(data, size, &unpacked, &length))
        gunzip_free(unpacked, length);
    if (size < 4) /* an empty archive is none */
        return 0;
    struct libdeflate_compressor *compressor = libdeflate_alloc_compressor(1);
    size_t made = libdeflate_gzip_compress(compressor, data + 3, size - 3, packed, sizeof(packed));
    libdeflate_free_compressor(compressor);
    if (!made)
        return 0;
    packed[(data[0] | (size_t)data[1] << 8) % made] ^= data[2];
    const char *why = unpack(packed, made, &unpacked, &length);
    check(data[2] || !why);
    if (why)
        return 0;
    check(length == size - 3 && memcmp(unpacked, data + 3, length) == 0);
    gunzip_free(unpacked, length);
    return 0;
}
