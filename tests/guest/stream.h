/* Streams, for the tests of them: every wait of these calls has PATIENCE. */
#pragma once

#include "tests/guest/guest.h"

#define ROOM 65536 /* bytes a stream holds; kernel/ipc/stream.c */

#define NO_WAIT 0x1000u /* a flag of these two: DEADLINE_NOW */

static inline int64_t patience(uint32_t flags)
{
    return flags & NO_WAIT ? DEADLINE_NOW : after(PATIENCE);
}

static inline int64_t send(handle_t end, const void *bytes, uint64_t length, uint32_t flags)
{
    return sys_stream_send(end, bytes, length, flags & ~NO_WAIT, patience(flags), NULL);
}

static inline int64_t receive(handle_t end, void *bytes, uint64_t length, uint32_t flags)
{
    return sys_stream_receive(end, bytes, length, flags & ~NO_WAIT, patience(flags), NULL);
}

/* With one byte. */
static inline int64_t send_handles(handle_t end, handle_t *handles, uint32_t count, uint32_t flags)
{
    struct abi_stream_message message = {.handles = (uintptr_t)handles, .handle_count = count};

    return sys_stream_send(end, "h", 1, flags & ~NO_WAIT, patience(flags), &message);
}

/* Up to `length` bytes; the message says what came beside them. */
static inline int64_t receive_handles(handle_t end, void *bytes, uint64_t length, handle_t *handles,
                                      struct abi_stream_message *message, uint32_t flags)
{
    message->handles = (uintptr_t)handles;
    return sys_stream_receive(end, bytes, length, flags & ~NO_WAIT, patience(flags), message);
}

struct pair {
    handle_t end[2];
};

static inline struct pair pair_new(uint32_t flags)
{
    struct pair pair;

    MUST(sys_stream_pair(flags, pair.end));
    return pair;
}

static inline void pair_end(struct pair *pair)
{
    handle_drop(pair->end[0]);
    handle_drop(pair->end[1]);
}

static inline uint32_t state(handle_t end)
{
    return info_of(end).signals;
}
