/* diskd: the names of disk:// (abi/disk.h).
 *
 *     driver  --DISK_ATTACH, its port-->  link.c: two threads for each driver, which ask it for its disks
 *     client  --OPEN disk:///vd0/p1-->    names.c --> link.c --> the driver: its own file for that range is the answer
 *
 * So data never passes through here, nor does it matter to who has a file whether diskd lives. What it knows it is told again
 * when it comes back: drivers show themselves, and until those have that did before (expected.h), opens of unknown names wait.
 *
 * One thread serves; it asks nobody, and waits for links_lock only as long as names take to be looked up.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/list.h"
#include "lib/sys/clock.h"
#include "lib/sys/error.h"
#include "lib/sys/held.h"
#include "lib/sys/listing.h"
#include "lib/sys/startup.h"
#include "sbin/diskd/expected.h"
#include "sbin/diskd/names.h"

#define PATH_BYTES  512u
#define DRIVER_PATH "driver/"

/* What was opened here: a folder, the list, or a driver's way to show itself. */
struct opened {
    struct list link; /* of `lists`, or alone */
    uint64_t id;
    char path[PATH_BYTES];
};

static handle_t port;
static struct list lists = LIST_INIT(lists); /* links_lock: files of disk:///disks */
static struct list waiting =
    LIST_INIT(waiting); /* links_lock: opens of names that may still come; more: the path */

/* --- Names --- */

/* Terminated; false: too long. */
static bool path_copy(const struct command *command, char path[PATH_BYTES])
{
    if (command->path_length >= PATH_BYTES)
        return false;
    memcpy(path, command->path, command->path_length);
    path[command->path_length] = '\0';
    return !memchr(path, '\0', command->path_length);
}

/* The path a command is about: its own, or its file's. */
static int64_t path_of(const struct command *command, char path[PATH_BYTES])
{
    if (!command->message.file)
        return path_copy(command, path) ? 0 : -E_NOT_FOUND;
    strcpy(path, ((const struct opened *)(uintptr_t)command->message.cookie)->path);
    return 0;
}

/* --- Opening --- */

/* With links_lock held; 0: the driver answers. */
static int64_t part_open(const struct name *name, uint32_t flags, uint64_t token)
{
    char path[DISK_NAME_MAX + 48];
    if (name->part->number)
        snprintf(path, sizeof(path), "%s/%llu+%llu", name->disk->unit,
                 (unsigned long long)name->part->first, (unsigned long long)name->part->count);
    else
        snprintf(path, sizeof(path), "%s", name->disk->unit);
    return link_open(name->link, path, flags, token);
}

/* With links_lock held: whoever waits for a name that is there now, or will not come any more. */
static void waiting_retry(void)
{
    list_for_each (struct held, held, &waiting, link) {
        struct name name = name_find((const char *)held->more);
        int64_t result = -E_NOT_FOUND;
        if (name.node == NODE_PART || name.node == NODE_TAG)
            result = part_open(&name, (uint32_t)held->argument, held->token);
        else if (expected_any())
            continue;
        if (result < 0)
            held_return(held, result, 0, NULL, 0);
        else {
            list_remove(&held->link);
            free(held);
        }
    }
}

static void disks_changed(void)
{
    waiting_retry();
    list_for_each (struct opened, opened, &lists, link)
        sys_ignore(sys_file_ready(port, opened->id, SIGNAL_READABLE, 0));
}

static int64_t opened_create(struct command *command, const char *path, bool is_list)
{
    struct opened *opened = calloc(1, sizeof(*opened));
    if (!opened)
        return -E_NO_MEMORY;
    opened->id = command->message.file;
    strcpy(opened->path, path);
    list_init(&opened->link);
    if (is_list)
        list_append(&lists, &opened->link);
    command->reply.values[0] = (uintptr_t)opened;
    command->reply.values[1] = is_list ? HANDLE_FLAG_SEEKABLE : 0;
    command->reply.values[2] = is_list ? SIGNAL_READABLE : 0;
    return 0;
}

static int64_t wait_for_name(const struct command *command, const char *path)
{
    struct held *held = held_add(&waiting, command, strlen(path) + 1);
    if (!held)
        return -E_NO_MEMORY;
    held->argument = command->message.args[0];
    strcpy((char *)held->more, path);
    return COMMAND_HELD;
}

