/* ARCH_HAND_OVER for host tests: the CPU changes hands in fake_cpus.c, once the relay has said whose frame to leave with. */
#pragma once

#include "kernel/panic.h"
#include "kernel/sched/thread.h"
#include "tests/host/fake_cpus.h"

static inline void arch_hand_over(struct cpu *cpu, struct thread *from,
                                  struct register_frame *frame, struct thread *to)
{
    ASSERT(cpu == cpu_self() && frame == fake_frame(from) && to != from);
}
