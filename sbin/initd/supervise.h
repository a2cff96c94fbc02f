/* The services' lives.
 *
 *   WAITING --all of `after` ready (or late)--> STARTING --accepts on all its protocols--> READY
 *      ^                                           |  \--ready deadline: logged, LATE--------^
 *      |                                           v
 *   (boot)          PAUSED <--ended, restart always-- STARTING, LATE, READY --ended, restart never--> ENDED
 *                      \--after the pause, and once its bus's list is known, if it is a driver--> STARTING
 *
 * Drivers (drivers.h) are the same, a unit for each device, which comes to be when its bus lists it. When that lists it no longer,
 * its driver is STOPPING, and forgotten when it has ended (devices.h).
 *
 * When the system stops (unwind.h), whoever no living service has in its `after` is told (PORT_STOP) and ends, or is killed:
 *
 *   STARTING, LATE, READY --told--> STOPPING --ended, or killed at the deadline--> ENDED      WAITING, PAUSED --> ENDED
 *
 * The service of power:// is spared. Pauses are life.h's. One thread: that of the log service's loop, whose port also receives the notifications (keys
 * below). When initd itself comes back it takes over what the roster says was started: those units begin in STARTING,
 * and are READY at once if they serve.
 */
#pragma once

#include <stdio.h>

#include "lib/sys/syscall.h"
#include "sbin/initd/posix.h"
#include "sbin/initd/unit.h"

/* What other threads tell the supervisor's, in the software notification of log://'s port; several may come as one. */
#define NOTIFY_STOP  UINT64_C(1) /* the services are to end (stop.h) */
#define NOTIFY_LISTS UINT64_C(2) /* a bus has another list of devices (drivers.h) */
#define NOTIFY_OFF   UINT64_C(4) /* a signal asks for it */
#define NOTIFY_RESET UINT64_C(8)

/* Reads /etc/services and /etc/services.d; makes the protocols. What is wrong is logged and left out. */
void supervise_load(handle_t port);

/* Takes over what runs, starts what waits for nothing. */
void supervise_start(handle_t port);
/* A unit that came later. */
void supervise_begin(struct unit *unit);

void supervise_notified(uint64_t key, uint64_t signals);
int64_t supervise_deadline(void);
void supervise_expired(void);

/* Adds what runs. */
void supervise_spare(struct posix_spared *spared);

/* Tables for people: how the services are; what those with limits use, and the sessions. */
void supervise_status(FILE *stream);
void supervise_quotas(FILE *stream);
