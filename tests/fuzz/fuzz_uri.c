// sources: lib/base/uri.c
/* The input is a working directory, a zero byte and a path. What comes out must be canonical. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/uri.h"

#define ROOM 256u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

static void check(bool condition)
{
    if (!condition)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    const uint8_t *end = memchr(data, 0, length);
    char out[ROOM], again[ROOM], posix[ROOM];
    size_t out_length, again_length;
    unsigned flags;
    struct uri uri;

    if (!end)
        return 0;
    /* A copy without anything behind it: reading on is found. */
    size_t path_length = length - (size_t)(end + 1 - data);
    char *path = malloc(path_length ? path_length : 1);
    memcpy(path, end + 1, path_length);
    if (!uri_resolve((const char *)data, path, path_length, out, sizeof(out), &out_length,
                     &flags)) {
        check(out[out_length] == '\0' && strlen(out) == out_length);
        check(uri_split(out, out_length, &uri) == 0);
        check(!strstr(uri.rest, "/../") && !strstr(uri.rest, "/./") && !strstr(uri.rest, "//"));
        check(uri.rest_length <= 1 || uri.rest[uri.rest_length - 1] != '/');
        check(uri_resolve("fs:///", out, out_length, again, sizeof(again), &again_length, &flags) ==
              0);
        check(again_length == out_length && memcmp(again, out, out_length) == 0);
        check(uri_basename(out, out_length) <= out_length);
        if (!uri_posix(out, out_length, posix, sizeof(posix), &again_length))
            check(posix[0] == '/' && strlen(posix) == again_length);
    }
    free(path);
    return 0;
}
