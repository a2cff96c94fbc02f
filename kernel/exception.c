/* CPU exceptions of user threads: to whoever has asked to be told of the process's (ipc/exceptions.c), else to the
 * personality if there is one, else the end of the process, whose status tells whoever holds its handle. */
#include "kernel/exception.h"

#include "kernel/log.h"
#include "kernel/sched/return.h"
#include "kernel/vmm/space.h"

#define VECTOR_PAGE_FAULT 14

#define RFLAGS_TRAP      BIT(8)
#define RFLAGS_DIRECTION BIT(10)
#define RFLAGS_NESTED    BIT(14)
#define RFLAGS_ALIGNMENT BIT(18)

static const char *const vector_names[] = {
    "divide error",
    "debug",
    "NMI",
    "breakpoint",
    "overflow",
    "bound range",
    "invalid opcode",
    "no FPU",
    "double fault",
    "9",
    "invalid TSS",
    "segment not present",
    "stack fault",
    "general protection",
    "page fault",
    "15",
    "x87 error",
    "alignment check",
    "machine check",
    "SIMD error",
    "virtualisation",
    "control protection",
};

static const char *vector_name(uint64_t vector)
{
    return vector < ARRAY_SIZE(vector_names) ? vector_names[vector] : "exception";
}

/* The flags a handler starts with: those of a function call. */
static void enter_at(struct abi_frame *frame, uint64_t entry, uint64_t stack)
{
    frame->rip = entry;
    frame->rsp = stack;
    frame->rflags &= ~(RFLAGS_TRAP | RFLAGS_DIRECTION | RFLAGS_NESTED | RFLAGS_ALIGNMENT);
}

static void unhandled(struct process *process, const struct abi_frame *frame)
{
    log_info("%s (%lu): %s at %lx, address %lx, error %lx, rsp %lx", process->name,
             (unsigned long)process->object.id, vector_name(frame->vector),
             (unsigned long)frame->rip, (unsigned long)frame->address, (unsigned long)frame->error,
             (unsigned long)frame->rsp);
    process_end(process, EXIT_EXCEPTION | (uint32_t)(frame->vector & 0xff));
}

void personality_enter(struct thread *thread, struct abi_frame *frame, uint64_t entry)
{
    if (user_copy_out(UADDR(thread->block + offsetof(struct abi_block, frame)), frame,
                      sizeof(*frame))) {
        unhandled(thread->process, frame);
        return;
    }
    enter_at(frame, entry, thread->block);
}

/* An exception inside the personality: the frame goes below its stack, so that it can go on behind it. */
static void enter_nested(struct thread *thread, struct abi_frame *frame, uint64_t entry)
{
    uint64_t stack = ALIGN_DOWN(frame->rsp - sizeof(*frame), 16);

    if (user_copy_out(UADDR(stack), frame, sizeof(*frame))) {
        unhandled(thread->process, frame);
        return;
    }
    frame->rdi = stack;
    enter_at(frame, entry, stack);
}

static void deliver(struct thread *self, struct abi_frame *frame)
{
    const struct abi_personality *personality = &self->process->personality;

    if (!self->block || !personality->exception_entry)
        unhandled(self->process, frame);
    else if (!personality_text(personality, frame->rip))
        personality_enter(self, frame, personality->exception_entry);
    else if (personality->nested_entry)
        enter_nested(self, frame, personality->nested_entry);
    else
        unhandled(self->process, frame);
}

/* The personality's own exceptions, which it expects: of program memory that it copies. */
static bool recovers(const struct thread *self, const struct abi_frame *frame)
{
    const struct abi_personality *personality = &self->process->personality;

    return self->block && personality->nested_entry && personality_text(personality, frame->rip);
}

void exception_user(struct abi_frame *frame)
{
    struct thread *self = thread_current();

    uint32_t cause = frame->vector == VECTOR_PAGE_FAULT ? self->fault_cause : 0;

    if (unlikely(self->process->exceptions) && !recovers(self, frame) &&
        exception_tell(self, frame, cause))
        return;
    frame->cause = cause;
    deliver(self, frame);
    frame->cause = 0; /* on the kernel stack the word says that this is no system call */
}
