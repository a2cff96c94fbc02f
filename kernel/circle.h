/* Circles: processes that cannot run and that nobody reaches but they themselves. They are found and ended. See circle.c.
 *
 *     circle_watch(process)      it cannot run just now: it was made without a thread, or its threads are suspended.
 *                                Whoever is to have it has a handle by now
 *     circle_unwatch(process)    it has ended
 *     circle_suspect()           somebody gave up a way to something (object.h does so with each handle that goes)
 *     circle_step()              a piece of the search: what an idle CPU does
 *     circle_search()            all of it: what whoever makes a process does first, so that circles cannot pile up
 */
#pragma once

#include <stdbool.h>

struct process;

void circle_watch(struct process *process);
void circle_unwatch(struct process *process);
void circle_suspect(void);
bool circle_step(void); /* false: there is nothing to do */
void circle_search(void);
