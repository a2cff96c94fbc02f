/* Who sits at the machine: the consoles on the screen, and keyboard and mouse, which are those of the one that is shown.
 *
 * Alt-F1 to F4 show a console; keys come from input://, as events of a file that is bound to our port. The first console
 * begins with the log, and shows what goes to a console as it comes; while a program has the alternate screen, when that is over.
 *
 *     picture of the boot --the shown console's first output, Escape, Alt-Fn, an error in the log, or SPLASH_NS--> consoles
 */
#pragma once

#include "sbin/outputd/pointer.h"

#define SEAT_CONSOLES 4u
#define SEAT_KEY      2 /* of input://, as a notification */
#define SEAT_LOG_KEY  3 /* of log:///console */

/* Of what is kept with tty://: the state, and two keys a console from SEAT_KEPT on. */
#define SEAT_KEPT_STATE 2
#define SEAT_KEPT       16

/* Without a screen there are no consoles. memory: what is kept under a key, never NULL. */
void seat_start(handle_t port, void *(*memory)(uint64_t key, size_t size));

uint32_t seat_count(void);
struct terminal *seat_terminal(uint32_t number); /* below seat_count() */

/* There are events at input://. */
void seat_input(void);
/* There are lines at log:///console. */
void seat_log(void);

/* A program wrote to this terminal. */
void seat_written(const struct terminal *terminal);

int64_t seat_deadline(void);
void seat_expire(void);
