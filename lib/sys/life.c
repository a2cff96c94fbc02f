#include "lib/sys/life.h"

#include <string.h>

#include "lib/sys/conf.h"

bool life_read(const char *path, size_t length, char name[LIFE_NAME_SIZE], uint64_t *life)
{
    char number[24] = "0x";
    const char *slash = memchr(path, '/', length);
    size_t name_length = slash ? (size_t)(slash - path) : 0;
    size_t rest = length - name_length - 1;
    if (!name_length || name_length >= LIFE_NAME_SIZE || rest > 16)
        return false;
    memcpy(name, path, name_length);
    name[name_length] = '\0';
    memcpy(number + 2, slash + 1, rest);
    return conf_number(number, UINT64_MAX, life);
}
