/* CPU exceptions: the program's become signals; the personality's own are either an access to program memory with
 * a fix-up (user.h), or a bug that ends the process. */
#include "lib/linux/exception.h"

#include "lib/linux/log.h"
#include "lib/linux/process.h"
#include "lib/linux/signal.h"

#define VECTOR_DIVIDE     0
#define VECTOR_DEBUG      1
#define VECTOR_BREAKPOINT 3
#define VECTOR_OVERFLOW   4
#define VECTOR_BOUNDS     5
#define VECTOR_OPCODE     6
#define VECTOR_SEGMENT    11
#define VECTOR_STACK      12
#define VECTOR_PROTECTION 13
#define VECTOR_PAGE       14
#define VECTOR_X87        16
#define VECTOR_ALIGNMENT  17
#define VECTOR_SIMD       19

#define RFLAGS_TRAP BIT(8)

struct exception_entry {
    uint64_t instruction, fixup;
};

__attribute__((visibility("hidden"))) extern const struct exception_entry exception_table_start[],
    exception_table_end[];
__attribute__((visibility("hidden"))) extern const char personality_text_start[],
    personality_text_end[];

/* Something is mapped there, but not for this access. */
static int page_fault_code(uint64_t address)
{
    int64_t state = sys_space_op(HANDLE_SELF, SPACE_OP_QUERY,
                                 ALIGN_DOWN(address, (uint64_t)PAGE_SIZE), PAGE_SIZE, 0);

    return state < 0 ? LINUX_SEGV_MAPERR : LINUX_SEGV_ACCERR;
}

void exception_program(struct thread *thread)
{
    const struct abi_frame *frame = &thread->frame;

    switch (frame->vector) {
    case VECTOR_DIVIDE:
        signal_fault(thread, LINUX_SIGFPE, LINUX_FPE_INTDIV, frame->rip);
        break;
    case VECTOR_X87:
    case VECTOR_SIMD:
        signal_fault(thread, LINUX_SIGFPE, LINUX_FPE_FLTINV, frame->rip);
        break;
    case VECTOR_DEBUG:
        signal_fault(thread, LINUX_SIGTRAP, LINUX_TRAP_TRACE, frame->rip);
        break;
    case VECTOR_BREAKPOINT:
        signal_fault(thread, LINUX_SIGTRAP, LINUX_SI_KERNEL, 0);
        break;
    case VECTOR_OPCODE:
        signal_fault(thread, LINUX_SIGILL, LINUX_ILL_ILLOPN, frame->rip);
        break;
    case VECTOR_SEGMENT:
    case VECTOR_STACK:
        signal_fault(thread, LINUX_SIGBUS, LINUX_SI_KERNEL, 0);
        break;
    case VECTOR_ALIGNMENT:
        signal_fault(thread, LINUX_SIGBUS, LINUX_BUS_ADRALN, 0);
        break;
    case VECTOR_PAGE:
        if (frame->cause == E_NO_MEMORY)
            signal_no_memory(thread); /* a handler would need memory too */
        if (frame->cause == E_FAULT)
            signal_fault(thread, LINUX_SIGSEGV, page_fault_code(frame->address), frame->address);
        else /* past the end of a file, or its service cannot bring the page */
            signal_fault(thread, LINUX_SIGBUS, LINUX_BUS_ADRERR, frame->address);
        break;
    case VECTOR_OVERFLOW:
    case VECTOR_BOUNDS:
    case VECTOR_PROTECTION:
    default:
        signal_fault(thread, LINUX_SIGSEGV, LINUX_SI_KERNEL, 0);
        break;
    }
}

/* The kernel refused the program's registers. */
void exception_lost(struct thread *thread)
{
    signal_fault(thread, LINUX_SIGSEGV, LINUX_SI_KERNEL, 0);
}

void exception_nested(struct abi_frame *frame)
{
    for (const struct exception_entry *entry = exception_table_start; entry < exception_table_end;
         entry++)
        if (frame->rip == entry->instruction) {
            frame->rip = entry->fixup;
            return;
        }
    struct thread *thread = thread_current();
    if (frame->vector == VECTOR_DEBUG) { /* the program's trap flag, put back a moment too early */
        frame->rflags &= ~RFLAGS_TRAP;
        return;
    }
    log_number("linux: exception in the personality: vector ", frame->vector);
    log_number("linux: at text + ", frame->rip - PERSONALITY_TEXT);
    log_number("linux: address ", frame->address);
    for (uint64_t *word = (uint64_t *)frame->rsp, shown = 0;
         (uint64_t)word < (uint64_t)thread && shown < 8; word++)
        if (*word - PERSONALITY_TEXT < (uint64_t)(personality_text_end - personality_text_start)) {
            log_number("linux: maybe called from text + ", *word - PERSONALITY_TEXT);
            shown++;
        }
    process_exit(thread->process, LINUX_SIGSEGV);
}
