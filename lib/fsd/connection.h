/* A file system's connection to vfsd (abi/volume.h): registers, and hands on what is asked.
 *
 *     struct volume_server server = {.uri = argv[1], .port = port, .serve = ..., .remount = ..., .end = ...};
 *     volume_connect(&server, serving)          a thread; serving: with what was kept, a predecessor's volume
 *     volume_unused(&server)                    nothing is open any more, after an end that was E_BUSY
 *
 * Its functions are called by that thread; what they answer goes to vfsd. When vfsd ends the thread waits for the next one, and
 * nobody else does. That nothing is open any more comes behind the answer to what is being asked:
 *
 *     end: E_BUSY                               the last file is closed
 *     the answer                                volume_unused: what is asked is not answered yet
 *     a HELLO, for volume_unused was called
 */
#pragma once

#include <pthread.h>

#include "lib/sys/syscall.h"

struct volume_server {
    const char *uri; /* volumes:///<number> */
    handle_t port;   /* by which the volume is come to */
    /* A volume on the device, which is the callee's; flags: VOLUME_READ_ONLY. Once, unless it fails. */
    int64_t (*serve)(handle_t device, uint32_t flags, const char *options);
    int64_t (*remount)(uint32_t flags);
    /* flags: VOLUME_FORCE. If it succeeds the device is let go of, and nobody can reach anything. */
    int64_t (*end)(uint32_t flags);
    /* The connection's own. */
    pthread_mutex_t lock;
    handle_t stream;
    bool serving, answering, unused;
};

/* E_NO_MEMORY: there is no thread. */
MUST_CHECK int64_t volume_connect(struct volume_server *server, bool serving);
void volume_unused(struct volume_server *server);
