/* The way back to user mode: kills, suspension, kicks and rescheduling. See return.h.
 *
 * A kick (THREAD_INTERRUPT, a signal for a Linux program) finds the thread in one of four places:
 *
 *     in the program                         registers go to block->frame; enter kick_entry
 *     in the personality                     block->kick = 1: it looks before it returns
 *     in the personality's return window     the same, and the window starts over
 *     in a native system call                block->kick = 1. A program that makes native calls itself (a service)
 *                                            gets -E_INTERRUPTED, and the signal with its next foreign call
 *
 * What is latched must end waits as well, or a kick between the personality's last look and its next native call is
 * lost for as long as that call sleeps. latch_kick therefore notes it in thread->latched, and a thread with a note looks at
 * block->kick before it sleeps (return_kick_latched, from wait_block):
 *
 *     LATCHED_NONE --latch--> LATCHED_KICK --a wait of the program ended--> LATCHED_TOLD
 *          ^                       |                                            |
 *          +--- block->kick is 0: the personality has looked -------------------+
 *
 * The personality's waits end until it looks: it always does before it returns. A program's own native calls cannot
 * look; one wait is ended for each kick, lest a service's loop turns without end.
 */
#include "kernel/sched/return.h"

#include "kernel/circle.h"
#include "kernel/exception.h"
#include "kernel/process.h"
#include "kernel/sched/sched.h"
#include "kernel/sched/wait.h"

void return_check(void)
{
    struct thread *self = thread_current();

    for (;;) {
        if (thread_has_work(self, WORK_KILL))
            thread_exit(0);
        if (thread_has_work(self, WORK_SUSPEND)) {
            process_end_unreachable(self->process);
            circle_watch(self->process);
            wait_parked();
        } else if (__atomic_load_n(&cpu_self()->need_resched, __ATOMIC_ACQUIRE)) {
            sched_preempt();
        } else {
            return;
        }
    }
}

static void clear_kick(struct thread *self)
{
    __atomic_fetch_and(&self->work, ~WORK_KICK, __ATOMIC_SEQ_CST);
}

static void latch_kick(struct thread *self)
{
    uint32_t one = 1;

    clear_kick(self);
    self->latched = LATCHED_KICK;
    if (user_copy_out(UADDR(self->block + offsetof(struct abi_block, kick)), &one, sizeof(one)))
        process_end(self->process, EXIT_EXCEPTION);
}

bool return_kick_latched(void)
{
    struct thread *self = thread_current();
    struct abi_frame caller;
    uint32_t kick;

    /* The page was written when the kick was latched: it is there unless the process plays with it. */
    if (!self->block ||
        user_copy_in_nofault(&kick, UADDR(self->block + offsetof(struct abi_block, kick)),
                             sizeof(kick)) ||
        !kick) {
        self->latched = LATCHED_NONE;
        return false;
    }
    arch_thread_frame(self, &caller);
    if (personality_text(&self->process->personality, caller.rip))
        return true;

    bool told = self->latched == LATCHED_TOLD;

    self->latched = LATCHED_TOLD;
    return !told;
}

static void deliver_kick(struct thread *self, struct abi_frame *frame)
{
    const struct abi_personality *personality = &self->process->personality;

    if (!self->block) {
        clear_kick(self); /* only there to end waits */
    } else if (!frame) {
        latch_kick(self);
    } else if (personality_text(personality, frame->rip)) {
        latch_kick(self);
        if (frame->rip >= personality->window_start && frame->rip < personality->window_end) {
            frame->rip = personality->window_start;
            frame->rsp = self->block;
        }
    } else {
        clear_kick(self);
        frame->vector = frame->error = frame->address = 0;
        personality_enter(self, frame, personality->kick_entry);
    }
}

void user_return(struct abi_frame *frame)
{
    struct thread *self = thread_current();

    return_check();
    if (thread_has_work(self, WORK_KICK)) {
        deliver_kick(self, frame);
        return_check();
    }
}
