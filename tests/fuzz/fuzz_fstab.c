// sources: sbin/vfsd/fstab.c lib/sys/conf.c lib/base/mounts.c lib/base/uri.c
/* /etc/fstab and options as anybody may write them; a mount table and links as a service that lies would. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/mounts.h"
#include "sbin/vfsd/fstab.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

static void options(const char *text)
{
    static const char *const known[] = {"size", "mode", NULL};
    size_t length;
    uint64_t size;
    const char *found = option_find(text, "size", &length);
    if (found && (found < text || found + length > text + strlen(text)))
        abort();
    if (found && option_size(found, length, UINT64_C(1) << 30, &size) && found[length - 1] == '%' &&
        size > UINT64_C(1) << 30)
        abort();
    char shown[16];
    if (options_shown(text, true, shown, sizeof(shown)) &&
        memchr(shown, '\0', sizeof(shown)) == NULL)
        abort();
    found = option_unknown(text, known, &length);
    if (found && found + length > text + strlen(text))
        abort();
}

static void fstab(const uint8_t *data, size_t length)
{
    char *text = malloc(length + 1);
    memcpy(text, data, length);
    text[length] = '\0';
    struct conf_reader reader = {.text = text, .length = length};
    struct fstab_line line;
    int found;
    while ((found = fstab_next(&reader, &line)) != 0)
        if (found > 0)
            options(line.options);
    free(text);
}

/* The input is a table; its own bytes are the paths that are looked for. */
static void table(const uint8_t *data, size_t length)
{
    const struct fs_table *copy = aligned_alloc(16, (length + 15) / 16 * 16 + 16);
    char path[4096 + 8] = "/", out[8192];
    size_t path_length = 1 + length % 64, rest, out_length;
    memcpy((void *)(uintptr_t)copy, data, length);
    memcpy(path + 1, data, length < path_length ? length : path_length);
    if (mounts_valid(copy, length)) {
        const struct fs_mount *mount = mounts_find(copy, path, path_length, &rest);
        if (rest > path_length || mount >= copy->mounts + copy->count)
            abort();
        (void)mounts_below(copy, path, path_length);
        if (!mounts_link(copy, mount, (const char *)data, length < 4096 ? length : 4096, out,
                         sizeof(out), &out_length) &&
            out_length > sizeof(out))
            abort();
    }
    free((void *)(uintptr_t)copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    if (!length)
        return 0;
    fstab(data, length);
    table(data, length);
    return 0;
}
