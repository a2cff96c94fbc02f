/* Media: see media.h. */
#include "sbin/usb.storage/media.h"

#include "lib/disk/driver.h"
#include "lib/sys/keep.h"

/* Kept with the port. It may be half of a change: then files are taken for stale that are not. */
struct media {
    uint64_t latest;          /* the highest number of a file */
    uint32_t restarts, notes; /* times in a row that the device was made to begin anew; MEDIA_* */
    struct {
        uint64_t identity, stale; /* 0: no medium */
    } units[STORAGE_UNITS];
};

static struct media *media;

#define RESTARTS_MOST 2u

bool media_start(handle_t port)
{
    media = keep_memory(port, DISK_KEPT, sizeof(*media));
    return media;
}

bool media_restarts_more(void)
{
    return __atomic_add_fetch(&media->restarts, 1, __ATOMIC_RELAXED) <= RESTARTS_MOST;
}

void media_works(void)
{
    __atomic_store_n(&media->restarts, 0, __ATOMIC_RELAXED);
}

void media_note(enum media_note note, bool holds)
{
    if (holds)
        __atomic_or_fetch(&media->notes, note, __ATOMIC_RELAXED);
    else
        __atomic_and_fetch(&media->notes, ~(uint32_t)note, __ATOMIC_RELAXED);
}

bool media_noted(enum media_note note)
{
    return __atomic_load_n(&media->notes, __ATOMIC_RELAXED) & note;
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
