/* Offsets of structures' fields, for assembly: absolute symbols, which the linker puts into the instructions. So
 * the structures may change and nothing has to be kept in step. */
#include "abi/errors.h"
#include "kernel/process.h"
#include "kernel/sched/thread.h"
#include "kernel/x86_64/machine.h"

#define CONSTANT(name, value) \
    __asm__ volatile(".globl " #name "\n\t.set " #name ", %c0" : : "i"(value))
#define OFFSET(name, type, member) CONSTANT(name, offsetof(type, member))

void offsets_for_assembly(void);

void offsets_for_assembly(void)
{
    OFFSET(cpu_at_gs, struct cpu, arch.self);
    OFFSET(CPU_KERNEL_STACK, struct cpu, arch.kernel_stack);
    OFFSET(CPU_USER_RSP, struct cpu, arch.user_rsp);
    OFFSET(CPU_CURRENT, struct cpu, current);
    OFFSET(CPU_NEED_RESCHED, struct cpu, need_resched);
    OFFSET(REGISTER_FRAME_RIP, struct register_frame, rip);
    OFFSET(THREAD_WORK, struct thread, work);
    OFFSET(THREAD_BLOCK, struct thread, block);
    OFFSET(THREAD_PROCESS, struct thread, process);
    OFFSET(PROCESS_CALL_ENTRY, struct process, personality.call_entry);
    OFFSET(BLOCK_RIP, struct abi_block, rip);
    OFFSET(BLOCK_RFLAGS, struct abi_block, rflags);
    OFFSET(BLOCK_RSP, struct abi_block, rsp);
    OFFSET(FRAME_CS, struct abi_frame, cs);
    CONSTANT(MINUS_SYSCALL_BASE, -(int64_t)SYSCALL_BASE);
    CONSTANT(MINUS_E_FAULT, -E_FAULT);
    CONSTANT(SYSCALL_COUNT, SYSCALL_LIMIT);
    CONSTANT(SHORT_RETURN_ACCEPT, SYSCALL_PROTO_RETURN_ACCEPT);
    _Static_assert(SYSCALL_FILE_CALL_SHORT == SYSCALL_LIMIT, "the first number that is not listed");
    CONSTANT(FRAME_TO_IST_CPU, sizeof(struct abi_frame) - 2 * sizeof(uint64_t) +
                                   offsetof(struct ist_stack, cpu) -
                                   offsetof(struct ist_stack, frame_rest));
}
