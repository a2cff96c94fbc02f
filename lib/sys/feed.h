/* What a device says, to everybody who listens: records of one size, in the order they came.
 *
 *     feed_init(&feed, sizeof(record))
 *     feed_put(&feed, &record)                  whenever there is one: answers the reads that wait
 *     open:  return feed_open(&feed, command);  the file's cookie is a struct feed_file
 *     read:  return feed_read(file, command);   whole records; waits for one
 *     cancelled: feed_cancel(&feed, token)      closed: feed_close(file)
 *
 * A file gets what comes after it was opened; who falls FEED_RECORDS behind loses the oldest. One thread.
 */
#pragma once

#include "lib/base/list.h"
#include "lib/sys/service.h"

#define FEED_RECORDS     256u /* a power of two */
#define FEED_RECORD_SIZE 32u  /* at most */

struct feed {
    size_t size; /* of a record */
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
/* file NULL: E_INVALID. */
MUST_CHECK int64_t feed_read(struct feed_file *file, struct command *command);
void feed_cancel(struct feed *feed, uint64_t token);
void feed_close(struct feed_file *file);
