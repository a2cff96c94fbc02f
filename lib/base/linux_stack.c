/* See linux_stack.h. From low to high: argc, argv[], 0, envp[], 0, auxv pairs, padding, 16 random bytes,
 * platform, the strings, the name, 8 zero bytes. */
#include "lib/base/linux_stack.h"

#include "abi/abi.h"
#include "lib/base/string.h"

enum auxiliary {
    AT_NULL = 0,
    AT_PHDR = 3,
    AT_PHENT = 4,
    AT_PHNUM = 5,
    AT_PAGESZ = 6,
    AT_BASE = 7,
    AT_FLAGS = 8,
    AT_ENTRY = 9,
    AT_UID = 11,
    AT_EUID = 12,
    AT_GID = 13,
    AT_EGID = 14,
    AT_PLATFORM = 15,
    AT_HWCAP = 16,
    AT_CLKTCK = 17,
    AT_SECURE = 23,
    AT_RANDOM = 25,
    AT_HWCAP2 = 26,
    AT_EXECFN = 31,
    AT_MINSIGSTKSZ = 51,
};

#define AUXILIARY_MAX 20u /* pairs, AT_NULL among them */
#define CLOCK_TICKS   100u
#define END_ZEROS     8u

static const char platform[] = "x86_64";

static size_t strings_part(const struct linux_start *start)
{
    return sizeof(start->random) + sizeof(platform) + start->strings_length + strlen(start->name) +
           1 + END_ZEROS;
}

size_t linux_stack_length(const struct linux_start *start)
{
    size_t words = 1 + start->argument_count + 1 + start->environment_count + 1 + AUXILIARY_MAX * 2;

    return ALIGN_UP(words * 8, 16) + ALIGN_UP(strings_part(start), 16);
}

struct writer {
    uint64_t *at;
};

static void put(struct writer *writer, uint64_t word)
{
    *writer->at++ = word;
}

static void put_pair(struct writer *writer, enum auxiliary type, uint64_t value)
{
    put(writer, type);
    put(writer, value);
}

/* Pointers to `count` terminated strings that lie from `address` on; returns the address behind them. */
static uint64_t put_pointers(struct writer *writer, uint64_t count, const char **strings,
                             uint64_t address)
{
    while (count--) {
        size_t length = strlen(*strings) + 1;

        put(writer, address);
        address += length;
        *strings += length;
    }
    put(writer, 0);
    return address;
}

uint64_t linux_stack_build(const struct linux_start *start, uint64_t top, void *image)
{
    size_t length = linux_stack_length(start), name_length = strlen(start->name) + 1;
    uint64_t base = top - length;
    char *bytes = image;
    size_t at = length - strings_part(start);
    uint64_t random = base + at, platform_address = random + sizeof(start->random);
    uint64_t strings = platform_address + sizeof(platform), name = strings + start->strings_length;
    struct writer writer = {image};
    const char *next = start->strings;

    memset(image, 0, length);
    memcpy(bytes + at, start->random, sizeof(start->random));
    memcpy(bytes + (platform_address - base), platform, sizeof(platform));
    memcpy(bytes + (strings - base), start->strings, start->strings_length);
    memcpy(bytes + (name - base), start->name, name_length);

    put(&writer, start->argument_count);
    uint64_t address = put_pointers(&writer, start->argument_count, &next, strings);
    put_pointers(&writer, start->environment_count, &next, address);
    put_pair(&writer, AT_PHDR, start->phdr);
    put_pair(&writer, AT_PHENT, start->phent);
    put_pair(&writer, AT_PHNUM, start->phnum);
    put_pair(&writer, AT_PAGESZ, PAGE_SIZE);
    put_pair(&writer, AT_BASE, start->interpreter_base);
    put_pair(&writer, AT_FLAGS, 0);
    put_pair(&writer, AT_ENTRY, start->entry);
    put_pair(&writer, AT_UID, start->uid);
    put_pair(&writer, AT_EUID, start->euid);
    put_pair(&writer, AT_GID, start->gid);
    put_pair(&writer, AT_EGID, start->egid);
    put_pair(&writer, AT_SECURE, start->secure);
    put_pair(&writer, AT_HWCAP, start->hwcap);
    put_pair(&writer, AT_HWCAP2, start->hwcap2);
    put_pair(&writer, AT_CLKTCK, CLOCK_TICKS);
    put_pair(&writer, AT_PLATFORM, platform_address);
    put_pair(&writer, AT_RANDOM, random);
    put_pair(&writer, AT_EXECFN, name);
    if (start->signal_stack_minimum)
        put_pair(&writer, AT_MINSIGSTKSZ, start->signal_stack_minimum);
    put_pair(&writer, AT_NULL, 0);
    return base;
}
