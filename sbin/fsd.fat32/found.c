/* See found.h. Files of an older generation are not there. */
#include "sbin/fsd.fat32/found.h"

#include "lib/fsd/words.h"

#define FILES       512u
#define DIRECTORIES 64u
#define LENGTH_MAX  96u

struct found {
    uint64_t generation;
    uint64_t length;
    void *what; /* NULL: nothing */
    char path[LENGTH_MAX + 8];
};

_Static_assert(sizeof(struct found) == 128, "found by a shift");

static struct found files_found[FILES], directories_found[DIRECTORIES];
static uint64_t generation = 1; /* of files */

static inline bool holds(const struct found *found, const char *path, size_t length)
{
    return found->length == length && words_equal(found->path, path, length);
}

static void enter(struct found *found, const char *path, size_t length, void *what)
{
    found->generation = generation;
    found->length = length;
    found->what = what;
    memcpy(found->path, path, length);
}

struct file *found_file(const char *path, size_t length)
{
    const struct found *found = &files_found[words_hash(path, length) % FILES];
    return found->generation == generation && holds(found, path, length) ? found->what : NULL;
}

void found_enter_file(const char *path, size_t length, struct file *file)
{
    if (length <= LENGTH_MAX)
        enter(&files_found[words_hash(path, length) % FILES], path, length, file);
}

struct fat_node *found_directory(const char *path, size_t length)
{
    const struct found *found = &directories_found[words_hash(path, length) % DIRECTORIES];
    return found->what && holds(found, path, length) ? found->what : NULL;
}

void found_enter_directory(const char *path, size_t length, struct fat_node *node)
{
    struct found *found = &directories_found[words_hash(path, length) % DIRECTORIES];
    if (length > LENGTH_MAX)
        return;
    struct fat_node *before = found->what;
    enter(found, path, length, fat_get(node));
    fat_put(before);
}

void found_forget_files(void)
{
    generation++;
}

void found_forget_all(void)
{
    found_forget_files();
    for (size_t i = 0; i < DIRECTORIES; i++) {
        struct fat_node *node = directories_found[i].what;
        directories_found[i].what = NULL;
        fat_put(node);
    }
}
