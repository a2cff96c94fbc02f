/* Answers to OP_LIST: the entries from a position on, as many as there is room for.
 *
 *     struct listing listing = listing_begin(command, buffer, sizeof(buffer));
 *     while (listing.position < count && listing_add(&listing, names[listing.position], inode, FILE_REGULAR))
 *         ;
 *     return listing_end(&listing);
 *
 * An entry's position is what the next command goes on with behind it, so it stays while other entries come and go: an index
 * in a table, not in what is left of it. Whoever leaves some out moves listing.position on.
 */
#pragma once

#include "lib/sys/service.h"

struct listing {
    struct command *command;
    uint8_t *buffer; /* must live until the handler has returned */
    size_t room, used;
    uint64_t position; /* of the entry to be added */
    bool full;
};

static inline struct listing listing_begin(struct command *command, void *buffer, size_t size)
{
    return (struct listing){
        .command = command,
        .buffer = buffer,
        .room = MIN(size, command->message.out_length),
        .position = command->message.args[0],
    };
}

/* Adds the entry at listing->position, which moves on behind it; false: there is no room. */
bool listing_add(struct listing *listing, const char *name, uint64_t inode, enum file_type type);

/* The handler's result. */
int64_t listing_end(struct listing *listing);
