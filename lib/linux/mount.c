/* mount and umount: commands to mounts://, which only who may change the tree has in its namespace. */
#include "abi/fs.h"
#include "lib/base/string.h"
#include "lib/linux/answer.h"
#include "lib/linux/calls.h"
#include "lib/linux/heap.h"
#include "lib/linux/path.h"
#include "lib/linux/process.h"
#include "lib/linux/user.h"

#define MOUNTS   "mounts:///"
#define TREE     "fs://"
#define TEXT_MAX 4096u

enum { /* mount(2), umount(2) */
       MS_RDONLY = 0x1,
       MS_NOSUID = 0x2,
       MS_NODEV = 0x4,
       MS_REMOUNT = 0x20,
       MS_NOATIME = 0x400,
       MS_NODIRATIME = 0x800,
       MS_BIND = 0x1000,
       MS_SILENT = 0x8000,
       MS_RELATIME = 0x200000,
       MS_MAGIC = 0xffff0000,
       MS_MAGIC_VALUE = 0xc0ed0000,
       MS_KNOWN = MS_NOSUID | MS_NODEV | MS_NOATIME | MS_NODIRATIME | MS_BIND | MS_SILENT |
                  MS_RELATIME, /* what is asked for by them is so, or is advice */
       MNT_FORCE = 0x1,
       MNT_DETACH = 0x2,
       UMOUNT_NOFOLLOW = 0x8,
};

struct texts {
    char *text; /* TEXT_MAX for each of four */
    size_t length;
};

static int64_t text_add(struct texts *texts, const char *text, size_t length)
{
    memcpy(texts->text + texts->length, text, length);
    texts->text[texts->length + length] = '\0';
    texts->length += length + 1;
    return 0;
}

/* A string of the program's; address 0: an empty one. */
static int64_t text_read(struct texts *texts, uint64_t address)
{
    char *to = texts->text + texts->length;

    if (!address)
        return text_add(texts, "", 0);
    if (!user_range(address, 1))
        return -LINUX_EFAULT;
    int64_t length = user_copy_string(to, (const char *)address, TEXT_MAX);
    if (length < 0)
        return -LINUX_EFAULT;
    if (length == TEXT_MAX)
        return -LINUX_ENAMETOOLONG;
    to[length] = '\0';
    texts->length += (size_t)length + 1;
    return 0;
}

static int64_t point_text(struct texts *texts, const struct path *path)
{
    if (memcmp(path->uri, TREE, sizeof(TREE) - 1) != 0)
        return -LINUX_EINVAL;
    if (path->length > TEXT_MAX)
        return -LINUX_ENAMETOOLONG;
    return text_add(texts, path->uri + sizeof(TREE) - 1, path->length - (sizeof(TREE) - 1));
}

/* A directory's path of fs://, without links. */
static int64_t point_add(struct thread *thread, struct texts *texts, uint64_t address)
{
    struct path path;
    union path_answer out;
    int64_t result = path_read(thread, (uint64_t)LINUX_AT_FDCWD, address, &path);

    if (result >= 0)
        result = path_stat(&path, true, &out);
    if (result < 0)
        return result;
    return out.stat.type == FILE_DIRECTORY ? point_text(texts, &path) : -LINUX_ENOTDIR;
}

static int64_t mounts_command(uint32_t op, uint64_t flags, const char *text, size_t length)
{
    struct abi_path_call call = {
        .uri = (uint64_t)MOUNTS,
        .uri_length = sizeof(MOUNTS) - 1,
        .command = {.op = op,
                    .args = {flags, 0, 0, command_number()},
                    .in = (uint64_t)text,
                    .in_length = length},
    };
    int64_t result = path_call(HANDLE_SELF, &call);

    if (result == -E_NO_PROTOCOL)
        return -LINUX_EPERM;
    return result == -E_NOT_SUPPORTED ? -LINUX_ENODEV : MIN(answer(result), INT64_C(0));
}

static int64_t mount_texts(struct thread *thread, struct texts *texts, uint64_t source,
                           uint64_t point, uint64_t type, bool bind, uint64_t data)
{
    int64_t result = text_read(texts, source);

    if (result >= 0)
        result = point_add(thread, texts, point);
    if (result >= 0)
        result = bind ? text_add(texts, "bind", 4) : text_read(texts, type);
    return result < 0 ? result : text_read(texts, data);
}

int64_t linux_mount(struct thread *thread, uint64_t source, uint64_t point, uint64_t type,
                    uint64_t flags, uint64_t data)
{
    struct texts texts = {.text = pages_alloc(4 * (TEXT_MAX + 1))};

    if (!texts.text)
        return -LINUX_ENOMEM;
    if ((flags & MS_MAGIC) == MS_MAGIC_VALUE)
        flags &= ~(uint64_t)MS_MAGIC;
    int64_t result = -LINUX_EINVAL;
    if (!(flags & ~(uint64_t)(MS_KNOWN | MS_RDONLY | MS_REMOUNT)))
        result = mount_texts(thread, &texts, source, point, type, flags & MS_BIND, data);
    if (result >= 0)
        result = mounts_command(MOUNTS_MOUNT,
                                (flags & MS_RDONLY ? MOUNT_READ_ONLY : 0) |
                                    (flags & MS_REMOUNT ? MOUNT_REMOUNT : 0),
                                texts.text, texts.length);
    pages_free(texts.text, 4 * (TEXT_MAX + 1));
    return result;
}

/* What is mounted at the point need not answer for itself: then it is to go above all. */
int64_t linux_umount2(struct thread *thread, uint64_t point, uint64_t flags)
{
    char text[TEXT_MAX + 1];
    struct texts texts = {.text = text};
    struct path path;
    union path_answer out;

    if (flags & ~(uint64_t)(MNT_FORCE | MNT_DETACH | UMOUNT_NOFOLLOW))
        return -LINUX_EINVAL;
    int64_t result = path_read(thread, (uint64_t)LINUX_AT_FDCWD, point, &path);
    if (result < 0)
        return result;
    int64_t looked = path_stat(&path, true, &out);
    result = point_text(&texts, &path);
    if (result < 0)
        return looked < 0 ? looked : result;
    result = mounts_command(MOUNTS_UMOUNT,
                            (flags & MNT_DETACH ? UMOUNT_LAZY : 0) |
                                (flags & MNT_FORCE ? UMOUNT_FORCE : 0),
                            text, texts.length - 1);
    return looked < 0 && result == -LINUX_EINVAL ? looked : result;
}
