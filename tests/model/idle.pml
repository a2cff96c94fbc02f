/* How a CPU is made to look for work (kernel/sched/idle.h), for spin: one CPU that runs threads, polls, halts; others that queue
 * threads there and nudge it.
 *
 *     tests/model/run [idle]      every interleaving; part of `make test` as model/idle
 *
 * A read-modify-write, and what is done under the queue's lock, is one atomic step here; every other read and write is a step of
 * its own.
 *
 * Shown: every thread that is queued is seen, by a CPU that idles and by one whose thread does not stop by itself; one nudge is one
 * interrupt at most; who nudges a CPU that polls sends none.
 */
#ifndef CALLERS
#define CALLERS 2 /* who nudge; `make soak` defines it too */
#endif
#ifndef CALLS
#define CALLS 2 /* each of them, one after the other */
#endif
#define ALL (CALLERS * CALLS)

#define WANTED 1
#define POLLED 2

byte need_resched;
byte queued;      /* threads in the CPU's queue */
byte taken;       /* ghost: threads that the CPU has seen there */
bool kicked;      /* arch_cpu_kick: an interrupt is on its way */
bool pending;     /* in the CPU's interrupt controller */
bool polls;       /* ghost: between the two steps that set and clear POLLED */
byte interrupts;  /* ghost: sent */

proctype other() {
    byte before, call;
    bool polled;

    do
    :: call == CALLS -> break
    :: else ->
        call++;
        atomic { queued++ }
        atomic { /* sched_nudge */
            before = need_resched;
            polled = polls && !(need_resched & WANTED);
            need_resched = need_resched | WANTED
        }
        assert(!polled || before != 0);
        if
        :: before == 0 -> /* arch_cpu_kick */
            atomic { before = kicked; kicked = true }
            if
            :: !before -> atomic { pending = true; interrupts++; assert(interrupts <= ALL) }
            :: else
            fi
        :: else
        fi
    od
}

/* sched_looking, and the queue: who is not chosen has seen to it that the timer of the slice is set. */
inline take() {
    need_resched = 0;
    atomic { taken = taken + queued; queued = 0 }
}

inline interrupt() { /* on_reschedule */
    atomic { pending -> pending = false }
    kicked = false
}

active proctype cpu() {
    bool work, ticked;
    byte turns;

idle:
    need_resched = 0; /* sched_looking */
look:
    work = queued > 0;
    if
    :: !work -> work = need_resched & WANTED
    :: else
    fi;
    if
    :: work -> goto choose
    :: else
    fi;
    if
    :: skip /* it does not poll */
    :: atomic { need_resched = need_resched | POLLED; polls = true }
        turns = 0;
        do
        :: queued > 0 -> break
        :: need_resched & WANTED -> break
        :: pending -> interrupt()
        :: !ticked -> ticked = true; need_resched = WANTED /* sched_look, by its own timer */
        :: turns < 2 -> turns++
        :: turns == 2 -> break
        od;
        atomic { need_resched = need_resched & WANTED; polls = false }
        if
        :: queued > 0 -> goto choose
        :: need_resched & WANTED -> goto choose
        :: else
        fi
    fi;
    if /* sti; hlt */
    :: pending -> interrupt()
    :: taken == ALL -> goto end
    fi;
choose: /* sched_switch */
    if
    :: queued == 0 -> goto idle
    :: else -> take()
    fi;
leave: /* on the way to user mode */
    if
    :: need_resched != 0 -> take(); goto leave /* sched_preempt */
    :: else
    fi;
    if /* user mode */
    :: goto idle /* the thread waits */
    :: skip      /* or only an interrupt ends it */
    fi;
    if
    :: pending -> interrupt(); goto leave
    :: taken == ALL
    fi;
end:
    skip
}

init {
    byte i;

    atomic {
        do
        :: i == CALLERS -> break
        :: else -> run other(); i++
        od
    }
}
