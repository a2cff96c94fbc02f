/* Idle CPUs: who they are, what they do, and how a CPU is made to look for work.
 *
 *     idle_find(affinity)     an idle CPU to queue a thread on
 *     sched_nudge(cpu)        another CPU: something was queued there, or is to be stolen
 *     sched_rouse()           the same for an idle CPU, if there is one
 *     sched_idle()            what an idle CPU does, for ever
 *
 * An idle CPU announces itself, looks once more for work, its own or another queue's, and halts until an interrupt. While other CPUs
 * are at work it first polls for idle_poll_ns: what they hand out is often an answer that is soon there, and then neither side pays for
 * an interrupt. When all CPUs are idle nobody can hand out anything, and it halts at once; one CPU alone never polls.
 *
 * Who gets the interrupt is decided by one word, cpu->need_resched, that both sides only change by read-modify-writes. So one of them
 * comes first, and either the idle CPU sees WANTED, or the other sees POLLED gone and interrupts; an interrupt that comes before
 * HLT ends it.
 *
 *     the idle CPU                                  sched_nudge on another
 *     need_resched |= POLLED                        (the thread is queued)
 *     WANTED? then it looks                         need_resched |= WANTED
 *     need_resched &= ~POLLED                       it was 0? then an interrupt:
 *     WANTED? then it looks                         POLLED: it sees WANTED
 *     sti; hlt                                      WANTED: it was told, and has not looked yet
 *
 * The mask of idle CPUs is a hint. Whoever nudges a CPU takes it out, so the next one finds another; the CPU comes back when it has
 * looked and found nothing. tests/model/idle.pml has every interleaving.
 */
#pragma once

#include "kernel/cpu.h"

/* About what the interrupt and the end of HLT cost in a virtual machine, where they are dearest: so waiting costs twice what it must
 * at most. */
#define IDLE_POLL_NS UINT64_C(10000)

/* Each takes effect when a CPU next idles. Returns what it was. */
uint64_t idle_set_poll(uint64_t ns);

bool idle_is(const struct cpu *cpu);
/* affinity: as a thread's. NULL: none. */
struct cpu *idle_find(uint64_t affinity);

void sched_nudge(struct cpu *cpu);
void sched_rouse(void);
NORETURN void sched_idle(void);
