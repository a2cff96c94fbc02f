/* What is known of a file, and what is in a directory. See commands.h. */
#include "lib/sys/listing.h"
#include "sbin/fsd.fat32/commands.h"
#include "sbin/fsd.fat32/found.h"

#define STATFS_MAGIC 0x4d44u /* Linux's MSDOS_SUPER_MAGIC */
#define DEVICE_BASE  UINT64_C(0x10000)
#define LISTING_SIZE 32768u
#define NAME_MAX_    255u
#define SECTOR       512u

static union {
    struct abi_stat stat;
    struct abi_statfs statfs;
    uint8_t listing[LISTING_SIZE] ALIGNED(8);
} answer;

static uint32_t mode_of(const struct fat_node *node, uint32_t attributes)
{
    return fat_is_directory(node) || !(attributes & FAT_READ_ONLY) ? 0755 : 0555;
}

static int64_t stat_fill(struct fat_node *node, struct abi_stat *filled)
{
    struct fat_stat stat;
    int64_t result = fat_stat(node, &stat);
    if (result < 0)
        return result;
    *filled = (struct abi_stat){
        .size = fat_is_directory(node) ? (uint64_t)stat.allocated * fat_cluster_size(volume)
                                       : stat.size,
        .inode = stat.inode,
        .device = DEVICE_BASE + volume_number,
        .blocks = (uint64_t)stat.allocated * fat_cluster_size(volume) / SECTOR,
        .type = node_type(node),
        .mode = mode_of(node, stat.attributes),
        .links = fat_is_unlinked(node) ? 0 : 1,
        .block_size = PAGE_SIZE,
        .accessed = stat.accessed,
        .modified = stat.modified,
        .changed = stat.modified,
    };
    return 0;
}

/* A regular file's is filled in once, and stays until the file changes. */
static int64_t file_state(struct file *file, const struct abi_stat **stat)
{
    int64_t result = file->stated ? 0 : stat_fill(file->node, &file->stat);
    file->stated = result >= 0;
    *stat = &file->stat;
    return result;
}

static int64_t stat_slowly(struct command *command)
{
    struct fat_node *node;
    struct open *open;
    const struct abi_stat *stat = &answer.stat;
    if (!volume)
        return -E_IO;
    int64_t result = command_node(command, &node, &open);
    if (result < 0)
        return result;
    struct file *file = NULL;
    if (!fat_is_directory(node)) {
        volume_make_file_room();
        file = file_of(node);
    }
    if (file && !open)
        found_enter_file(command->path, command->path_length, file);
    result = file ? file_state(file, &stat) : stat_fill(node, &answer.stat);
    fat_put(node);
    return result < 0 ? result : command_answer(command, stat, sizeof(*stat));
}

int64_t attributes_stat(void *context, struct command *command)
{
    const struct open *open = (struct open *)(uintptr_t)command->message.cookie;
    struct file *file =
        command->message.file ? open->file : found_file(command->path, command->path_length);
    (void)context;
    if (unlikely(!file || !file->stated))
        return stat_slowly(command);
    file->used = true;
    return command_answer(command, &file->stat, sizeof(file->stat));
}

static int64_t inode_of(struct fat_node *node, uint64_t *inode)
{
    struct fat_stat stat;
    int64_t result = node ? fat_stat(node, &stat) : -E_NOT_FOUND;
    *inode = result < 0 ? 1 : stat.inode;
    return result;
}

