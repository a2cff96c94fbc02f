/* Looks up the startup block at STARTUP_ADDRESS. */
#include "lib/sys/startup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sys/syscall.h"

static const struct abi_startup *startup_block(void)
{
    return (const struct abi_startup *)STARTUP_ADDRESS;
}

handle_t startup_handle_next(const char *prefix, uint32_t *index, const char **rest)
{
    const struct abi_startup *startup = startup_block();
    size_t length = strlen(prefix);
    if (startup->magic != STARTUP_MAGIC)
        return HANDLE_NONE;
    while (*index < startup->handle_count) {
        const struct abi_startup_handle *entry = &startup->handles[(*index)++];
        if (strncmp(entry->name, prefix, length) == 0) {
            if (rest)
                *rest = entry->name + length;
            return entry->handle;
        }
    }
    return HANDLE_NONE;
}

handle_t startup_handle(const char *name)
{
    uint32_t index = 0;
    const char *rest;
    handle_t handle;
    while ((handle = startup_handle_next(name, &index, &rest)) != HANDLE_NONE)
        if (*rest == '\0')
            return handle;
    return HANDLE_NONE;
}

handle_t startup_require(const char *name)
{
    handle_t handle = startup_handle(name);
    if (handle == HANDLE_NONE) {
        fprintf(stderr, "was not given the handle %s\n", name);
        exit(2);
    }
    return handle;
}
