#include "lib/sys/feed.h"

#include <stdlib.h>
#include <string.h>

#include "lib/sys/held.h"

static struct list feeds = LIST_INIT(feeds);

void feed_init(struct feed *feed, size_t size)
{
    list_append(&feeds, &feed->link);
    feed->size = size;
    feed->end = 0;
    list_init(&feed->files);
    list_init(&feed->held);
}

/* Whole records from the file's position on into bytes, which has room for length. */
static size_t take(struct feed_file *file, uint8_t *bytes, uint64_t length)
{
    const struct feed *feed = file->feed;
    size_t done = 0;
    if (feed->end - file->position > FEED_RECORDS)
        file->position = feed->end - FEED_RECORDS;
    for (; file->position < feed->end && length - done >= feed->size; done += feed->size) {
        memcpy(bytes + done, feed->records + file->position % FEED_RECORDS * feed->size,
               feed->size);
        file->position++;
    }
    if (file->position == feed->end)
        sys_ignore(sys_file_ready(file->port, file->id, 0, SIGNAL_READABLE));
    return done;
}

static void answer(struct held *held)
{
    uint8_t bytes[FEED_RECORDS * FEED_RECORD_SIZE];
    struct feed_file *file = (struct feed_file *)(uintptr_t)held->cookie;
    size_t count = take(file, bytes, MIN(held->length, sizeof(bytes)));
    held_return(held, 0, count, bytes, count);
}

void feed_put(struct feed *feed, const void *record)
{
    struct held *held;
    memcpy(feed->records + feed->end % FEED_RECORDS * feed->size, record, feed->size);
    feed->end++;
    list_for_each (struct feed_file, file, &feed->files, link)
        if (file->position + 1 == feed->end)
            sys_ignore(sys_file_ready(file->port, file->id, SIGNAL_READABLE, 0));
    while ((held = list_first(&feed->held, struct held, link)))
        answer(held);
}

int64_t feed_open(struct feed *feed, struct command *command)
{
    struct feed_file *file = calloc(1, sizeof(*file));
    if (!file)
        return -E_NO_MEMORY;
    file->feed = feed;
    file->port = command->port;
    file->id = command->message.file;
    file->position = feed->end;
    list_append(&feed->files, &file->link);
    command->reply.values[0] = (uintptr_t)file;
    command->reply.values[2] = SIGNAL_WRITABLE;
    return 0;
}

struct feed_file *feed_file_of(const struct command *command)
{
    return command->message.file ? (struct feed_file *)(uintptr_t)command->message.cookie : NULL;
}

int64_t feed_read(void *context, struct command *command)
{
    static uint8_t
        bytes[FEED_RECORDS * FEED_RECORD_SIZE]; /* copied when the handler has returned */
    struct feed_file *file = feed_file_of(command);
    (void)context;
    if (!file || command->message.out_length < file->feed->size)
        return -E_INVALID;
    if (file->position < file->feed->end) {
        command->reply.data = (uintptr_t)bytes;
        command->reply.data_length =
            take(file, bytes, MIN(command->message.out_length, sizeof(bytes)));
        command->reply.values[0] = command->reply.data_length;
        return 0;
    }
    if (command->message.flags & COMMAND_NONBLOCK)
        return -E_AGAIN;
    return held_add(&file->feed->held, command, 0) ? COMMAND_HELD : -E_NO_MEMORY;
}

int64_t feed_stat(void *context, struct command *command)
{
    static struct abi_stat stat = {.inode = 1,
                                   .device = 1,
                                   .type = FILE_CHARACTER,
                                   .mode = 0600,
                                   .links = 1,
                                   .block_size = 64};
    (void)context;
    return command_answer(command, &stat, sizeof(stat));
}

void feed_cancelled(void *context, uint64_t token)
{
    (void)context;
    list_for_each (struct feed, feed, &feeds, link) {
        struct held *held = held_find(&feed->held, token);
        if (held) {
            held_return(held, -E_INTERRUPTED, 0, NULL, 0);
            return;
        }
    }
}

void feed_closed(void *context, uint64_t cookie)
{
    struct feed_file *file = (struct feed_file *)(uintptr_t)cookie;
    (void)context;
    if (!file)
        return;
    held_forget(&file->feed->held, cookie);
    list_remove(&file->link);
    free(file);
}
