/* Media: see media.h. */
#include "sbin/usb.storage/media.h"

#include "lib/disk/driver.h"
#include "lib/sys/keep.h"

/* Kept with the port. It may be half of a change: then files are taken for stale that are not. */
struct media {
    uint64_t latest; /* the highest number of a file */
    uint32_t restarts, reserved;
    struct {
        uint64_t identity, stale; /* 0: no medium */
    } units[BULK_UNITS_MAX];
};

static struct media *media;
uint32_t *media_restarts;

bool media_start(handle_t port)
{
    media = keep_memory(port, DISK_KEPT, sizeof(*media));
    media_restarts = media ? &media->restarts : NULL;
    return media;
}

void media_emptied(uint32_t unit)
{
    media->units[unit].stale = media->latest;
    media->units[unit].identity = 0;
}

void media_loaded(uint32_t unit, uint64_t identity)
{
    if (media->units[unit].identity != identity)
        media_emptied(unit);
    media->units[unit].identity = identity;
}

int64_t media_opens(uint32_t unit, uint64_t file)
{
    if (file <= media->units[unit].stale)
        return -E_NO_DEVICE;
    media->latest = MAX(media->latest, file);
    return 0;
}

/* FNV-1a. */
uint64_t media_identity(uint64_t identity, const void *bytes, size_t length)
{
    const uint8_t *at = bytes;
    identity = identity ? identity : UINT64_C(0xcbf29ce484222325);
    while (length--)
        identity = (identity ^ *at++) * UINT64_C(0x100000001b3);
    return identity ? identity : 1;
}
