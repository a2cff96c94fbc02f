// sources: lib/base/elf.c
/* The input is a file, of which the first bytes have been read: as many as its first byte says, times 64. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "abi/abi.h"
#include "abi/errors.h"
#include "lib/base/elf.h"

#define LIMIT UINT64_C(0x7ffec0000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

static void check(bool condition)
{
    if (!condition)
        abort();
}

static void check_segments(const struct elf *elf, uint64_t file_length)
{
    struct elf_segment segment;
    uint32_t index = 0;
    uint64_t last = 0;

    while (elf_segment(elf, &index, &segment)) {
        check(segment.memory_length && segment.file_length <= segment.memory_length);
        check(segment.offset <= file_length && segment.file_length <= file_length - segment.offset);
        check(segment.address < LIMIT && segment.memory_length <= LIMIT - segment.address);
        check(segment.address % PAGE_SIZE == segment.offset % PAGE_SIZE);
        check(ALIGN_DOWN(segment.address, (uint64_t)PAGE_SIZE) >= last);
        check((segment.protection & (PROT_WRITE_ | PROT_EXECUTE_)) !=
              (PROT_WRITE_ | PROT_EXECUTE_));
        last = ALIGN_UP(segment.address + segment.memory_length, (uint64_t)PAGE_SIZE);
    }
    check(last == elf->high && elf->low < elf->high);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    struct elf elf;

    if (length < 1)
        return 0;
    size_t file_length = length - 1, head = (size_t)data[0] * 64;
    if (head > file_length)
        head = file_length;
    uint8_t *bytes = malloc(head ? head : 1); /* what was not read cannot be looked at */
    memcpy(bytes, data + 1, head);
    int error = elf_read(bytes, head, file_length, LIMIT, &elf);
    if (error == -E_TOO_LONG)
        check(elf.headers_end > head && elf.headers_end <= file_length);
    if (!error)
        check_segments(&elf, file_length);
    free(bytes);
    return 0;
}
