/* Paths: see names.h. */
#include "sbin/pcid/names.h"

#include <stdio.h>
#include <string.h>

#include "abi/errors.h"
#include "sbin/pcid/table.h"

static const struct {
    enum node node;
    const char *name;
} function_files[] = {{NODE_INFO, "info"}, {NODE_CONFIG, "config"}, {NODE_DEVICE, "device"}};

void function_name(const struct pci_function *function, char name[NAME_SIZE])
{
    uint32_t where = function->where;

    if (where >> 16)
        snprintf(name, NAME_SIZE, "%04x:%02x:%02x.%x", where >> 16, where >> 8 & 0xff,
                 where >> 3 & 31, where & 7);
    else
        snprintf(name, NAME_SIZE, "%02x:%02x.%x", where >> 8, where >> 3 & 31, where & 7);
}

static bool equals(const char *text, size_t length, const char *name)
{
    return strlen(name) == length && memcmp(text, name, length) == 0;
}

/* The next part of a path, behind its slashes; an empty one at the end. */
static const char *next_part(const char **path, size_t *left, size_t *length)
{
    while (*left && **path == '/')
        ++*path, --*left;
    const char *part = *path;
    while (*left && **path != '/')
        ++*path, --*left;
    *length = (size_t)(*path - part);
    return part;
}

static int64_t find_in_function(uint32_t index, const char **path, size_t *left, uint64_t *cookie)
{
    size_t length;
    const char *part = next_part(path, left, &length);

    if (length == 0 || equals(part, length, ".")) {
        *cookie = cookie_of(NODE_FUNCTION, index);
        return 0;
    }
    for (size_t i = 0; i < ARRAY_SIZE(function_files); i++) {
        if (!equals(part, length, function_files[i].name))
            continue;
        *cookie = cookie_of(function_files[i].node, index);
        next_part(path, left, &length);
        return length ? -E_NOT_DIRECTORY : 0;
    }
    return -E_NOT_FOUND;
}

int64_t find_path(const char *path, size_t left, uint64_t *cookie)
{
    size_t length;
    const char *part = next_part(&path, &left, &length);

    *cookie = cookie_of(NODE_ROOT, 0);
    if (length == 0 || equals(part, length, "."))
        return 0;
    if (equals(part, length, "devices")) {
        *cookie = cookie_of(NODE_DEVICES, 0);
        next_part(&path, &left, &length);
        return length ? -E_NOT_DIRECTORY : 0;
    }
    for (uint32_t index = 0; index < table_count(); index++) {
        char name[NAME_SIZE];

        function_name(&table_at(index)->function, name);
        if (equals(part, length, name))
            return find_in_function(index, &path, &left, cookie);
    }
    return -E_NOT_FOUND;
}

bool entry_at(uint64_t folder, uint64_t position, char name[NAME_SIZE], uint64_t *cookie)
{
    if (position < 2) {
        strcpy(name, position ? ".." : ".");
        *cookie = position ? cookie_of(NODE_ROOT, 0) : folder;
        return true;
    }
    position -= 2;
    if (node_of(folder) == NODE_FUNCTION) {
        if (position >= ARRAY_SIZE(function_files))
            return false;
        strcpy(name, function_files[position].name);
        *cookie = cookie_of(function_files[position].node, index_of(folder));
        return true;
    }
    if (position == 0) {
        strcpy(name, "devices");
        *cookie = cookie_of(NODE_DEVICES, 0);
        return true;
    }
    if (position > table_count())
        return false;
    function_name(&table_at((uint32_t)position - 1)->function, name);
    *cookie = cookie_of(NODE_FUNCTION, (uint32_t)position - 1);
    return true;
}
