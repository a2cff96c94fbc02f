/* Which medium a file was opened on: whoever has one open is not to find himself on another, whatever happened while there was no driver.
 *
 *     media_start(port)                  what drivers before us knew
 *     media_loaded(unit, identity)       the unit has this medium now
 *     media_emptied(unit)                ... none any more
 *     media_opens(unit, file)            0; -E_NO_DEVICE: it was opened on a medium before this one
 *
 * Files have rising numbers, and keep them when they are opened again: of a unit those up to `stale` are of a medium before. The same
 * medium put in again is another one: who knows what was written to it meanwhile. The main thread's.
 */
#pragma once

#include "lib/sys/syscall.h"
#include "lib/usb/storage.h"

/* False: no memory. */
MUST_CHECK bool media_start(handle_t port);
void media_loaded(uint32_t unit, uint64_t identity);
void media_emptied(uint32_t unit);
MUST_CHECK int64_t media_opens(uint32_t unit, uint64_t file);

/* The device is made to begin anew: false, if that was of no use too often in a row. */
bool media_restarts_more(void);
/* It has done something. */
void media_works(void);

/* What else the next driver is to know of it. */
enum media_note {
    MEDIA_BULK_ONLY = 1, /* UAS is not to be tried */
    MEDIA_COMMANDS = 2,  /* it may be at work for a driver who is no more */
};
void media_note(enum media_note note, bool holds);
bool media_noted(enum media_note note);

/* Of some bytes more; the first is of identity 0. */
uint64_t media_identity(uint64_t identity, const void *bytes, size_t length);
