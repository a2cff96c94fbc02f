// sources: lib/base/elf.c
/* The ELF reader: what it makes of a good file, and each way a bad one is refused. */
#include "lib/base/elf.h"

#include "abi/abi.h"
#include "abi/errors.h"
#include "tests/host/test.h"

#define LIMIT   UINT64_C(0x7ffec0000000)
#define HEADERS 5u

struct file {
    uint8_t magic[4], class, data, version, abi, padding[8];
    uint16_t type, machine;
    uint32_t version2;
    uint64_t entry, phoff, shoff;
    uint32_t flags;
    uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
    struct {
        uint32_t type, flags;
        uint64_t offset, vaddr, paddr, filesz, memsz, align;
    } headers[HEADERS];
};

enum { LOAD = 1, INTERP = 3, NOTE = 4, R = 4, W = 2, X = 1 };

/* Text with the headers in it, data with a zero tail, a note, an interpreter's name. */
static struct file good(void)
{
    struct file file = {
        .magic = {0x7f, 'E', 'L', 'F'},
        .class = 2,
        .data = 1,
        .version = 1,
        .type = 2,
        .machine = 62,
        .entry = 0x401000,
        .phoff = 64,
        .phentsize = 56,
        .phnum = HEADERS,
        .headers =
            {
                {NOTE, R, 0, 0, 0, 0, 0, 0},
                {LOAD, R | X, 0, 0x400000, 0, 0x1800, 0x1800, 0x1000},
                {INTERP, R, 0x1100, 0x401100, 0, 20, 20, 1},
                {LOAD, R | W, 0x1f00, 0x402f00, 0, 0x80, 0x3000, 0x1000},
                {LOAD, R, 0, 0x500000, 0, 0, 0, 0},
            },
    };
    return file;
}

#define FILE_LENGTH UINT64_C(0x2000)

static struct elf elf;

static int read_file(const struct file *file)
{
    return elf_read(file, sizeof(*file), FILE_LENGTH, LIMIT, &elf);
}

TEST(good_file)
{
    struct file file = good();
    struct elf_segment segment;
    uint32_t index = 0;

    CHECK_EQUAL(read_file(&file), 0);
    CHECK_EQUAL(elf.entry, 0x401000);
    CHECK_EQUAL(elf.low, 0x400000);
    CHECK_EQUAL(elf.high, 0x406000);
    CHECK_EQUAL(elf.phdr, 0x400040);
    CHECK_EQUAL(elf.phnum, HEADERS);
    CHECK_EQUAL(elf.phent, 56);
    CHECK(!elf.position_independent);
    CHECK_EQUAL(elf.interpreter_offset, 0x1100);
    CHECK_EQUAL(elf.interpreter_length, 20);

    CHECK(elf_segment(&elf, &index, &segment));
    CHECK_EQUAL(segment.address, 0x400000);
    CHECK_EQUAL(segment.file_length, 0x1800);
    CHECK_EQUAL(segment.protection, PROT_READ_ | PROT_EXECUTE_);
    CHECK(elf_segment(&elf, &index, &segment));
    CHECK_EQUAL(segment.address, 0x402f00);
    CHECK_EQUAL(segment.offset, 0x1f00);
    CHECK_EQUAL(segment.memory_length, 0x3000);
    CHECK_EQUAL(segment.protection, PROT_READ_ | PROT_WRITE_);
    CHECK(!elf_segment(&elf, &index, &segment)); /* the empty one is none */
    CHECK(!elf_segment(&elf, &index, &segment));
}

TEST(position_independent_file)
{
    struct file file = good();

    file.type = 3;
    file.headers[1].vaddr = 0;
    file.headers[1].align = 0x200000;
    file.entry = 0x1000;
    CHECK_EQUAL(read_file(&file), 0);
    CHECK(elf.position_independent);
    CHECK_EQUAL(elf.low, 0);
    CHECK_EQUAL(elf.alignment, 0x200000);
    file.type = 2; /* nobody maps a program over address 0 */
    CHECK_EQUAL(read_file(&file), -E_BAD_FORMAT);
}

TEST(headers_behind_what_was_read)
{
    struct file file = good();

    CHECK_EQUAL(elf_read(&file, 300, FILE_LENGTH, LIMIT, &elf), -E_TOO_LONG);
    CHECK_EQUAL(elf.headers_end, 64 + HEADERS * 56);
    CHECK_EQUAL(elf_read(&file, 63, FILE_LENGTH, LIMIT, &elf), -E_BAD_FORMAT);
    CHECK_EQUAL(elf_read(&file, sizeof(file), 63, LIMIT, &elf), -E_BAD_FORMAT);
    CHECK_EQUAL(elf_read(&file, sizeof(file), 100, LIMIT, &elf), -E_BAD_FORMAT);
}

