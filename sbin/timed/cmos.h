/* The real-time clock behind ports 0x70 and 0x71. One thread at a time.
 *
 *     cmos_start()                   looks whether there is one
 *     cmos_read(&seconds)            what it says: a second may have begun up to a second ago
 *     cmos_tick(true)                IRQ 8 at the next beginning of a second, and the ones after it
 *     cmos_ticked()                  of its handler: it was that; lets the next one come
 *     cmos_write(seconds)            half a second after that second began: its next begins half a second later
 */
#pragma once

#include "lib/base/base.h"

/* false: none, and stderr was told why. */
bool cmos_start(void);
/* 0, -E_IO: it never rests, -E_BAD_FORMAT: it shows no time. */
int cmos_read(int64_t *seconds) MUST_CHECK;
void cmos_tick(bool on);
bool cmos_ticked(void);
void cmos_write(int64_t seconds);
