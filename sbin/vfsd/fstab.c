/* See fstab.h. */
#include "sbin/vfsd/fstab.h"

#include <stdio.h>
#include <string.h>

#include "abi/errors.h"

#define WORDS 8

int fstab_next(struct conf_reader *reader, struct fstab_line *line)
{
    char *words[WORDS];
    int count = conf_next(reader, words, WORDS);
    if (count <= 0)
        return count;
    if (count < 3) {
        reader->problem = "source, point and type are wanted";
        return -E_BAD_FORMAT;
    }
    *line = (struct fstab_line){words[0], words[1], words[2], count > 3 ? words[3] : ""};
    if (line->point[0] == '/')
        return 1;
    reader->problem = "the point is no absolute path";
    return -E_BAD_FORMAT;
}

/* The option at text: its length, up to the comma or the end. */
static size_t option_length(const char *text)
{
    return strcspn(text, ",");
}

static bool option_is(const char *option, size_t length, const char *name)
{
    size_t size = strlen(name);
    return length >= size && memcmp(option, name, size) == 0 &&
           (length == size || option[size] == '=');
}

const char *option_find(const char *options, const char *name, size_t *length)
{
    while (*options) {
        size_t size = option_length(options), head = strlen(name);
        if (option_is(options, size, name)) {
            head += size > head;
            *length = size - head;
            return options + head;
        }
        options += size + (options[size] == ',');
    }
    return NULL;
}

const char *option_unknown(const char *options, const char *const *names, size_t *length)
{
    while (*options) {
        const char *const *name = names;
        *length = option_length(options);
        while (*name && !option_is(options, *length, *name))
            name++;
        if (!*name && *length)
            return options;
        options += *length + (options[*length] == ',');
    }
    return NULL;
}

bool options_shown(const char *options, bool read_only, char *out, size_t room)
{
    static const char *const dropped[] = {"ro",      "rw",     "defaults", "loop",
                                          "remount", "noauto", "each",     NULL};
    size_t used = (size_t)snprintf(out, room, "%s", read_only ? "ro" : "rw"), length;
    while (used < room && (options = option_unknown(options, dropped, &length))) {
        used += (size_t)snprintf(out + used, room - used, ",%.*s", (int)length, options);
        options += length + (options[length] == ',');
    }
    return used < room;
}

bool option_size(const char *text, size_t length, uint64_t whole, uint64_t *size)
{
    static const char units[] = "kmg";
    uint64_t value = 0;
    size_t at = 0;
    for (; at < length && text[at] >= '0' && text[at] <= '9'; at++)
        if (__builtin_mul_overflow(value, UINT64_C(10), &value) ||
            __builtin_add_overflow(value, (uint64_t)(text[at] - '0'), &value))
            return false;
    if (at == 0 || at + 1 < length)
        return false;
    *size = value;
    if (at == length)
        return true;
    if (text[at] == '%') {
        *size = whole / 100 * value;
        return value <= 100;
    }
    const char *unit = memchr(units, text[at] | 0x20, sizeof(units) - 1);
    unsigned shift = unit ? 10 * (unsigned)(unit - units + 1) : 0;
    *size = value << shift;
    return unit && *size >> shift == value;
}
