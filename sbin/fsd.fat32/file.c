/* See file.h. */
#include "sbin/fsd.fat32/file.h"

#include <stdlib.h>

#include "lib/sys/keep.h"
#include "sbin/fsd.fat32/cache.h"
#include "sbin/fsd.fat32/found.h"
#include "sbin/fsd.fat32/volume.h"

struct list files = LIST_INIT(files), dirty_files = LIST_INIT(dirty_files);
static struct rb_tree by_id;
static uint64_t all_pages; /* as of the last change of a file's count */
static uint64_t all_files;

static struct file *file_at(struct rb_node *node)
{
    return container_of(node, struct file, by_id);
}

static void enter(struct file *file)
{
    struct rb_node **place = &by_id.root, *parent = NULL;
    while (*place) {
        parent = *place;
        place = file->id < file_at(parent)->id ? &parent->left : &parent->right;
    }
    rb_insert(&by_id, &file->by_id, parent, place);
    list_append(&files, &file->link);
}

struct file *file_by_id(uint64_t id)
{
    struct rb_node *node = by_id.root;
    while (node && file_at(node)->id != id)
        node = id < file_at(node)->id ? node->left : node->right;
    return node ? file_at(node) : NULL;
}

struct file *file_known(struct fat_node *node)
{
    return *fat_user(node);
}

struct file *file_of(struct fat_node *node)
{
    struct file *file = *fat_user(node);
    if (file)
        return file;
    file = calloc(1, sizeof(*file));
    if (!file)
        return NULL;
    file->node = fat_get(node);
    file->id = fat_id(node);
    file->pages.memory = HANDLE_NONE;
    list_init(&file->dirty);
    list_init(&file->opened);
    enter(file);
    all_files++;
    *fat_user(node) = file;
    return file;
}

void file_dirty(struct file *file)
{
    if (!list_linked(&file->dirty))
        list_append(&dirty_files, &file->dirty);
    file->stated = false;
    file->used = true;
    volume_changed();
}

static void destroy(struct file *file)
{
    found_forget_files();
    cache_forget(file);
    all_files--;
    rb_remove(&by_id, &file->by_id);
    list_remove(&file->link);
    list_remove(&file->dirty);
    *fat_user(file->node) = NULL;
    fat_put(file->node);
    free(file);
}

void file_release(struct file *file, bool forget)
{
    bool named = !fat_is_unlinked(file->node);
    if (file->held || !list_empty(&file->opened) ||
        (named && (!forget || list_linked(&file->dirty))) || cache_used(file))
        return;
    destroy(file);
}

void files_count(int64_t change)
{
    all_pages += (uint64_t)change;
}

uint64_t files_pages(void)
{
    return all_pages;
}

uint64_t files_number(void)
{
    return all_files;
}

/* Those that were used since go to the end of the list instead, once. */
void files_trim(uint64_t pages, uint64_t number)
{
    list_for_each (struct file, file, &files, link) {
        if (all_pages <= pages && all_files <= number)
            return;
        if (file->used) {
            file->used = false;
            list_remove(&file->link);
            list_append(&files, &file->link);
            continue;
        }
        if (all_pages <= pages && !list_empty(&file->opened))
            continue;
        if (list_linked(&file->dirty) && cache_write_back(file) < 0)
            continue;
        cache_evict(file);
        if (!file->writable)
            list_remove(&file->dirty);
        file_release(file, true);
    }
}

/* --- after a predecessor --- */

static int64_t recover_pages(struct file *file, const struct abi_kept *kept)
{
    int64_t result = cache_attach(file);
    file->shared = kept->flags & KEPT_USED;
    if (cache_dirty(file))
        file_dirty(file);
    return result;
}

/* What is kept of a file that the library knows; or of a stray: it is written, or gone. */
static int64_t recover(void *context, const struct abi_kept *kept)
{
    const uint64_t kinds = STORE_KEY_DATA | STORE_KEY_WRITTEN;
    struct file *file = file_by_id(kept->key & ~kinds);
    (void)context;
    handle_drop(kept->handle);
    if (!(kept->key & kinds))
        return 0;
    if (!file) {
        sys_ignore(sys_port_keep(volume_port, kept->key, HANDLE_NONE));
        return 0;
    }
    if (kept->key & STORE_KEY_DATA)
        return recover_pages(file, kept);
    file->writable = true;
    file_dirty(file);
    return 0;
}

int64_t files_recover(void)
{
    struct fat_node *node;
    int64_t result = 0;
    while ((node = fat_inherit(volume)) != NULL) {
        if (!fat_is_directory(node) && !file_of(node))
            result = -E_NO_MEMORY;
        fat_put(node);
    }
    return result < 0 ? result : kept_each(volume_port, recover, NULL);
}
