/* Directory entries, packed as getdents wants them. */
#include "lib/sys/listing.h"

#include <stddef.h>
#include <string.h>

bool listing_add(struct listing *listing, const char *name, uint64_t inode, enum file_type type)
{
    size_t length = ALIGN_UP(offsetof(struct abi_dirent, name) + strlen(name) + 1, 8);
    listing->full = length > listing->room - listing->used;
    if (listing->full)
        return false;
    struct abi_dirent *entry = (struct abi_dirent *)(void *)(listing->buffer + listing->used);
    memset(entry, 0, length);
    entry->inode = inode;
    entry->next = (int64_t)++listing->position;
    entry->length = (uint16_t)length;
    entry->type = (uint8_t)type;
    strcpy(entry->name, name);
    listing->used += length;
    return true;
}

int64_t listing_end(struct listing *listing)
{
    struct abi_return *reply = &listing->command->reply;
    if (listing->full && listing->used == 0)
        return -E_INVALID; /* not one entry fits: Linux's EINVAL of getdents */
    reply->data = (uintptr_t)listing->buffer;
    reply->data_length = listing->used;
    reply->values[0] = listing->used;
    reply->values[1] = listing->position;
    return 0;
}
