/* Reads the headers of a 64-bit x86 ELF: what must be mapped where. Every field is distrusted.
 *
 *     elf_read(bytes, length, file_length, limit, &elf)      the headers, checked as a whole
 *     for (index = 0; elf_segment(&elf, &index, &segment);)  what to map, in ascending order
 *
 * bytes are the first `length` of the file; the program headers must lie among them (else -E_TOO_LONG with
 * elf->headers_end set: read so much and try again). Nothing is copied: bytes stay the caller's and must stay as they
 * are between elf_read and the last elf_segment.
 *
 * What elf_read promises of every segment: its file part lies inside the file, its memory (page-rounded, moved
 * to `bias` for a position-independent file) below limit, its address is congruent to its offset modulo a page,
 * it is not writable and executable at once, and page-rounded segments ascend without touching a common page.
 *
 * Errors: -E_BAD_FORMAT, -E_ACCESS (writable and executable), -E_TOO_LONG.
 */
#pragma once

#include "lib/base/base.h"

struct elf {
    uint64_t
        entry; /* for position-independent files: from where they are loaded, as all addresses here */
    uint64_t low, high; /* page-rounded span of all segments */
    uint64_t phdr;      /* address of the program headers in memory; 0: in no segment */
    uint32_t phnum, phent;
    uint64_t alignment; /* of the load address of a position-independent file */
    bool position_independent;
    uint64_t interpreter_offset,
        interpreter_length; /* PT_INTERP, its terminator counted; length 0: none */
    uint64_t headers_end;   /* in the file */
    const uint8_t *headers;
};

struct elf_segment {
    uint64_t address;       /* as in the file; not page-aligned */
    uint64_t memory_length; /* > 0 */
    uint64_t offset;
    uint64_t file_length; /* <= memory_length; the rest reads as zero */
    uint32_t protection;  /* PROT_* of abi/abi.h */
};

int elf_read(const void *bytes, size_t length, uint64_t file_length, uint64_t limit,
             struct elf *elf) MUST_CHECK;
/* The next loadable segment at or behind header *index; false: there is none. */
bool elf_segment(const struct elf *elf, uint32_t *index, struct elf_segment *segment);
