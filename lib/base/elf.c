/* See elf.h. Layouts: System V ABI, "Object Files" and "Program Loading". */
#include "lib/base/elf.h"

#include "abi/abi.h"
#include "abi/errors.h"
#include "lib/base/string.h"

#define ELF_MACHINE_X86_64  62
#define ELF_TYPE_EXECUTABLE 2
#define ELF_TYPE_DYNAMIC    3
#define ELF_HEADERS_MAX     65536u /* bytes of program headers, as Linux has it */
#define INTERPRETER_MAX     4096u

#define PT_LOAD   1u
#define PT_INTERP 3u
#define PT_PHDR   6u

#define PF_X 1u
#define PF_W 2u
#define PF_R 4u

struct elf_header {
    uint8_t magic[4], class, data, version, abi, padding[8];
    uint16_t type, machine;
    uint32_t version2;
    uint64_t entry, phoff, shoff;
    uint32_t flags;
    uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};

struct program_header {
    uint32_t type, flags;
    uint64_t offset, vaddr, paddr, filesz, memsz, align;
};

static struct program_header header_at(const struct elf *elf, uint32_t index)
{
    struct program_header header; /* the file need not be aligned */

    memcpy(&header, elf->headers + (size_t)index * sizeof(header), sizeof(header));
    return header;
}

static int check_load(struct elf *elf, const struct program_header *header, uint64_t file_length,
                      uint64_t limit, uint64_t phoff)
{
    uint64_t start = ALIGN_DOWN(header->vaddr, PAGE_SIZE);
    uint64_t size = elf->phnum * (uint64_t)elf->phent;

    if (header->filesz > header->memsz || header->filesz > file_length ||
        header->offset > file_length - header->filesz)
        return -E_BAD_FORMAT;
    if (header->vaddr % PAGE_SIZE != header->offset % PAGE_SIZE)
        return -E_BAD_FORMAT;
    if (header->vaddr >= limit || header->memsz > limit - header->vaddr)
        return -E_BAD_FORMAT;
    if ((header->align & (header->align - 1)) || header->align > limit)
        return -E_BAD_FORMAT;
    if ((header->flags & PF_W) && (header->flags & PF_X))
        return -E_ACCESS;
    if (elf->high && start < elf->high)
        return -E_BAD_FORMAT;
    if (!elf->high)
        elf->low = start;
    elf->high = ALIGN_UP(header->vaddr + header->memsz, PAGE_SIZE);
    elf->alignment = MAX(elf->alignment, header->align);
    if (phoff >= header->offset && header->filesz >= size &&
        phoff - header->offset <= header->filesz - size)
        elf->phdr = header->vaddr + (phoff - header->offset);
    return 0;
}

int elf_read(const void *bytes, size_t length, uint64_t file_length, uint64_t limit,
             struct elf *elf)
{
    struct elf_header header;
    int error;

    *elf = (struct elf){.alignment = PAGE_SIZE};
    limit = ALIGN_DOWN(limit, PAGE_SIZE);
    length = MIN(length, file_length);
    if (length < sizeof(header))
        return -E_BAD_FORMAT;
    memcpy(&header, bytes, sizeof(header));
    if (memcmp(header.magic, "\177ELF", 4) != 0 || header.class != 2 || header.data != 1 ||
        header.machine != ELF_MACHINE_X86_64)
        return -E_BAD_FORMAT;
    if (header.type != ELF_TYPE_EXECUTABLE && header.type != ELF_TYPE_DYNAMIC)
        return -E_BAD_FORMAT;
    uint64_t size = header.phnum * (uint64_t)sizeof(struct program_header);
    if (header.phentsize != sizeof(struct program_header) || !size || size > ELF_HEADERS_MAX ||
        header.phoff > file_length || size > file_length - header.phoff)
        return -E_BAD_FORMAT;
    elf->headers_end = header.phoff + size;
    if (elf->headers_end > length)
        return -E_TOO_LONG;

    elf->headers = (const uint8_t *)bytes + header.phoff;
    elf->phnum = header.phnum;
    elf->phent = header.phentsize;
    elf->entry = header.entry;
    elf->position_independent = header.type == ELF_TYPE_DYNAMIC;
    for (uint32_t i = 0; i < elf->phnum; i++) {
        struct program_header program = header_at(elf, i);

        if (program.type == PT_LOAD && program.memsz) {
            if ((error = check_load(elf, &program, file_length, limit, header.phoff)))
                return error;
        } else if (program.type == PT_INTERP) {
            if (program.filesz < 2 || program.filesz > INTERPRETER_MAX ||
                program.filesz > file_length || program.offset > file_length - program.filesz)
                return -E_BAD_FORMAT;
            elf->interpreter_offset = program.offset;
            elf->interpreter_length = program.filesz;
        }
    }
    if (!elf->high || elf->entry >= limit || (!elf->position_independent && elf->low < PAGE_SIZE))
        return -E_BAD_FORMAT;
    return 0;
}

bool elf_segment(const struct elf *elf, uint32_t *index, struct elf_segment *segment)
{
    while (*index < elf->phnum) {
        struct program_header header = header_at(elf, (*index)++);

        if (header.type != PT_LOAD || !header.memsz)
            continue;
        *segment = (struct elf_segment){
            .address = header.vaddr,
            .memory_length = header.memsz,
            .offset = header.offset,
            .file_length = header.filesz,
            .protection = (header.flags & PF_R ? PROT_READ_ : 0) |
                          (header.flags & PF_W ? PROT_WRITE_ : 0) |
                          (header.flags & PF_X ? PROT_EXECUTE_ : 0),
        };
        return true;
    }
    return false;
}
