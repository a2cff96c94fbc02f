/* What file systems make of paths and flags, whatever their files are.
 *
 *     struct route route = {.path = path, .length = length};
 *     while (route_next(&route, &name, &name_length)) ...           components that are not empty or "."
 */
#pragma once

#include <string.h>

#include "abi/abi.h"
#include "lib/sys/service.h"

struct route {
    const char *path;
    size_t length, at; /* the next component begins at or behind at */
};

/* False: there is no other component. */
static inline bool route_next(struct route *route, const char **name, size_t *length)
{
    do {
        while (route->at < route->length && route->path[route->at] == '/')
            route->at++;
        *name = route->path + route->at;
        const char *slash = memchr(*name, '/', route->length - route->at);
        *length = slash ? (size_t)(slash - *name) : route->length - route->at;
        route->at += *length;
    } while (*length == 1 && **name == '.');
    return *length > 0;
}

/* Nothing but slashes is left. */
static inline bool route_ended(const struct route *route)
{
    for (size_t at = route->at; at < route->length; at++)
        if (route->path[at] != '/')
            return false;
    return true;
}

static inline bool name_is_parent(const char *name, size_t length)
{
    return length == 2 && name[0] == '.' && name[1] == '.';
}

/* Whether what is there may be opened with these flags (OPEN_*). */
MUST_CHECK int64_t open_check(enum file_type type, uint64_t flags);

/* What names UNLINK: E_IS_DIRECTORY, E_NOT_DIRECTORY. */
#define UNLINK_DIRECTORY 0x1u
MUST_CHECK int64_t unlink_check(enum file_type type, uint64_t flags);

/* A command's second path or target: its in bytes. *text lives until the next command; eight bytes behind it can be read.
 * E_NOT_FOUND: it is empty; E_TOO_LONG. One thread. */
MUST_CHECK int64_t second_read(struct command *command, const char **text);

#define RENAME_NOREPLACE 0x1u /* Linux's numbers */
#define RENAME_EXCHANGE  0x2u

/* ns since 1970 */
int64_t time_now(void);