static bool names_driver(const char *path, const char **function)
{
    path += strspn(path, "/");
    *function = path + strlen(DRIVER_PATH);
    return strncmp(path, DRIVER_PATH, strlen(DRIVER_PATH)) == 0 && **function &&
           strlen(*function) <= FUNCTION_MAX && !strpbrk(*function, "/ \n");
}

/* With links_lock held. */
static int64_t open_locked(struct command *command, const char *path)
{
    uint32_t flags = (uint32_t)command->message.args[0];
    struct name name = name_find(path);
    const char *function;
    if (names_driver(path, &function))
        return opened_create(command, path, false);
    if (name.node == NODE_NONE)
        return expected_any() ? wait_for_name(command, path) : -E_NOT_FOUND;
    if (name.node == NODE_PART || name.node == NODE_TAG) {
        if (flags & OPEN_CREATE && flags & OPEN_EXCLUSIVE)
            return -E_EXISTS;
        if (flags & OPEN_DIRECTORY)
            return -E_NOT_DIRECTORY;
        int64_t result = part_open(&name, flags, command->message.token);
        return result < 0 ? result : COMMAND_HELD;
    }
    if (flags & OPEN_WRITE)
        return name.node == NODE_DISKS ? -E_READ_ONLY : -E_IS_DIRECTORY;
    if (name.node == NODE_DISKS && flags & OPEN_DIRECTORY)
        return -E_NOT_DIRECTORY;
    return opened_create(command, path, name.node == NODE_DISKS);
}

static int64_t disk_open(void *context, struct command *command)
{
    char path[PATH_BYTES];
    (void)context;
    if (!path_copy(command, path))
        return -E_NOT_FOUND;
    pthread_mutex_lock(&links_lock);
    int64_t result = open_locked(command, path);
    pthread_mutex_unlock(&links_lock);
    return result;
}

static void disk_closed(void *context, uint64_t cookie)
{
    struct opened *opened = (struct opened *)(uintptr_t)cookie;
    (void)context;
    pthread_mutex_lock(&links_lock);
    list_remove(&opened->link);
    pthread_mutex_unlock(&links_lock);
    free(opened);
}

static void disk_cancelled(void *context, uint64_t token)
{
    (void)context;
    pthread_mutex_lock(&links_lock);
    struct held *held = held_find(&waiting, token);
    if (held)
        held_return(held, -E_INTERRUPTED, 0, NULL, 0);
    pthread_mutex_unlock(&links_lock);
}

/* --- Looking --- */

static struct abi_stat stat_of(const struct name *name, bool link)
{
    static const enum file_type types[] = {
        [NODE_ROOT] = FILE_DIRECTORY, [NODE_TAGS] = FILE_DIRECTORY, [NODE_DISKS] = FILE_REGULAR,
        [NODE_TAG] = FILE_BLOCK,      [NODE_PART] = FILE_BLOCK,
    };
    struct abi_stat stat = {.type = link ? FILE_LINK : types[name->node],
                            .inode = name->node,
                            .device = 1,
                            .mode = 0444,
                            .links = 1,
                            .block_size = PAGE_SIZE};
    if (stat.type == FILE_DIRECTORY)
        stat.mode = 0555;
    if (stat.type != FILE_BLOCK)
        return stat;
    stat.size = name->part->count * name->disk->geometry.sector;
    stat.blocks = stat.size / 512;
    stat.mode = name->disk->geometry.flags & DISK_IS_READ_ONLY ? 0400 : 0600;
    stat.inode = name->part->first + NODE_PART + 1;
    stat.rdev = 1;
    return stat;
}

static int64_t name_stat(struct command *command, const struct name *name)
{
    static struct abi_stat stat;
    bool nofollow = !command->message.file && command->message.args[0] & OPEN_NOFOLLOW;
    stat = stat_of(name, nofollow && name->node == NODE_TAG);
    return command_answer(command, &stat, sizeof(stat));
}

static int64_t name_readlink(struct command *command, const struct name *name)
{
    static char target[NAME_MAX_ + 3];
    if (name->node != NODE_TAG)
        return -E_INVALID;
    strcpy(target, "../");
    name_text(name, target + 3);
    command->reply.data = (uintptr_t)target;
    command->reply.data_length = MIN(strlen(target), command->message.out_length);
    command->reply.values[0] = command->reply.data_length;
    return 0;
}