TEST(headers_in_no_segment)
{
    struct file file = good();

    file.headers[1].offset = 0x1000;
    file.headers[1].filesz = 0x800;
    CHECK_EQUAL(read_file(&file), 0);
    CHECK_EQUAL(elf.phdr, 0);
}

TEST(wrong_kinds_of_file)
{
    struct file file;

#define REFUSED(change) \
    file = good();      \
    change;             \
    CHECK_EQUAL(read_file(&file), -E_BAD_FORMAT)
    REFUSED(file.magic[0] = 0);
    REFUSED(file.class = 1);
    REFUSED(file.data = 2);
    REFUSED(file.machine = 3);
    REFUSED(file.type = 1);
    REFUSED(file.type = 4);
    REFUSED(file.phentsize = 32);
    REFUSED(file.phnum = 0);
    REFUSED(file.phnum = 2000);
    REFUSED(file.phoff = FILE_LENGTH);
    REFUSED(file.phoff = UINT64_MAX - 8);
    REFUSED(file.entry = LIMIT);
    REFUSED(file.headers[1].type = file.headers[3].type = NOTE);
}

TEST(wrong_segments)
{
    struct file file;

    REFUSED(file.headers[3].filesz = 0x3001);            /* more than its memory */
    REFUSED(file.headers[3].offset = 0x2f00);            /* behind the end */
    REFUSED(file.headers[3].offset = UINT64_MAX - 0xff); /* wraps */
    REFUSED(file.headers[3].filesz = file.headers[3].memsz = UINT64_MAX);
    REFUSED(file.headers[3].vaddr = 0x402f01); /* not congruent */
    REFUSED(file.headers[3].vaddr = LIMIT + 0xf00);
    REFUSED(file.headers[3].memsz = LIMIT);
    REFUSED(file.headers[3].memsz = UINT64_MAX - 0x1000);
    REFUSED(file.headers[3].align = 0x1800);
    REFUSED(file.headers[3].vaddr = 0x401f00); /* a page of the one before */
    REFUSED(file.headers[3].vaddr = 0x300f00); /* descends */
    REFUSED(file.headers[2].filesz = 1);
    REFUSED(file.headers[2].filesz = 5000);
    REFUSED(file.headers[2].offset = UINT64_MAX);
}

TEST(writable_and_executable)
{
    struct file file = good();

    file.headers[3].flags = R | W | X;
    CHECK_EQUAL(read_file(&file), -E_ACCESS);
}

/* Whatever is in the headers, what is accepted keeps the promises of elf.h. */
TEST(random_headers)
{
    static const uint64_t values[] = {
        0,        1,        0x40,       0xfff, 0x1000,         0x1800,           0x2000,
        0x400000, 0x402f00, UINT64_MAX, LIMIT, LIMIT - 0x1000, UINT64_C(1) << 63};
    uint64_t random = 3;
    int accepted = 0;

    for (int round = 0; round < 200000; round++) {
        struct file file = good();
        struct elf_segment segment;
        uint32_t index = 0;
        uint64_t last = 0;

        for (uint64_t changes = test_random(&random) % 4; changes > 0; changes--) {
            uint64_t *words = &file.headers[test_random(&random) % HEADERS].offset;
            words[test_random(&random) % 6] =
                values[test_random(&random) % (sizeof(values) / sizeof(values[0]))];
        }
        if (read_file(&file))
            continue;
        accepted++;
        while (elf_segment(&elf, &index, &segment)) {
            CHECK(segment.file_length <= segment.memory_length);
            CHECK(segment.offset <= FILE_LENGTH &&
                  segment.file_length <= FILE_LENGTH - segment.offset);
            CHECK(segment.address < LIMIT && segment.memory_length <= LIMIT - segment.address);
            CHECK_EQUAL(segment.address % PAGE_SIZE, segment.offset % PAGE_SIZE);
            CHECK(ALIGN_DOWN(segment.address, (uint64_t)PAGE_SIZE) >= last);
            last = ALIGN_UP(segment.address + segment.memory_length, (uint64_t)PAGE_SIZE);
        }
        CHECK_EQUAL(last, elf.high);
    }
    CHECK(accepted > 1000);
}
