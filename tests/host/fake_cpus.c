/* See fake_cpus.h. */
#include "tests/host/fake_cpus.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "abi/errors.h"
#include "kernel/boot.h"
#include "kernel/ipc/short.h"
#include "kernel/panic.h"
#include "kernel/proto/namespace.h"
#include "kernel/sched/futex.h"
#include "kernel/sched/idle.h"
#include "kernel/sched/return.h"
#include "kernel/sched/sched.h"
#include "kernel/sched/timer.h"
#include "kernel/syscall.h"
#include "kernel/vmm/frame.h"
#include "kernel/vmm/heap.h"

#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

#define STACK_SIZE 0x40000u
#define NEVER      UINT64_MAX

enum { ENTRY_CALL, ENTRY_LOADED, ENTRY_RESUMED };

/* --- Stacks -------------------------------------------------------------------------------------------------- */

struct fake_fiber {
    void *sp; /* while nobody runs it */
    struct thread *thread;
    uint32_t running;        /* on a CPU: on one at most, which is the kernel's to see to */
    struct fake_fiber *from; /* who ran on this CPU before */
    uint32_t *left;          /* struct leave's: the CPU was handed over. NULL: by arch_switch */
    bool loaded;             /* its short call is answered: on with entry, not where it left */
    bool parked;             /* it was left in its short call: on with relay_resume likewise */
    jmp_buf entry;           /* of its short call, ENTRY_* */
    struct register_frame frame;
    void (*start)(void);
    uint64_t random;
    void *tsan;
    const void *bottom; /* of the stack, for ASan */
    size_t size;
};

/* Saves what the ABI keeps on the stack, and pops the same from another. ucontext has two system calls in each switch, and
 * ASan does not know it. */
void fake_switch(void **from_sp, void *to_sp);
__asm__(".text\n"
        ".globl fake_switch\n"
        "fake_switch:\n"
        "    pushq %rbp\n    pushq %rbx\n    pushq %r12\n"
        "    pushq %r13\n    pushq %r14\n    pushq %r15\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    popq %r15\n    popq %r14\n    popq %r13\n"
        "    popq %r12\n    popq %rbx\n    popq %rbp\n"
        "    ret\n");

struct register_frame *fake_frame(const struct thread *thread)
{
    return &thread->arch.fiber->frame;
}

/* On a stack that a CPU has switched to: as sched_switched and syscall.S do, the one that was left is let go. */
static void arrived(struct fake_fiber *self)
{
    struct fake_fiber *from = self->from;
    uint32_t *left = self->left;

#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(NULL, &from->bottom, &from->size);
#endif
    self->left = NULL;
    __atomic_store_n(&from->running, 0, __ATOMIC_RELAXED);
    if (left)
        __atomic_store_n(left, 0, __ATOMIC_RELEASE);
    else
        sched_switched(from->thread);
    bool loaded = self->loaded, parked = self->parked;

    self->loaded = self->parked = false;
    if (loaded)
        longjmp(self->entry, ENTRY_LOADED);
    if (parked)
        longjmp(self->entry, ENTRY_RESUMED);
}

static void switch_to(struct fake_fiber *self, struct fake_fiber *to)
{
    if (__atomic_exchange_n(&to->running, 1, __ATOMIC_RELAXED))
        panic("a thread runs on two CPUs");
    to->from = self;
#if defined(__SANITIZE_THREAD__)
    __tsan_switch_to_fiber(to->tsan, 0);
#endif
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(NULL, to->bottom, to->size);
#endif
    fake_switch(&self->sp, to->sp);
    arrived(self);
}

uint32_t fake_switches, fake_hand_overs;

void arch_switch(struct thread *from, struct thread *to)
{
    __atomic_fetch_add(&fake_switches, 1, __ATOMIC_RELAXED);
    switch_to(from->arch.fiber, to->arch.fiber);
}

void fake_park(struct thread *thread)
{
    thread->arch.fiber->parked = true;
}

/* The CPU goes to a thread without the scheduler, which would call sched_switched. */
static void hand_over(struct fake_fiber *from, struct fake_fiber *to, uint32_t *left)
{
    __atomic_fetch_add(&fake_hand_overs, 1, __ATOMIC_RELAXED);
    to->left = left;
    switch_to(from, to);
}

void fake_leave_stack(struct thread *from, struct thread *to)
{
    to->arch.fiber->loaded = true;
    hand_over(from->arch.fiber, to->arch.fiber, &from->on_cpu);
}