/* "." and "..", and behind them the library's positions from 2 on. */
static int64_t list(struct fat_node *node, struct listing *listing)
{
    static struct fat_entry entry;
    struct fat_node *above = fat_parent(node);
    uint64_t itself, parent;
    bool room = true;
    int64_t result = inode_of(node, &itself);
    sys_ignore(inode_of(above, &parent));
    fat_put(above);
    if (result >= 0 && listing->position == 0)
        room = listing_add(listing, ".", itself, FILE_DIRECTORY);
    if (result >= 0 && room && listing->position == 1)
        room = listing_add(listing, "..", parent, FILE_DIRECTORY);
    while (result >= 0 && room) {
        if (listing->position - 2 > UINT32_MAX)
            return 0;
        result = fat_list(node, (uint32_t)(listing->position - 2), &entry);
        if (result <= 0)
            return result;
        listing->position = entry.next + UINT64_C(1);
        room = listing_add(listing, entry.name, entry.inode,
                           entry.attributes & FAT_DIRECTORY ? FILE_DIRECTORY : FILE_REGULAR);
    }
    return result;
}

int64_t attributes_list(void *context, struct command *command)
{
    (void)context;
    struct fat_node *node;
    struct open *open;
    int64_t result = command_node(command, &node, &open);
    if (result < 0)
        return result;
    struct listing listing = listing_begin(command, answer.listing, sizeof(answer.listing));
    result = fat_is_directory(node) ? list(node, &listing) : -E_NOT_DIRECTORY;
    fat_put(node);
    return result < 0 ? result : listing_end(&listing);
}

/* A change of what `node` is known by. */
static int64_t change(struct command *command,
                      int64_t (*apply)(struct fat_node *node, const uint64_t *args))
{
    struct fat_node *node;
    struct open *open;
    int64_t result = command_node(command, &node, &open);
    if (result < 0)
        return result;
    struct file *file = file_known(node);
    result = volume_read_only() ? -E_READ_ONLY : apply(node, command->message.args);
    if (file && !fat_is_directory(node))
        file->stated = false;
    volume_changed();
    fat_put(node);
    return result;
}

static int64_t mode_set(struct fat_node *node, const uint64_t *args)
{
    if (fat_is_directory(node))
        return 0;
    return fat_set_attributes(node, FAT_READ_ONLY, args[0] & 0222 ? 0 : FAT_READ_ONLY);
}

/* Everything is root's, and cannot be anybody else's. */
static int64_t owner_set(struct fat_node *node, const uint64_t *args)
{
    (void)node;
    bool user = (uint32_t)args[0] == 0 || (uint32_t)args[0] == UINT32_MAX;
    bool group = (uint32_t)args[1] == 0 || (uint32_t)args[1] == UINT32_MAX;
    return user && group ? 0 : -E_PERMISSION;
}

static int64_t times_set(struct fat_node *node, const uint64_t *args)
{
    return fat_set_times(node, INT64_MIN, args[0] == UINT64_MAX ? INT64_MIN : (int64_t)args[0],
                         args[1] == UINT64_MAX ? INT64_MIN : (int64_t)args[1]);
}

int64_t attributes_chmod(void *context, struct command *command)
{
    (void)context;
    return change(command, mode_set);
}

int64_t attributes_chown(void *context, struct command *command)
{
    (void)context;
    return change(command, owner_set);
}

int64_t attributes_utime(void *context, struct command *command)
{
    (void)context;
    return change(command, times_set);
}

int64_t attributes_readlink(void *context, struct command *command)
{
    (void)context;
    struct fat_node *node;
    struct open *open;
    int64_t result = command_node(command, &node, &open);
    if (result >= 0)
        fat_put(node);
    return result < 0 ? result : -E_INVALID;
}

int64_t attributes_statfs(void *context, struct command *command)
{
    (void)context;
    struct fat_statfs statfs;
    struct fat_node *node;
    struct open *open;
    int64_t result = command_node(command, &node, &open);
    if (result < 0)
        return result;
    fat_put(node);
    result = fat_statfs(volume, &statfs);
    if (result < 0)
        return result;
    answer.statfs = (struct abi_statfs){
        .type = STATFS_MAGIC,
        .block_size = statfs.cluster_size,
        .blocks = statfs.clusters,
        .free = statfs.clusters_free,
        .available = statfs.clusters_free,
        .name_max = NAME_MAX_,
    };
    return command_answer(command, &answer.statfs, sizeof(answer.statfs));
}
