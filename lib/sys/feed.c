#include "lib/sys/feed.h"

#include <stdlib.h>
#include <string.h>

struct feed_held {
    struct list link;
    struct feed_file *file;
    uint64_t token, length;
};

void feed_init(struct feed *feed, size_t size)
{
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

static void held_return(struct feed_held *held, int64_t status)
{
    uint8_t bytes[FEED_RECORDS * FEED_RECORD_SIZE];
    handle_t port = held->file->port;
    struct abi_return reply = {.data = (uintptr_t)bytes};
    if (!status)
        reply.data_length = reply.values[0] =
            take(held->file, bytes, MIN(held->length, sizeof(bytes)));
    list_remove(&held->link);
    command_return(port, held->token, status, &reply);
    free(held);
}

void feed_put(struct feed *feed, const void *record)
{
    struct feed_held *held;
    memcpy(feed->records + feed->end % FEED_RECORDS * feed->size, record, feed->size);
    feed->end++;
    list_for_each (struct feed_file, file, &feed->files, link)
        if (file->position + 1 == feed->end)
            sys_ignore(sys_file_ready(file->port, file->id, SIGNAL_READABLE, 0));
    while ((held = list_first(&feed->held, struct feed_held, link)))
        held_return(held, 0);
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

int64_t feed_read(struct feed_file *file, struct command *command)
{
    static uint8_t
        bytes[FEED_RECORDS * FEED_RECORD_SIZE]; /* copied when the handler has returned */
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
    struct feed_held *held = calloc(1, sizeof(*held));
    if (!held)
        return -E_NO_MEMORY;
    held->file = file;
    held->token = command->message.token;
    held->length = command->message.out_length;
    list_append(&file->feed->held, &held->link);
    return COMMAND_HELD;
}

void feed_cancel(struct feed *feed, uint64_t token)
{
    list_for_each (struct feed_held, held, &feed->held, link) {
        if (held->token == token) {
            held_return(held, -E_INTERRUPTED);
            return;
        }
    }
}

void feed_close(struct feed_file *file)
{
    if (!file)
        return;
    /* Callers who were killed in a read: nobody told us. */
    list_for_each (struct feed_held, held, &file->feed->held, link) {
        if (held->file == file) {
            list_remove(&held->link);
            free(held);
        }
    }
    list_remove(&file->link);
    free(file);
}
