/* What ACPICA asks of the system it runs on (its acpiosxf.h), as far as the rest of powerd must know. One thread: there is
 * nobody to exclude, so locks are nothing, and a semaphore that is not free never will be.
 *
 *     osl_prepare(&tables, port)
 *     osl_interrupt_bind(gsi, IRQ_*, handler, context)     an interrupt of ours; ACPICA itself binds the SCI this way
 *     osl_interrupt(key)                                   it fired: calls the handler, then does what was put off
 */
#pragma once

#include "lib/sys/syscall.h"
#include "sbin/powerd/tables.h"

/* Whether it was the handler's device. */
typedef bool osl_handler(void *context);

void osl_prepare(struct tables *tables, handle_t port);
bool osl_interrupt_bind(uint32_t gsi, uint32_t flags, osl_handler *handler, void *context);
bool osl_interrupt(uint64_t key);
void osl_work(void);
