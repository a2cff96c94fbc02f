/* What the calls on processes and on threads have in common. */
#pragma once

#include "kernel/process.h"
#include "kernel/sched/thread.h"
#include "kernel/vmm/space.h"

#define THREAD_RIGHTS (RIGHT_CONTROL | RIGHT_WAIT | RIGHT_DUPLICATE | RIGHT_TRANSFER)

/* From user space. E_TOO_LONG, E_FAULT. */
int name_copy_in(uint64_t from, uint64_t length, char name[PROCESS_NAME_MAX]) MUST_CHECK;

/* Where a thread may enter user mode. */
static inline bool start_ok(uint64_t entry, uint64_t stack, uint64_t fs, uint64_t gs,
                            uint64_t block)
{
    return entry < SPACE_END && stack <= SPACE_END && fs < SPACE_END && gs < SPACE_END &&
           block <= SPACE_END - PAGE_SIZE && IS_ALIGNED(block, 16);
}

/* A thread of the process; a reference. */
int thread_launch(struct process *process, uint64_t block, const struct thread_start *start,
                  bool suspended, struct thread **thread) MUST_CHECK;
