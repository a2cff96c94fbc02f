/* See connection.h. */
#include "lib/fsd/connection.h"

#include <stdio.h>
#include <string.h>

#include "abi/volume.h"
#include "lib/sys/clock.h"
#include "lib/sys/error.h"
#include "lib/sys/file.h"
#include "lib/sys/wait.h"

#define PAUSE_NS INT64_C(100000000) /* between two tries, when vfsd does not want us */

union packet {
    struct volume_message message;
    uint8_t bytes[sizeof(struct volume_message) + VOLUME_TEXT_MAX + 1];
};

/* handle: moved, or HANDLE_NONE. A vfsd that has gone is noticed by who receives. */
static void send(struct volume_server *server, const struct volume_message *message,
                 handle_t handle)
{
    struct abi_stream_message with = {.handles = (uintptr_t)&handle,
                                      .handle_count = handle != HANDLE_NONE};
    pthread_mutex_lock(&server->lock);
    int64_t result =
        server->stream == HANDLE_NONE
            ? -E_CLOSED
            : sys_stream_send(server->stream, message, sizeof(*message), 0, DEADLINE_NEVER, &with);
    pthread_mutex_unlock(&server->lock);
    if (result < 0)
        handle_drop(handle);
}

static void hello(struct volume_server *server)
{
    int64_t copy = sys_handle_duplicate(server->port, RIGHT_DUPLICATE | RIGHT_TRANSFER);
    struct volume_message message = {
        .kind = VOLUME_HELLO,
        .flags = server->serving ? VOLUME_SERVES : 0,
    };
    if (copy >= 0)
        send(server, &message, (handle_t)copy);
}

static int64_t serve(struct volume_server *server, const struct volume_message *message,
                     handle_t device)
{
    int64_t result = server->serving ? 0 : server->serve(device, message->flags, message->text);
    server->serving = result >= 0;
    return result;
}

static int64_t end(struct volume_server *server, uint32_t flags)
{
    int64_t result = server->end(flags);
    server->serving = server->serving && result < 0;
    return result;
}

/* device: taken over, or HANDLE_NONE. */
static int64_t answer(struct volume_server *server, const struct volume_message *message,
                      handle_t device)
{
    switch ((enum volume_kind)message->kind) {
    case VOLUME_SERVE:
        return serve(server, message, device);
    case VOLUME_REMOUNT:
        handle_drop(device);
        return server->remount(message->flags);
    case VOLUME_END:
        handle_drop(device);
        return end(server, message->flags);
    case VOLUME_HELLO:
    case VOLUME_DONE:
        break;
    }
    handle_drop(device);
    return -E_NO_CALL;
}

/* Whether nothing is open any more, since it was last said. */
static bool answering_set(struct volume_server *server, bool answering)
{
    pthread_mutex_lock(&server->lock);
    bool unused = server->unused && !answering;
    server->answering = answering;
    server->unused = false;
    pthread_mutex_unlock(&server->lock);
    return unused;
}

/* Until vfsd ends. */
static void serve_requests(struct volume_server *server)
{
    union packet packet;
    for (;;) {
        handle_t device = HANDLE_NONE;
        struct abi_stream_message with = {.handles = (uintptr_t)&device, .handle_count = 1};
        int64_t length = sys_stream_receive(server->stream, &packet, sizeof(packet) - 1, 0,
                                            DEADLINE_NEVER, &with);
        if (length == -E_INTERRUPTED)
            continue;
        if (length < (int64_t)sizeof(packet.message)) {
            handle_drop(device);
            return;
        }
        packet.bytes[length] = '\0';
        answering_set(server, true);
        struct volume_message done = {.kind = VOLUME_DONE};
        done.status = answer(server, &packet.message, device);
        send(server, &done, HANDLE_NONE);
        if (answering_set(server, false))
            hello(server);
    }
}

static void stream_set(struct volume_server *server, handle_t stream)
{
    pthread_mutex_lock(&server->lock);
    handle_drop(server->stream);
    server->stream = stream;
    pthread_mutex_unlock(&server->lock);
}

static void *connection(void *argument)
{
    struct volume_server *server = argument;
    for (;;) {
        handle_t stream;
        int64_t result = file_open(HANDLE_SELF, server->uri, OPEN_READ | OPEN_WRITE, &stream);
        if (result < 0) { /* it is not to be served any more: the end comes by the port */
            sleep_until(clock_monotonic() + PAUSE_NS);
            continue;
        }
        stream_set(server, stream);
        hello(server);
        serve_requests(server);
        stream_set(server, HANDLE_NONE);
    }
    return NULL;
}

int64_t volume_connect(struct volume_server *server, bool serving)
{
    pthread_t thread;
    pthread_mutex_init(&server->lock, NULL);
    server->stream = HANDLE_NONE;
    server->serving = serving;
    int error = pthread_create(&thread, NULL, connection, server);
    if (error) {
        fprintf(stderr, "%s: no thread: %s\n", server->uri, strerror(error));
        return -E_NO_MEMORY;
    }
    pthread_detach(thread);
    return 0;
}

void volume_unused(struct volume_server *server)
{
    pthread_mutex_lock(&server->lock);
    bool answering = server->answering;
    server->unused = answering;
    pthread_mutex_unlock(&server->lock);
    if (!answering)
        hello(server);
}
