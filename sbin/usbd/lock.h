/* The one lock of usbd, and waiting for what others do under it.
 *
 * Everything the headers of this folder describe is under it, unless they say otherwise. Four kinds of threads take it: the one that
 * serves usb://, and for each controller one that hears its events, one that looks after hubs, and one for each device that does
 * what drivers ask for and that takes time. Only those of hubs and devices wait here (for commands, requests, and time
 * to pass): events are heard while they do.
 */
#pragma once

#include "lib/base/base.h"

#define MILLISECOND INT64_C(1000000)

void usbd_lock(void);
void usbd_unlock(void);
/* Something has changed that somebody may wait for. */
void usbd_changed(void);
/* Until the next change, or the deadline: false. What is waited for is looked at again in either case. */
bool usbd_wait(int64_t deadline);
/* Lets time pass, the lock let go of meanwhile. */
void usbd_sleep(int64_t nanoseconds);
