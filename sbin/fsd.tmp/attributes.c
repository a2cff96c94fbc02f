/* What is known of an inode, and what is in a directory. See commands.h. */
#include "lib/sys/listing.h"
#include "sbin/fsd.tmp/commands.h"
#include "sbin/fsd.tmp/data.h"

#define STATFS_MAGIC 0x01021994u /* Linux's TMPFS_MAGIC */
#define LISTING_SIZE 32768u
#define SECTOR       512u

static union {
    struct abi_stat stat;
    struct abi_statfs statfs;
    uint8_t listing[LISTING_SIZE] ALIGNED(8);
} answer;

static uint64_t device_of(const struct inode *inode)
{
    return UINT64_C(0x100) + inode_volume(inode)->id;
}

int64_t attributes_stat(void *context, struct command *command)
{
    (void)context;
    bool itself = command->message.args[0] & OPEN_NOFOLLOW;
    struct inode *inode;
    struct open *open;
    int64_t result = command_inode(command, itself ? 0 : WALK_FOLLOW, &inode, &open);
    if (result < 0)
        return result;
    bool folder = inode->type == FILE_DIRECTORY;
    answer.stat = (struct abi_stat){
        .size = inode->size,
        .inode = arena_ref(inode),
        .device = device_of(inode),
        .blocks = inode->pages * (PAGE_SIZE / SECTOR),
        .type = inode->type,
        .mode = inode->mode,
        .links = folder && inode->links ? 2 + inode->directory.folders : inode->links,
        .block_size = PAGE_SIZE,
        .uid = inode->uid,
        .gid = inode->gid,
        .accessed = inode->accessed,
        .modified = inode->modified,
        .changed = inode->changed,
    };
    return command_answer(command, &answer.stat, sizeof(answer.stat));
}

static bool entry_add(struct listing *listing, const struct slot *slot)
{
    const struct entry *entry = slot_entry(slot);
    const struct inode *inode = arena_at(entry->inode);
    listing->position = slot->position;
    return listing_add(listing, entry->name, entry->inode, inode->type);
}

int64_t attributes_list(void *context, struct command *command)
{
    (void)context;
    struct inode *inode;
    struct open *open;
    int64_t result = command_inode(command, WALK_FOLLOW, &inode, &open);
    if (result < 0)
        return result;
    if (inode->type != FILE_DIRECTORY)
        return -E_NOT_DIRECTORY;
    if (!inode->links)
        return -E_NOT_FOUND;
    struct listing listing = listing_begin(command, answer.listing, sizeof(answer.listing));
    const struct slot *slot;
    bool room = true;
    if (listing.position == 0)
        room = listing_add(&listing, ".", arena_ref(inode), FILE_DIRECTORY);
    if (room && listing.position == 1)
        room = listing_add(&listing, "..", inode->directory.parent, FILE_DIRECTORY);
    while (room && (slot = directory_next(inode, listing.position)))
        room = entry_add(&listing, slot);
    return listing_end(&listing);
}

static void changed(struct inode *inode)
{
    arena_set(&inode->changed, time_now());
}

int64_t attributes_chmod(void *context, struct command *command)
{
    (void)context;
    struct inode *inode;
    struct open *open;
    int64_t result = command_inode(command, WALK_FOLLOW, &inode, &open);
    if (result < 0)
        return result;
    arena_set(&inode->mode, (uint32_t)command->message.args[0] & 07777);
    changed(inode);
    return 0;
}

int64_t attributes_chown(void *context, struct command *command)
{
    (void)context;
    const uint64_t *args = command->message.args;
    struct inode *inode;
    struct open *open;
    int64_t result =
        command_inode(command, args[2] & OPEN_NOFOLLOW ? 0 : WALK_FOLLOW, &inode, &open);
    if (result < 0)
        return result;
    if ((uint32_t)args[0] != UINT32_MAX)
        arena_set(&inode->uid, (uint32_t)args[0]);
    if ((uint32_t)args[1] != UINT32_MAX)
        arena_set(&inode->gid, (uint32_t)args[1]);
    if (inode->type == FILE_REGULAR)
        arena_set(&inode->mode, inode->mode & ~06000u); /* set-user-id was the other's to give */
    changed(inode);
    return 0;
}

int64_t attributes_utime(void *context, struct command *command)
{
    (void)context;
    const uint64_t *args = command->message.args;
    struct inode *inode;
    struct open *open;
    int64_t result =
        command_inode(command, args[2] & OPEN_NOFOLLOW ? 0 : WALK_FOLLOW, &inode, &open);
    if (result < 0)
        return result;
    if (args[0] != UINT64_MAX)
        arena_set(&inode->accessed, (int64_t)args[0]);
    if (args[1] != UINT64_MAX)
        arena_set(&inode->modified, (int64_t)args[1]);
    changed(inode);
    return 0;
}

int64_t attributes_readlink(void *context, struct command *command)
{
    (void)context;
    struct inode *inode;
    struct open *open;
    int64_t result = command_inode(command, 0, &inode, &open);
    if (result < 0)
        return result;
    if (inode->type != FILE_LINK)
        return -E_INVALID;
    command->reply.data = (uintptr_t)arena_at(inode->target);
    command->reply.data_length = MIN(inode->size, command->message.out_length);
    command->reply.values[0] = command->reply.data_length;
    return 0;
}

int64_t attributes_statfs(void *context, struct command *command)
{
    (void)context;
    struct inode *inode;
    struct open *open;
    int64_t result = command_inode(command, WALK_FOLLOW, &inode, &open);
    if (result < 0)
        return result;
    const struct volume *volume = inode_volume(inode);
    uint64_t free = volume->limit - MIN(volume->used, volume->limit);
    answer.statfs = (struct abi_statfs){
        .type = STATFS_MAGIC,
        .block_size = PAGE_SIZE,
        .blocks = volume->limit,
        .free = free,
        .available = free,
        .files = volume->inodes_limit,
        .files_free = volume->inodes_limit - MIN(volume->inodes, volume->inodes_limit),
        .name_max = NAME_LENGTH_MAX,
    };
    return command_answer(command, &answer.statfs, sizeof(answer.statfs));
}
