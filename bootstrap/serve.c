/* The handlers of initfs://. The tree never changes, so they share nothing that needs a lock; a file's cookie
 * is its node's inode number. Data is returned straight from the files' memory. */
#include "bootstrap/serve.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sys/error.h"
#include "lib/sys/listing.h"

#define STATFS_MAGIC 0x858458f6u /* Linux's RAMFS_MAGIC */
#define DEVICE       1u
#define LISTING_SIZE 16384u

/* Replies must live until the handler's thread returns them. */
static _Thread_local union {
    struct abi_stat stat;
    struct abi_statfs statfs;
    uint8_t listing[LISTING_SIZE];
    char link[2 * PATH_LENGTH_MAX];
} answer;

/* The name leads to another protocol: its URI goes into the caller's window. */
static int64_t link_answer(struct command *command, char *link)
{
    size_t length = strlen(link);
    if (length >= sizeof(answer.link) || length > command->message.out_length) {
        free(link);
        return -E_TOO_LONG;
    }
    memcpy(answer.link, link, length);
    free(link);
    command->reply.data = (uintptr_t)answer.link;
    command->reply.data_length = length;
    command->reply.values[0] = length;
    return -E_LINK;
}

static __attribute__((noinline)) int64_t
command_walk(const struct tree *tree, struct command *command, uint32_t flags, struct node **node)
{
    struct walk walk;
    int64_t result = tree_walk(tree, command->path, command->path_length, flags, &walk);
    if (result == -E_LINK)
        return link_answer(command, walk.link);
    *node = walk.node;
    return result;
}

/* What the command is about: the open file, or what its path names. */
static int64_t command_node(const struct tree *tree, struct command *command, uint32_t flags,
                            struct node **node)
{
    if (command->message.file == 0)
        return command_walk(tree, command, flags, node);
    uint64_t inode = command->message.cookie;
    if (inode == 0 || inode > tree->count)
        return -E_BAD_HANDLE;
    *node = tree->nodes[inode - 1];
    return 0;
}

static int64_t initfs_open(void *context, struct command *command)
{
    uint64_t flags = command->message.args[0];
    struct node *node;
    int64_t result = command_walk(context, command, flags & OPEN_NOFOLLOW ? 0 : WALK_FOLLOW, &node);
    if (result == -E_NOT_FOUND && (flags & OPEN_CREATE))
        return -E_READ_ONLY;
    if (result < 0)
        return result;
    if ((flags & OPEN_CREATE) && (flags & OPEN_EXCLUSIVE))
        return -E_EXISTS;
    if ((flags & OPEN_DIRECTORY) && node->type != FILE_DIRECTORY)
        return -E_NOT_DIRECTORY;
    if (flags & (OPEN_WRITE | OPEN_TRUNCATE))
        return node->type == FILE_DIRECTORY ? -E_IS_DIRECTORY : -E_READ_ONLY;
    command->reply.values[0] = node->inode;
    command->reply.values[1] = HANDLE_FLAG_SEEKABLE;
    command->reply.values[2] = SIGNAL_READABLE;
    return 0;
}

static int64_t initfs_read(void *context, struct command *command)
{
    struct node *node;
    int64_t result = command_node(context, command, WALK_FOLLOW, &node);
    if (result < 0)
        return result;
    if (node->type != FILE_REGULAR)
        return node->type == FILE_DIRECTORY ? -E_IS_DIRECTORY : -E_INVALID;
    return command_answer_part(command, node->data, node->size);
}

static int64_t initfs_stat(void *context, struct command *command)
{
    struct node *node;
    bool itself = command->message.args[0] & OPEN_NOFOLLOW;
    int64_t result = command_node(context, command, itself ? 0 : WALK_FOLLOW, &node);
    if (result < 0)
        return result;
    answer.stat = (struct abi_stat){
        .size = node->size,
        .inode = node->inode,
        .device = DEVICE,
        .blocks = ALIGN_UP(node->size, PAGE_SIZE) / 512,
        .type = node->type,
        .mode = node->mode,
        .links = 1,
        .block_size = PAGE_SIZE,
        .uid = node->uid,
        .gid = node->gid,
        .accessed = node->modified,
        .modified = node->modified,
        .changed = node->modified,
    };
    if (node->type == FILE_DIRECTORY) {
        answer.stat.links = 2;
        for (uint32_t i = 0; i < node->child_count; i++)
            answer.stat.links += node->children[i]->type == FILE_DIRECTORY;
    }
    return command_answer(command, &answer.stat, sizeof(answer.stat));
}

