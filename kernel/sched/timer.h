/* Timers: a red-black tree per CPU, and one hardware deadline. Tickless.
 *
 *     timer_start(&timer, deadline)     on this CPU's tree
 *     timer_cancel(&timer)              afterwards `fire` neither runs nor will (it runs under the tree's lock)
 *     timer_want(deadline)              the hardware must fire no later (slices)
 *
 * `fire` runs in the timer interrupt under the tree's lock (RANK_TIMER): it wakes threads and signals objects, no
 * more. The hardware is only ever set earlier; when it fires with nothing due it is set anew: cheaper than
 * setting it for each timer that goes.
 */
#pragma once

#include "kernel/cpu.h"

struct timer {
    struct rb_node node;
    uint64_t deadline;
    struct cpu *cpu; /* whose tree it is or was in; NULL: never started. The owner's to change */
    bool queued;     /* in that tree; under its lock */
    void (*fire)(struct timer *timer);
};

void timer_start(struct timer *timer, uint64_t deadline);
/* From its own `fire`: again at deadline. */
void timer_restart_locked(struct timer *timer, uint64_t deadline);
void timer_cancel(struct timer *timer);
void timer_want(uint64_t deadline);
void timer_interrupt(void);