void fake_resume_stack(struct thread *from, struct thread *to)
{
    hand_over(from->arch.fiber, to->arch.fiber, &from->on_cpu);
    panic("a parked thread came back to a stack of which nothing is kept");
}

static void fiber_main(void)
{
    struct fake_fiber *self = thread_current()->arch.fiber;

    arrived(self);
    self->start();
    abort();
}

void *arch_stack_alloc(void)
{
    char *stack = malloc(STACK_SIZE);

    return stack ? stack + STACK_SIZE : NULL;
}

void arch_stack_free(void *top)
{
    if (top)
        free((char *)top - STACK_SIZE);
}

int arch_thread_create(struct thread *thread)
{
    struct thread *maker = cpu_self()->current;
    struct fake_fiber *fiber = calloc(1, sizeof(*fiber));

    if (!fiber)
        return -E_NO_MEMORY;
    fiber->thread = thread;
    fiber->random = maker && maker->arch.fiber ? user_random() | 1 : 1;
    thread->arch.fiber = fiber;
    return 0;
}

void arch_thread_init(struct thread *thread, void *stack_top, void (*start)(void))
{
    struct fake_fiber *fiber = thread->arch.fiber;
    uint64_t *stack = stack_top;

    *--stack = 0; /* fiber_main is entered as if called: 8 below a multiple of 16 */
    *--stack = (uint64_t)(uintptr_t)fiber_main;
    for (int i = 0; i < 6; i++)
        *--stack = 0;
    fiber->sp = stack;
    fiber->start = start;
    fiber->bottom = (char *)stack_top - STACK_SIZE;
    fiber->size = STACK_SIZE;
#if defined(__SANITIZE_THREAD__)
    fiber->tsan = __tsan_create_fiber(0);
#endif
}

void arch_thread_destroy(struct thread *thread)
{
    struct fake_fiber *fiber = thread->arch.fiber;

#if defined(__SANITIZE_THREAD__)
    if (fiber && fiber->tsan)
        __tsan_destroy_fiber(fiber->tsan);
#endif
    free(fiber);
}

void arch_set_fs(struct thread *thread, uint64_t base)
{
    (void)thread, (void)base;
}

void arch_set_gs(struct thread *thread, uint64_t base)
{
    (void)thread, (void)base;
}

bool arch_thread_frame(struct thread *thread, struct abi_frame *frame)
{
    (void)thread;
    *frame = (struct abi_frame){0};
    return false;
}

/* --- Time, interrupts, idling ----------------------------------------------------------------------------------- */

uint32_t fake_speed = 20;
static uint64_t clock_start, clock_skipped;
static uint64_t idling; /* CPUs in arch_idle; and, from bit 32 up, how often one has left it */

