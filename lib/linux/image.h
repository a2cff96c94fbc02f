/* Program files on their way into memory.
 *
 *     image_open(path, &image)            opened, checked, its headers read, its bytes as a memory object
 *     image_map(&image, bias)             its segments at their addresses + bias
 *     image_close(&image)
 *
 * 0 or -errno. Nothing of the process is changed before image_map. */
#pragma once

#include "lib/base/elf.h"
#include "lib/linux/path.h"

#define IMAGE_HEAD \
    4096u /* bytes every file is judged by; longer ELF headers are read when they are needed */

struct image {
    handle_t memory;
    uint64_t offset; /* of the file in memory */
    uint64_t size;
    uint8_t *head; /* the first head_length bytes; on the heap; elf points into it */
    size_t head_length;
    struct elf elf;
};

int64_t image_open(struct path *path, struct image *image) MUST_CHECK;
/* Reads the file as ELF: image->elf. */
int64_t image_elf(struct image *image) MUST_CHECK;
int64_t image_map(const struct image *image, uint64_t bias) MUST_CHECK;
void image_close(struct image *image);
