/* ARCH_HAND_OVER for host tests. A short call's hand-over happens in fake_cpus.c, once the relay has said whose frame to leave
 * with; those with a stack are switches of stacks at once. */
#pragma once

#include "kernel/panic.h"
#include "kernel/sched/thread.h"
#include "tests/host/fake_cpus.h"

static inline void arch_park(struct thread *thread, struct register_frame *frame)
{
    ASSERT(frame == fake_frame(thread));
    fake_park(thread);
}

static inline void arch_hand_over(struct cpu *cpu, struct thread *from,
                                  struct register_frame *frame, struct thread *to)
{
    ASSERT(cpu == cpu_self() && to != from);
    arch_park(from, frame);
}

static inline void arch_hand_over_stack(struct cpu *cpu, struct thread *from, struct thread *to,
                                        struct register_frame *frame)
{
    ASSERT(cpu == cpu_self() && frame == fake_frame(to));
    fake_leave_stack(from, to);
}

static inline NORETURN void arch_resume_stack(struct thread *to, uint32_t *left)
{
    fake_resume_stack(container_of(left, struct thread, on_cpu), to);
}
