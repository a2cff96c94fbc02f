/* Real time, and the page that tells every program what time it is (abi/time.h). docs/time.md
 *
 *     time_init()          the clock's source is settled: the page is in every space from now on
 *     time_real()          ns since 1970, or since the start while nobody has said what time it is
 *     time_until(real)     when to look whether it is that: never after it, and before it by little
 *
 * Lock: RANK_CLOCK for who changes it. Readers, of the kernel too, have none: the one of the two descriptions that is in use is
 * never written to.
 */
#pragma once

#include "lib/base/base.h"

void time_init(void);
int64_t time_real(void);
uint64_t time_until(int64_t real);
