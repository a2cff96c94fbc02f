/* See inode.h. */
#include "sbin/fsd.tmp/inode.h"

#include "abi/errors.h"
#include "sbin/fsd.tmp/data.h"
#include "sbin/fsd.tmp/directory.h"
#include "sbin/fsd.tmp/opens.h"

int64_t inode_create(struct volume *volume, uint32_t type, uint32_t mode, int64_t now,
                     struct inode **inode)
{
    if (volume->inodes >= volume->inodes_limit)
        return -E_NO_SPACE;
    ref_t ref = arena_alloc(sizeof(struct inode));
    if (!ref)
        return -E_NO_SPACE;
    *inode = arena_at(ref);
    **inode = (struct inode){
        .next = volume->first,
        .type = type,
        .mode = mode,
        .volume = arena_ref(volume),
        .accessed = now,
        .modified = now,
        .changed = now,
        .directory = {.next = 2, .parent = ref}, /* 0 and 1 are . and .. */
    };
    if (volume->first)
        arena_set(&((struct inode *)arena_at(volume->first))->previous, ref);
    arena_set(&volume->first, ref);
    arena_set(&volume->inodes, volume->inodes + 1);
    return 0;
}

static void inode_unlist(struct inode *inode, struct volume *volume)
{
    if (inode->next)
        arena_set(&((struct inode *)arena_at(inode->next))->previous, inode->previous);
    if (inode->previous)
        arena_set(&((struct inode *)arena_at(inode->previous))->next, inode->next);
    else
        arena_set(&volume->first, inode->next);
}

void inode_release(struct inode *inode)
{
    struct volume *volume = inode_volume(inode);
    if (inode->links || inode->opens)
        return;
    if (inode->type == FILE_REGULAR)
        data_drop(inode);
    if (inode->type == FILE_LINK)
        arena_free(inode->target, inode->size + 1);
    if (inode->type == FILE_DIRECTORY)
        directory_free(inode);
    arena_set(&volume->used, volume->used - inode->pages);
    arena_set(&volume->inodes, volume->inodes - 1);
    inode_unlist(inode, volume);
    arena_set(&inode->type, FILE_UNKNOWN);
    arena_free(arena_ref(inode), sizeof(*inode));
}

int64_t open_create(struct inode *inode, uint64_t id, uint32_t flags, struct open **open)
{
    ref_t ref = arena_alloc(sizeof(struct open));
    if (!ref)
        return -E_NO_MEMORY;
    *open = arena_at(ref);
    **open =
        (struct open){.id = id, .inode = arena_ref(inode), .next = inode->opens, .flags = flags};
    if (inode->opens)
        arena_set(&((struct open *)arena_at(inode->opens))->previous, ref);
    arena_set(&inode->opens, ref);
    return 0;
}

void open_destroy(struct open *open)
{
    struct inode *inode = arena_at(open->inode);
    opens_forget(open);
    if (open->next)
        arena_set(&((struct open *)arena_at(open->next))->previous, open->previous);
    if (open->previous)
        arena_set(&((struct open *)arena_at(open->previous))->next, open->next);
    else
        arena_set(&inode->opens, open->next);
    arena_free(arena_ref(open), sizeof(*open));
    inode_release(inode);
}

int64_t volume_create(uint64_t limit, uint32_t mode, int64_t now, struct volume **volume)
{
    ref_t ref = arena_alloc(sizeof(struct volume));
    struct inode *root;
    if (!ref)
        return -E_NO_MEMORY;
    uint64_t id = arena->roots[ROOT_LAST_ID] + 1;
    *volume = arena_at(ref);
    **volume = (struct volume){
        .next = (ref_t)arena->roots[ROOT_VOLUMES],
        .id = (uint32_t)id,
        .limit = limit,
        .inodes_limit = limit,
    };
    int64_t result = inode_create(*volume, FILE_DIRECTORY, mode, now, &root);
    if (result < 0)
        return result;
    root->links = 1;
    (*volume)->root = arena_ref(root);
    arena_set(&arena->roots[ROOT_LAST_ID], id);
    arena_set(&arena->roots[ROOT_VOLUMES], (uint64_t)ref);
    return 0;
}

struct volume *volume_first(void)
{
    ref_t ref = (ref_t)arena->roots[ROOT_VOLUMES];
    return ref ? arena_at(ref) : NULL;
}

struct volume *volume_after(const struct volume *volume)
{
    return volume->next ? arena_at(volume->next) : NULL;
}

struct volume *volume_find(uint32_t id)
{
    struct volume *volume = volume_first();
    while (volume && volume->id != id)
        volume = volume_after(volume);
    return volume;
}

/* A name without others below it: from the top down, the first of each directory. */
static struct inode *deepest(struct volume *volume, const struct slot **slot)
{
    struct inode *directory = arena_at(volume->root), *below = directory;
    const struct slot *first;
    while (below->type == FILE_DIRECTORY && (first = directory_next(below, 0))) {
        directory = below;
        *slot = first;
        below = arena_at(slot_entry(first)->inode);
    }
    return below == directory ? NULL : directory;
}

static void volume_unlist(struct volume *volume)
{
    struct volume *before = volume_first();
    if (before == volume) {
        arena_set(&arena->roots[ROOT_VOLUMES], (uint64_t)volume->next);
        return;
    }
    while (before->next != arena_ref(volume))
        before = arena_at(before->next);
    arena_set(&before->next, volume->next);
}

static void committed(void)
{
    arena_commit();
    data_finish(true);
}

/* One name at a time, each a transaction: there may be any number of them. */
void volume_destroy(struct volume *volume)
{
    const struct slot *slot = NULL;
    struct inode *directory, *inode;
    arena_set(&volume->id, 0);
    committed();
    while ((directory = deepest(volume, &slot))) {
        inode = arena_at(slot_entry(slot)->inode);
        directory_remove(directory, (struct slot *)(uintptr_t)slot);
        arena_set(&inode->links, inode->links - 1);
        inode_release(inode);
        committed();
    }
    struct inode *root = arena_at(volume->root);
    arena_set(&root->links, 0);
    inode_release(root);
    volume_unlist(volume);
    arena_free(arena_ref(volume), sizeof(*volume));
    committed();
}
