/* The services' lives.
 *
 *   WAITING --all of `after` ready (or late)--> STARTING --accepts on all its protocols--> READY
 *      ^                                           |  \--ready deadline: logged, LATE--------^
 *      |                                           v
 *   (boot)          PAUSED <--ended, restart always-- STARTING, LATE, READY --ended, restart never--> ENDED
 *                      \--after the pause--> STARTING
 *
 * Pauses are life.h's. One thread: that of the log service's loop, whose port also receives the notifications (keys
 * below). When initd itself comes back it takes over what the roster says was started: those units begin in STARTING,
 * and are READY at once if they serve.
 */
#pragma once

#include <stdio.h>

#include "lib/sys/syscall.h"

/* Reads /etc/services and /etc/services.d; makes the protocols. What is wrong is logged and left out. */
void supervise_load(handle_t port);

/* Takes over what runs, starts what waits for nothing. */
void supervise_start(void);

void supervise_notified(uint64_t key, uint64_t signals);
int64_t supervise_deadline(void);
void supervise_expired(void);

/* A table for people. */
void supervise_status(FILE *stream);
