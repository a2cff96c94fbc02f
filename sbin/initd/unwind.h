/* Services end: whoever no living service has in its `after` is told first, the others when these are gone. The service of power:// is
 * spared. The supervisor's thread. */
#pragma once

#include "sbin/initd/unit.h"

/* Nothing is started any more; stop_services_ended is called when no service is left. */
void unwind_begin(void);
bool unwinding(void);

/* When a unit has ended: tells those whom nobody needs any more; a circle of `after`: all of it. */
void unwind_step(void);

/* To end itself, by each of its ports: whichever it looks at first ends it. What drivers share is for the end of all. */
void unwind_tell(struct unit *unit);

/* The deadline of one that was told has passed: the first time it is killed, the second time it is left, and forgotten if its
 * device is gone. */
void unwind_overdue(struct unit *unit);
