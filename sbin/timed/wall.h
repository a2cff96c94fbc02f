/* Real time: from the machine's clock at boot, to it when it is set; the kernel tells everybody (abi/time.h).
 *
 *     wall_start(...)
 *       | the kernel has no time yet                        it has: an earlier timed set it
 *       v                                                                     |
 *     SETTLING: real time is what the machine's clock says, late by less     |
 *       | than a second; at each of a few ticks it is moved on             |
 *       v                                                                     v
 *     IDLE <------------------ the machine's clock is written ------------ WRITING, if that was not done yet
 *       |                                                                     ^
 *       +----------------------- wall_step, wall_shift -----------------------+    half a second after a second began
 *
 * A tick that is handled late shows a time that is too early. So the latest of a few is the best, and real time only moves on.
 */
#pragma once

#include "lib/base/base.h"
#include "lib/sys/syscall.h"

#define WALL_IRQ_KEY 1 /* of the port: call wall_ticked */

/* clock: the right to set real time; port: where its interrupt is bound; stale: kept, the machine's clock is not what was set. */
void wall_start(handle_t clock, handle_t port, uint32_t *stale);

int64_t wall_step(int64_t real, int64_t monotonic) MUST_CHECK;
int64_t wall_shift(int64_t ns) MUST_CHECK;
int64_t wall_slew(int64_t ns) MUST_CHECK;
int64_t wall_frequency(int64_t value) MUST_CHECK; /* 2^-16 ppm */

/* What the machine's clock says: 0, or -E_NOT_FOUND and what cmos_read says. */
int64_t wall_machine(int64_t *seconds) MUST_CHECK;
bool wall_has_machine(void);

void wall_ticked(void);
int64_t wall_deadline(void); /* when wall_expired is due */
void wall_expired(void);
void wall_stop(void); /* writes what is not written yet; takes up to a second */
