/* See mounts.h. */
#include "lib/base/mounts.h"

#include "abi/errors.h"
#include "lib/base/string.h"
#include "lib/base/uri.h"

static bool text_valid(uint32_t offset, uint32_t length, size_t size)
{
    return offset <= size && length <= size - offset;
}

bool mounts_valid(const struct fs_table *table, size_t length)
{
    if (length < sizeof(*table) || table->magic != FS_TABLE_MAGIC || table->count == 0 ||
        table->count > (length - sizeof(*table)) / sizeof(table->mounts[0]))
        return false;
    for (uint32_t i = 0; i < table->count; i++) {
        const struct fs_mount *mount = &table->mounts[i];

        if (!text_valid(mount->point, mount->point_length, length) ||
            !text_valid(mount->target, mount->target_length, length) ||
            mount->target_length > FS_TARGET_MAX || mount->target < sizeof(uint64_t))
            return false;
    }

    for (uint32_t list = 0; list < FS_TABLE_LISTS; list++)
        if (table->first[list] >= table->count)
            return false;

    const struct fs_mount *root = &table->mounts[table->count - 1];

    return root->point_length == 0 && root->mask == 0 && root->head == 0;
}

bool mounts_below(const struct fs_table *table, const char *path, size_t length)
{
    for (uint32_t i = 0; i < table->count; i++) {
        const struct fs_mount *mount = &table->mounts[i];
        const char *point = mounts_text(table, mount->point);

        if (mount->point_length >= length - 1 && memcmp(point, path + 1, length - 1) == 0 &&
            (length == 1 || mount->point_length == length - 1 || point[length - 1] == '/'))
            return true;
    }
    return false;
}

struct output {
    char *text;
    size_t room, length;
};

static int append(struct output *output, const char *text, size_t length)
{
    if (length > output->room - output->length)
        return -E_TOO_LONG;
    memcpy(output->text + output->length, text, length);
    output->length += length;
    return 0;
}

static size_t slashes(const char *text, size_t length)
{
    size_t count = 0;

    while (count < length && text[count] == '/')
        count++;
    return count;
}

/* A path of the service in place of the one it was asked for: behind its target it goes on as behind the point. */
static int from_service(const struct fs_table *table, const struct fs_mount *mount,
                        const char *text, size_t length, struct output *output)
{
    struct uri target;
    int error = uri_split(mounts_text(table, mount->target), mount->target_length, &target);

    if (error)
        return error;

    size_t skip = slashes(target.rest, target.rest_length), head = target.rest_length - skip;

    if (head > length || memcmp(text, target.rest + skip, head) != 0 ||
        (head && head < length && text[head] != '/'))
        return -E_NOT_FOUND;
    if ((error = append(output, "/", 1)) ||
        (error = append(output, mounts_text(table, mount->point), mount->point_length)) ||
        (error = append(output, "/", 1)))
        return error;
    return append(output, text + head, length - head);
}

int mounts_link(const struct fs_table *table, const struct fs_mount *mount, const char *text,
                size_t length, char *out, size_t room, size_t *out_length)
{
    struct output output = {out, room, 0};
    size_t scheme = uri_scheme_length(text, length);
    bool whole = (length && text[0] == '/') ||
                 (scheme && length - scheme >= 3 && memcmp(text + scheme, "://", 3) == 0);
    int error =
        whole ? append(&output, text, length) : from_service(table, mount, text, length, &output);

    *out_length = output.length;
    return error;
}
