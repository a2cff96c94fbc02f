/* A process with a space and one running thread, for host tests of memory: what process_current() answers on
 * this CPU, and whose memory the user copies reach. */
#pragma once

#include "kernel/boot.h"
#include "kernel/sched/thread.h"
#include "kernel/vmm/fail.h"
#include "kernel/vmm/fault.h"
#include "kernel/vmm/heap.h"
#include "kernel/vmm/space.h"

struct fake_process {
    struct process process;
    struct thread thread;
};

static __thread struct fake_process fake_process;

static inline void fake_process_enter(struct space *space)
{
    fake_process.process.space = space;
    fake_process.thread.process = &fake_process.process;
    cpu_self()->current = &fake_process.thread;
}

/* A machine with so much RAM, once per program: caches outlive tests. */
static inline void fake_machine(uint64_t mib)
{
    static bool started;

    if (started)
        return;
    started = true;
    fake_init();
    fake_ram(0x100000, mib << 20);
    frame_init(&boot_info);
    heap_init();
    fake_process_enter(NULL);
}

/* What must be the same before and after. */
static inline uint64_t fake_frames(void)
{
    return frame_count_free() + heap_frames();
}
