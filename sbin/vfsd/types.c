/* See types.h. */
#include "sbin/vfsd/types.h"

#include <stdlib.h>
#include <string.h>

#include "lib/sys/conf.h"
#include "lib/sys/error.h"
#include "lib/sys/file.h"

#define DRIVERS     "initfs:///etc/drivers"
#define DRIVERS_MAX 65536u
#define WORDS       4

/* Calls found with each, until it answers true. */
static bool types_each(bool (*found)(const char *type, void *context), void *context)
{
    char *text, *words[WORDS];
    size_t length;
    int count;
    bool stopped = false;
    int64_t result = file_load(HANDLE_SELF, DRIVERS, DRIVERS_MAX, &text, &length);
    if (result < 0) {
        fprintf(stderr, "%s: %s\n", DRIVERS, error_text(result));
        return false;
    }
    struct conf_reader reader = {.text = text, .length = length};
    while (!stopped && (count = conf_next(&reader, words, WORDS)) != 0)
        stopped = count > 2 && strcmp(words[0], "volumes") == 0 && found(words[1], context);
    free(text);
    return stopped;
}

static bool is_type(const char *type, void *context)
{
    return strcmp(type, context) == 0;
}

static bool write_type(const char *type, void *context)
{
    fprintf(context, "\t%s\n", type);
    return false;
}

bool type_is_served(const char *type)
{
    return types_each(is_type, (void *)(uintptr_t)type);
}

void types_write(FILE *stream)
{
    fputs("nodev\ttmpfs\nnodev\tbind\n", stream);
    types_each(write_type, stream);
}
