/* Directory entries: as many as fit, and the next command goes on behind the last of them. */
// sources: lib/sys/listing.c
#include "lib/sys/listing.h"

#include "tests/host/test.h"

static const char *const names[] = {"a", "of some length", "", "gone", "last"};
#define GONE 3u

static uint8_t buffer[256] ALIGNED(8);

/* One OP_LIST with that much room, from *position on: the names, and where to go on. */
static int64_t list(uint64_t *position, size_t room, char *found, size_t size)
{
    struct command command = {.message = {.args = {*position}, .out_length = room}};
    struct listing listing = listing_begin(&command, buffer, sizeof(buffer));
    size_t at = 0, used = 0;
    while (listing.position < ARRAY_SIZE(names)) {
        if (listing.position == GONE)
            listing.position++;
        else if (!listing_add(&listing, names[listing.position], listing.position + 100,
                              FILE_REGULAR))
            break;
    }
    int64_t result = listing_end(&listing);
    found[0] = '\0';
    if (result < 0)
        return result;
    CHECK(command.reply.data_length <= room);
    CHECK_EQUAL(command.reply.values[0], command.reply.data_length);
    while (at < command.reply.data_length) {
        const struct abi_dirent *entry = (const struct abi_dirent *)(const void *)(buffer + at);
        CHECK_EQUAL(entry->length % 8, 0);
        CHECK_EQUAL(entry->type, FILE_REGULAR);
        CHECK_EQUAL((uint64_t)entry->next, entry->inode - 99);
        used += (size_t)snprintf(found + used, size - used, "%s,", entry->name);
        at += entry->length;
    }
    *position = command.reply.values[1];
    return 0;
}

TEST(all_at_once)
{
    char found[64];
    uint64_t position = 0;
    CHECK_EQUAL(list(&position, sizeof(buffer), found, sizeof(found)), 0);
    CHECK_STRING(found, "a,of some length,,last,");
    CHECK_EQUAL(list(&position, sizeof(buffer), found, sizeof(found)), 0);
    CHECK_STRING(found, "");
}

TEST(piece_by_piece)
{
    char found[64];
    uint64_t position = 0;
    CHECK_EQUAL(list(&position, 72, found, sizeof(found)), 0);
    CHECK_STRING(found, "a,of some length,");
    CHECK_EQUAL(position, 2);
    CHECK_EQUAL(list(&position, 24, found, sizeof(found)), 0);
    CHECK_STRING(found, ",");
    CHECK_EQUAL(list(&position, 24, found, sizeof(found)), 0);
    CHECK_STRING(found, "last,");
}

TEST(not_one_fits)
{
    char found[64];
    uint64_t position = 1;
    CHECK_EQUAL(list(&position, 32, found, sizeof(found)), -E_INVALID);
    CHECK_EQUAL(list(&position, 0, found, sizeof(found)), -E_INVALID);
    position = UINT64_MAX;
    CHECK_EQUAL(list(&position, 0, found, sizeof(found)), 0);
}