/* Positions 0 and 1 are "." and "..", children follow. */
static bool entry_add(struct listing *listing, const struct node *directory)
{
    uint64_t position = listing->position;
    if (position == 0)
        return listing_add(listing, ".", directory->inode, FILE_DIRECTORY);
    if (position == 1)
        return listing_add(listing, "..", directory->parent->inode, FILE_DIRECTORY);
    const struct node *node = directory->children[position - 2];
    return listing_add(listing, node->name, node->inode, node->type);
}

static int64_t initfs_list(void *context, struct command *command)
{
    struct node *node;
    int64_t result = command_node(context, command, WALK_FOLLOW, &node);
    if (result < 0)
        return result;
    if (node->type != FILE_DIRECTORY)
        return -E_NOT_DIRECTORY;
    struct listing listing = listing_begin(command, answer.listing, sizeof(answer.listing));
    while (listing.position < node->child_count + UINT64_C(2) && entry_add(&listing, node))
        ;
    return listing_end(&listing);
}

static int64_t initfs_map(void *context, struct command *command)
{
    const uint64_t *args = command->message.args;
    struct node *node;
    int64_t result = command_node(context, command, WALK_FOLLOW, &node);
    if (result < 0)
        return result;
    if (node->type != FILE_REGULAR)
        return node->type == FILE_DIRECTORY ? -E_IS_DIRECTORY : -E_INVALID;
    if (args[2] & PROT_WRITE_)
        return -E_READ_ONLY;
    if (!IS_ALIGNED(args[0], PAGE_SIZE))
        return -E_INVALID;
    if (args[0] >= node->size)
        return -E_RANGE;
    result = sys_handle_duplicate(node->memory,
                                  RIGHT_READ | RIGHT_EXECUTE | RIGHT_DUPLICATE | RIGHT_TRANSFER);
    command->reply.values[0] = args[0];
    command->reply.values[1] = MIN(args[1], node->size - args[0]);
    return command_answer_handle(command, result);
}

static int64_t initfs_readlink(void *context, struct command *command)
{
    struct node *node;
    int64_t result = command_node(context, command, 0, &node);
    if (result < 0)
        return result;
    if (node->type != FILE_LINK)
        return -E_INVALID;
    command->reply.data = (uintptr_t)node->target;
    command->reply.data_length = MIN(node->size, command->message.out_length);
    command->reply.values[0] = command->reply.data_length;
    return 0;
}

static int64_t initfs_statfs(void *context, struct command *command)
{
    const struct tree *tree = context;
    answer.statfs = (struct abi_statfs){
        .type = STATFS_MAGIC,
        .block_size = PAGE_SIZE,
        .blocks = tree->bytes / PAGE_SIZE,
        .files = tree->count,
        .name_max = PATH_LENGTH_MAX,
    };
    return command_answer(command, &answer.statfs, sizeof(answer.statfs));
}

static int64_t initfs_sync(void *context, struct command *command)
{
    (void)context;
    (void)command;
    return 0;
}

/* What would make a name: E_EXISTS where there is one, else it cannot be made. */
static int64_t initfs_make(void *context, struct command *command)
{
    struct node *node;
    int64_t result = command_node(context, command, 0, &node);
    return result == 0 ? -E_EXISTS : result == -E_NOT_FOUND ? -E_READ_ONLY : result;
}

/* What would change something that must be there. */
static int64_t initfs_change(void *context, struct command *command)
{
    struct node *node;
    int64_t result = command_node(context, command, 0, &node);
    return result == 0 ? -E_READ_ONLY : result;
}

static command_handler *const operations[SERVICE_OPERATIONS] = {
    [OP_OPEN] = initfs_open,     [OP_READ] = initfs_read,    [OP_WRITE] = initfs_change,
    [OP_STAT] = initfs_stat,     [OP_LIST] = initfs_list,    [OP_TRUNCATE] = initfs_change,
    [OP_SYNC] = initfs_sync,     [OP_MAP] = initfs_map,      [OP_READLINK] = initfs_readlink,
    [OP_UNLINK] = initfs_change, [OP_MKDIR] = initfs_make,   [OP_RENAME] = initfs_change,
    [OP_SYMLINK] = initfs_make,  [OP_LINK] = initfs_change,  [OP_CHMOD] = initfs_change,
    [OP_CHOWN] = initfs_change,  [OP_UTIME] = initfs_change, [OP_STATFS] = initfs_statfs,
};

int64_t initfs_serve(const struct tree *tree, handle_t port, unsigned threads)
{
    struct service service = {
        .port = port,
        .context = (void *)(uintptr_t)tree,
        .operations = operations,
        .buffer_size = 2 * PATH_LENGTH_MAX,
    };
    return service_run(&service, threads);
}