uint64_t arch_clock(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return ((uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec - clock_start) * fake_speed +
           __atomic_load_n(&clock_skipped, __ATOMIC_RELAXED);
}

uint64_t arch_cycles(void)
{
    return arch_clock();
}

void arch_timer_set(uint64_t deadline)
{
    __atomic_store_n(&cpu_self()->arch.timer_deadline, deadline, __ATOMIC_RELAXED);
}

static void futex(uint32_t *word, int op, uint32_t value, uint64_t timeout)
{
    struct timespec time = {(time_t)(timeout / 1000000000u), (long)(timeout % 1000000000u)};

    syscall(SYS_futex, word, op | FUTEX_PRIVATE_FLAG, value, &time, NULL, 0);
}

uint32_t fake_kicks;

void arch_cpu_kick(struct cpu *cpu)
{
    __atomic_fetch_add(&fake_kicks, 1, __ATOMIC_RELAXED);
    if (!__atomic_exchange_n(&cpu->arch.kicked, 1, __ATOMIC_RELAXED))
        futex(&cpu->arch.kicked, FUTEX_WAKE, 1, 0);
}

static void interrupts(void)
{
    struct cpu *cpu = cpu_self();

    __atomic_store_n(&cpu->arch.kicked, 0, __ATOMIC_RELAXED);
    if (__atomic_load_n(&cpu->arch.timer_deadline, __ATOMIC_RELAXED) <= arch_clock()) {
        arch_timer_set(NEVER);
        timer_interrupt();
    }
}

/* The holder may be a host thread that waits for a host CPU, and so may everybody else on the host. */
void arch_spin_wait(void)
{
    static __thread uint32_t spins;

    if (fake_spin)
        fake_spin();
    if (++spins % 256 == 0)
        fake_yield();
    else
        __builtin_ia32_pause();
}

void arch_preempt_window(void)
{
    interrupts();
}

static jmp_buf run_over;

static bool threads_alive(void)
{
    return object_count(OBJECT_THREAD) > RUN_CPUS;
}

static bool all_idle(void)
{
    return (uint32_t)__atomic_load_n(&idling, __ATOMIC_SEQ_CST) == RUN_CPUS;
}

/* With all CPUs idle and none interrupted time jumps to the next timer. */
static void skip_time(void)
{
    uint64_t before = __atomic_load_n(&idling, __ATOMIC_SEQ_CST), next = NEVER,
             skipped = __atomic_load_n(&clock_skipped, __ATOMIC_RELAXED);
    uint32_t owner = 0;

    if (!all_idle())
        return;
    for (uint32_t i = 0; i < RUN_CPUS; i++) {
        uint64_t deadline = __atomic_load_n(&cpus[i]->arch.timer_deadline, __ATOMIC_RELAXED);

        if (__atomic_load_n(&cpus[i]->arch.kicked, __ATOMIC_RELAXED))
            return;
        if (deadline < next) {
            next = deadline;
            owner = i;
        }
    }

    bool stuck = next == NEVER && threads_alive();
    uint64_t now = arch_clock();

    if (__atomic_load_n(&idling, __ATOMIC_SEQ_CST) != before)
        return;
    if (stuck)
        panic("every CPU is idle, %d threads wait, and nothing will wake them",
              (int)(object_count(OBJECT_THREAD) - RUN_CPUS));
    if (next == NEVER || next <= now)
        return;
    if (__atomic_compare_exchange_n(&clock_skipped, &skipped, skipped + next - now, false,
                                    __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        futex(&cpus[owner]->arch.kicked, FUTEX_WAKE, 1, 0);
}

#define IDLE_LOOK_NS UINT64_C(1000000) /* of the host's: how often an idle CPU looks at the clock */

void arch_idle(void)
{
    struct cpu *cpu = cpu_self();
    bool over = false;

    __atomic_fetch_add(&idling, 1, __ATOMIC_SEQ_CST);
    for (;;) {
        uint64_t now = arch_clock(),
                 deadline = __atomic_load_n(&cpu->arch.timer_deadline, __ATOMIC_RELAXED);

        over = cpu->index == 0 && all_idle() && !threads_alive();
        if (over || deadline <= now || __atomic_load_n(&cpu->arch.kicked, __ATOMIC_RELAXED))
            break;
        skip_time();
        futex(&cpu->arch.kicked, FUTEX_WAIT, 0,
              MIN((deadline - now) / MAX(fake_speed, 1u), IDLE_LOOK_NS));
    }
    __atomic_fetch_add(&idling, (UINT64_C(1) << 32) - 1, __ATOMIC_SEQ_CST);
    if (over)
        longjmp(run_over, 1);
    interrupts();
}

/* --- Programs ---------------------------------------------------------------------------------------------------- */

char fake_failure[256];
static uint32_t failures;

void fake_fail(const char *format, ...)
{
    va_list arguments;

    if (__atomic_fetch_add(&failures, 1, __ATOMIC_RELAXED))
        return;
    va_start(arguments, format);
    vsnprintf(fake_failure, sizeof(fake_failure), format, arguments);
    va_end(arguments);
}

bool fake_failed(void)
{
    return __atomic_load_n(&failures, __ATOMIC_RELAXED);
}

/* To user mode: what syscall.S and trap.S look at on their way there. */
static void leave_kernel(void)
{
    for (;;) {
        interrupts();
        if (!__atomic_load_n(&cpu_self()->need_resched, __ATOMIC_RELAXED) &&
            !__atomic_load_n(&thread_current()->work, __ATOMIC_RELAXED))
            return;
        user_return(NULL);
    }
}

void user_point(void)
{
    leave_kernel();
}

void arch_enter_user(uint64_t entry, uint64_t stack, uint64_t argument, uint64_t argument2)
{
    (void)stack, (void)argument2;
    leave_kernel();
    ((program *)(uintptr_t)entry)(argument);
    thread_exit(0);
}

int64_t user_call(uint32_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e)
{
    const uint64_t arguments[6] = {a, b, c, d, e};
    int64_t result = syscall_entry(arguments, number);

    leave_kernel();
    return result;
}

static struct leave enter_short(struct register_frame *frame)
{
    if (frame->rax == SYSCALL_BASE + SYSCALL_FILE_CALL_SHORT)
        return relay_call(frame->rdi, frame->rsi, frame);
    return relay_return_accept(frame->rdi, frame->rsi, frame->rdx, frame);
}

/* The CPU was handed to the thread whose frame is to be loaded. */
static NORETURN void leave_as(struct fake_fiber *self, const struct leave *leave)
{
    struct fake_fiber *to = thread_current()->arch.fiber;

    if (to == self || leave->frame != &to->frame || !self->parked)
        panic("the frame to leave with is not the current thread's");
    to->loaded = true;
    hand_over(self, to, leave->left);
    panic("a parked thread came back to a stack of which nothing is kept");
}

static void short_call(struct fake_fiber *self)
{
    struct leave leave;

    switch (setjmp(self->entry)) {
    case ENTRY_CALL:
        leave = enter_short(&self->frame);
        break;
    case ENTRY_RESUMED:
        leave = relay_resume(&self->frame);
        break;
    default:
        return;
    }
    if (leave.frame != &self->frame)
        leave_as(self, &leave);
    __atomic_store_n(leave.left, 0, __ATOMIC_RELEASE);
}

void user_short(uint32_t number, struct register_frame *registers)
{
    struct fake_fiber *self = thread_current()->arch.fiber;

    self->frame = *registers;
    self->frame.rax = SYSCALL_BASE + number;
    short_call(self);
    *registers = self->frame;
    leave_kernel();
}

void user_sleep(uint64_t ns)
{
    static const uint32_t word;

    user_call(CALL_futex_wait, USER(&word), 0, 0, arch_clock() + ns, FUTEX_ANY);
}

void user_yield(void)
{
    sched_yield();
    leave_kernel();
}

uint64_t user_random(void)
{
    uint64_t *state = &thread_current()->arch.fiber->random;

    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717);
}

static struct thread *thread_of(struct process *process, program *start, uint64_t argument,
                                uint64_t affinity)
{
    struct thread *thread;

    if (thread_new(process, &thread))
        return NULL;
    thread->affinity = affinity;
    thread_start(thread, &(struct thread_start){.entry = USER(start), .argument = argument});
    return thread;
}

struct thread *user_thread(struct process *process, program *start, uint64_t argument,
                           uint64_t affinity)
{
    struct thread *thread = thread_of(process, start, argument, affinity);

    leave_kernel();
    return thread;
}

struct process *user_process(void)
{
    struct process *process;

    if (process_new(NULL, NULL, NULL, process_current()->names, &process))
        abort();
    return process;
}

/* --- Running ------------------------------------------------------------------------------------------------------ */

static uint32_t cpus_up;
static struct fake_fiber *idle_fibers[RUN_CPUS]; /* a way to them for LSan */

static void cpu_begin(uint32_t index)
{
    struct cpu *cpu;

    fake_cpu_enter(index);
    cpu = cpu_self();
    cpu->arch.timer_deadline = NEVER;
    cpu->idle = thread_new_idle(cpu);
    if (!cpu->idle || sched_cpu_init(cpu))
        abort();
    idle_fibers[index] = cpu->idle->arch.fiber;
    cpu->idle->arch.fiber->running = 1;
#if defined(__SANITIZE_THREAD__)
    cpu->idle->arch.fiber->tsan = __tsan_get_current_fiber();
#endif
    cpu->current = cpu->idle;
    __atomic_fetch_add(&cpus_up, 1, __ATOMIC_ACQ_REL);
    while (__atomic_load_n(&cpus_up, __ATOMIC_ACQUIRE) < RUN_CPUS)
        fake_yield();
}

static void *cpu_thread(void *index)
{
    cpu_begin((uint32_t)(uintptr_t)index);
    sched_idle();
}

static void start(void)
{
    pthread_t id;

    fake_init();
    cpu_count = RUN_CPUS;
    fake_ram(0x100000, 64 << 20);
    frame_init(&boot_info);
    heap_init();
    futex_init();
    clock_start = fake_speed ? arch_clock() / fake_speed : 0;
    for (uintptr_t i = 1; i < RUN_CPUS; i++)
        if (pthread_create(&id, NULL, cpu_thread, (void *)i) || pthread_detach(id))
            abort();
    cpu_begin(0);
}

/* The idle thread of CPU 0 makes the first process, as the boot does. */
void fake_cpus_run(program *main, uint64_t argument)
{
    struct namespace *names;
    struct process *process;
    struct thread *thread;

    if (!cpus_up)
        start();
    failures = 0;
    fake_failure[0] = 0;
    if (namespace_new(&names) || process_new(NULL, NULL, NULL, names, &process))
        abort();
    thread = thread_of(process, main, argument, 0);
    if (!thread)
        abort();
    object_put(&thread->object);
    object_put(&process->object);
    object_put(&names->object);
    if (!setjmp(run_over))
        sched_idle();
}
