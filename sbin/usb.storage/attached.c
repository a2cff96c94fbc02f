/* Pipes of UAS: see pipes.h. */
#include <stdio.h>

#include "lib/sys/clock.h"
#include "sbin/usb.storage/media.h"
#include "sbin/usb.storage/pipes.h"

/* A command at once in each but one, which is for who manages tasks. Each costs usbd three pages, and us a thread when it is used. */
#define STREAMS_WANTED 16u

static int64_t attached_move(void *context, struct uas_move *moves, uint32_t count,
                             int64_t patience)
{
    const struct pipes *pipes = context;
    struct usb_transfer transfers[UAS_MOVES_MAX];
    int64_t results[UAS_MOVES_MAX];
    for (uint32_t i = 0; i < count; i++)
        transfers[i] = (struct usb_transfer){
            .memory = moves[i].address >> 32,
            .offset = (uint32_t)moves[i].address,
            .length = moves[i].length,
            .endpoint = pipes->settings.pipes[moves[i].pipe],
            .stream = moves[i].stream,
        };
    int64_t begun = pipes_check(usb_transfers(&pipes->claim, USB_TOGETHER, transfers, count,
                                              results, clock_monotonic() + patience));
    for (int64_t i = 0; i < begun; i++)
        moves[i].moved = pipes_check(results[i]);
    return begun < 0 ? begun : begun == (int64_t)count ? 0 : -E_IO;
}

static int64_t attached_clear(void *context, enum uas_pipe pipe)
{
    const struct pipes *pipes = context;
    return pipes_check(usb_clear_halt(pipes->files[pipe]));
}

static void attached_alone(void *context, bool begins)
{
    struct pipes *pipes = context;
    if (begins)
        pthread_mutex_lock(&pipes->managing);
    else
        pthread_mutex_unlock(&pipes->managing);
}

/* One that was of no use, at once or after being begun anew so often, is left for the bulk-only transport, if there is that. */
static int64_t attached_begin_anew(void *context)
{
    const struct pipes *pipes = context;
    bool more = media_restarts_more();
    if (pipes->settings.bulk_only && (!more || !pipes->worked)) {
        fprintf(stderr, "%s: UAS does not work; bulk-only from now on\n", pipes->claim.uri);
        media_note(MEDIA_BULK_ONLY, true);
        media_works(); /* nothing is known yet of the other transport */
    } else if (!more) {
        return -E_CLOSED;
    }
    media_note(MEDIA_COMMANDS, false); /* they end with the reset */
    return pipes_reset(pipes);
}

/* At SuperSpeed there is no UAS without streams (UAS-3 5.2). */
int64_t attached_open(struct pipes *pipes, uint16_t *streams)
{
    const struct uas_settings *settings = &pipes->settings;
    pthread_mutex_init(&pipes->managing, NULL);
    pipes->attached = (struct uas_pipes){attached_move, attached_clear, attached_begin_anew,
                                         pipes_pause,   attached_alone, pipes};
    int64_t result = usb_alternate(&pipes->claim, settings->attached_alternate, STREAMS_WANTED);
    if (result < 0)
        return pipes_check(result);
    *streams = (uint16_t)result;
    if ((pipes->claim.description.speed >= USB_SUPER && !*streams) || !uas_lanes(*streams))
        return -E_NOT_SUPPORTED;
    for (uint32_t pipe = 0; pipe < UAS_PIPES; pipe++) {
        result = usb_endpoint_open(&pipes->claim, settings->pipes[pipe], &pipes->files[pipe]);
        if (result < 0)
            return pipes_check(result);
    }
    return 0;
}
