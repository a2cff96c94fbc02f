/* See found.h. Generations of directories are odd, those of names even. */
#include "sbin/fsd.tmp/found.h"

struct found found_paths[FOUND_PATHS];
uint64_t found_generations[FOUND_KINDS] = {[FOUND_DIRECTORY] = 1, [FOUND_NAME] = 2};

void found_enter(struct found *found, enum found_kind kind, const char *path, size_t length,
                 const struct inode *directory, struct slot *slot)
{
    if (length > FOUND_LENGTH)
        return;
    found->generation = found_generations[kind];
    found->length = (uint32_t)length;
    found->directory = arena_ref(directory);
    found->slot = slot;
    memcpy(found->path, path, length);
}

void found_forget_names(void)
{
    found_generations[FOUND_NAME] += 2;
}

void found_forget_all(void)
{
    found_forget_names();
    found_generations[FOUND_DIRECTORY] += 2;
}
