/* What a device says, to everybody who listens: records of one size, in the order they came.
 *
 *     feed_init(&feed, sizeof(record))
 *     feed_put(&feed, &record)                  whenever there is one: answers the reads that wait
 *     open:  return feed_open(&feed, command);  the file's cookie is a struct feed_file
 *
 * The rest is the same for all feeds of a service whose other files have no cookie, and goes into its tables as it is:
 *
 *     [OP_READ] = feed_read, [OP_STAT] = feed_stat         whole records; waits for one
 *     .cancelled = feed_cancelled, .closed = feed_closed
 *
 * A file gets what comes after it was opened; who falls FEED_RECORDS behind loses the oldest. One thread.
 */
#pragma once

#include "lib/base/list.h"
#include "lib/sys/service.h"

#define FEED_RECORDS     256u /* a power of two */
#define FEED_RECORD_SIZE 32u  /* at most */

struct feed {
    struct list link; /* of all feeds */
    size_t size;      /* of a record */
    uint64_t end;
    struct list files, held;
    uint8_t records[FEED_RECORDS * FEED_RECORD_SIZE];
};

struct feed_file {
    struct list link;
    struct feed *feed;
    handle_t port;
    uint64_t id, position;
};

void feed_init(struct feed *feed, size_t size);
void feed_put(struct feed *feed, const void *record);
MUST_CHECK int64_t feed_open(struct feed *feed, struct command *command);
/* The file of a command; NULL: it is about none. */
struct feed_file *feed_file_of(const struct command *command);

command_handler feed_read, feed_stat;
void feed_cancelled(void *context, uint64_t token);
void feed_closed(void *context, uint64_t cookie);