static enum file_type entry_type(const struct name *entry)
{
    return entry->node == NODE_TAG ? FILE_LINK : (enum file_type)stat_of(entry, false).type;
}

static int64_t name_list(struct command *command, const struct name *folder)
{
    static uint8_t buffer[8192];
    char text[ENTRY_MAX];
    struct name entry;
    if (folder->node != NODE_ROOT && folder->node != NODE_TAGS)
        return -E_NOT_DIRECTORY;
    struct listing listing = listing_begin(command, buffer, sizeof(buffer));
    while (name_entry(folder, listing.position, text, &entry)) {
        if (!text[0])
            listing.position++;
        else if (!listing_add(&listing, text, listing.position + 2, entry_type(&entry)))
            break;
    }
    return listing_end(&listing);
}

/* disk:///disks, as it is now: a read from the beginning takes back that there is something new. */
static int64_t name_read(struct command *command, const struct name *name)
{
    static char *text; /* until the next */
    size_t length = 0;
    if (name->node != NODE_DISKS)
        return -E_IS_DIRECTORY;
    free(text);
    FILE *out = open_memstream(&text, &length);
    if (!out)
        return -E_NO_MEMORY;
    names_list(out);
    if (fclose(out))
        return -E_NO_MEMORY;
    if (command->message.file && command->message.args[0] == 0)
        sys_ignore(sys_file_ready(port, command->message.file, 0, SIGNAL_READABLE));
    return command_answer_part(command, text, length);
}

/* --- Drivers --- */

static int64_t disk_attach(void *context, struct command *command)
{
    char path[PATH_BYTES];
    const char *function;
    int64_t result = path_of(command, path);
    (void)context;
    if (result < 0)
        return result;
    if (!command->message.file || !names_driver(path, &function))
        return -E_NO_CALL;
    if (command->message.handle_count != 1)
        return -E_INVALID;
    return links_attach(function, command->message.handles[0]);
}

static int64_t name_rescan(struct command *command, const struct name *name)
{
    int64_t result =
        name->node == NODE_PART ? link_rescan(name->link, command->message.token) : -E_INVALID;
    return result < 0 ? result : COMMAND_HELD;
}

static int64_t (*const of_names[SERVICE_OPERATIONS])(struct command *command,
                                                     const struct name *name) = {
    [OP_READ] = name_read,
    [OP_STAT] = name_stat,
    [OP_LIST] = name_list,
    [OP_READLINK] = name_readlink,
    [SERVICE_INDEX(DISK_RESCAN)] = name_rescan,
};

/* What is asked of a name that is there. */
static int64_t disk_name(void *context, struct command *command)
{
    char path[PATH_BYTES];
    int64_t result = path_of(command, path);
    (void)context;
    if (result < 0)
        return result;
    pthread_mutex_lock(&links_lock);
    struct name name = name_find(path);
    result = name.node == NODE_NONE ? -E_NOT_FOUND
                                    : of_names[SERVICE_INDEX(command->message.op)](command, &name);
    pthread_mutex_unlock(&links_lock);
    return result;
}

/* --- The service --- */

static int64_t disk_deadline(void *context)
{
    (void)context;
    pthread_mutex_lock(&links_lock);
    int64_t deadline = list_empty(&waiting) ? DEADLINE_NEVER : expected_deadline();
    pthread_mutex_unlock(&links_lock);
    return deadline;
}

static void disk_expired(void *context)
{
    (void)context;
    pthread_mutex_lock(&links_lock);
    waiting_retry();
    pthread_mutex_unlock(&links_lock);
}

static command_handler *const operations[SERVICE_OPERATIONS] = {
    [OP_OPEN] = disk_open,
    [OP_READ] = disk_name,
    [OP_STAT] = disk_name,
    [OP_LIST] = disk_name,
    [OP_READLINK] = disk_name,
    [SERVICE_INDEX(DISK_ATTACH)] = disk_attach,
    [SERVICE_INDEX(DISK_RESCAN)] = disk_name,
};

int main(void)
{
    struct service service = {
        .port = port = startup_require("port:disk"),
        .operations = operations,
        .cancelled = disk_cancelled,
        .closed = disk_closed,
        .deadline = disk_deadline,
        .expired = disk_expired,
    };
    expected_start(port);
    links_start(port, disks_changed);
    int64_t result = service_run(&service, 1);
    fprintf(stderr, "cannot serve: %s\n", error_text(result));
    return 1;
}
