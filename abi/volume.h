/* volumes://, what vfsd has mounted that a file system in a process of its own serves.
 *
 *     volumes:///devices    a bus of initd's: a line for each volume, of the class that its type is. /etc/drivers says
 *                           which service is started for it, with volumes:///<number> as its argument
 *     volumes:///<number>   for that service: open answers with a stream of packets, on which
 *
 *     file system                                        vfsd
 *     VOLUME_HELLO, its port             ------------->  by which everybody comes to it
 *                                        <-------------  VOLUME_SERVE, the device's file; not if it said that it serves
 *     VOLUME_DONE, status                ------------->
 *                                        <-------------  VOLUME_REMOUNT, VOLUME_END: one request at a time
 *     VOLUME_DONE, status                ------------->
 *
 * When either ends the other one sees the stream hang up, and they begin again; a request that was under way comes once more.
 * Who holds the device keeps it with its port, so a file system that was killed goes on before vfsd knows.
 */
#pragma once

#include <stdint.h>

enum volume_kind {
    VOLUME_HELLO = 1, /* flags: VOLUME_SERVES; a handle: the port, to be bound */
    VOLUME_SERVE, /* flags: VOLUME_READ_ONLY, VOLUME_FIXED; text: options; a handle: a file on the device */
    VOLUME_DONE, /* status: of the request */
    VOLUME_REMOUNT, /* flags: VOLUME_READ_ONLY. E_BUSY: files are open for writing; E_READ_ONLY: VOLUME_FIXED */
    VOLUME_END, /* flags: VOLUME_FORCE. What was written is on the medium, the volume marked as properly left, and the device let go of:
                 * nothing can be reached any more. E_BUSY: files are open; when none is any more, a VOLUME_HELLO comes */
};

#define VOLUME_SERVES    0x1u
#define VOLUME_READ_ONLY 0x1u
#define VOLUME_FIXED     0x2u /* the device cannot be written: it stays so */
#define VOLUME_FORCE     0x4u /* what cannot be written is given up, with a line on the log */

#define VOLUME_TEXT_MAX 1024u

struct volume_message {
    uint32_t kind; /* enum volume_kind */
    uint32_t flags;
    int64_t status;
    char text[]; /* terminated */
};
