/* CPUs that run threads, for host tests of what the scheduler and the relay do together: kernel/sched, kernel/ipc and
 * kernel/proto are linked as they are, and hammered in parallel under a sanitizer.
 *
 *     fake_cpus_run(program, argument)      a process runs program(argument) on CPUs 0 to 3; back when nothing runs any more
 *     user_call(CALL_open, ...)             in a program: a system call; it may be the thread's last (killed)
 *     user_short(number, &registers)        ... of the relay's short form (fake_user.h makes both comfortable)
 *     user_point()                          in a long computation: interrupts come here, and in system calls only
 *
 * A CPU is a host thread; CPU 0 is the test's own. A kernel thread is a stack of its own that CPUs switch to, as in the
 * machine: it leaves one CPU and goes on on another. Programs are functions of the test, and all spaces are the test's
 * memory. Interrupts are polled where the kernel has them on: in programs, in idle CPUs, in arch_preempt_window.
 *
 * The clock runs fake_speed times as fast as the host's; when every CPU is idle it jumps to the next timer. When every CPU is idle,
 * threads are alive and no timer is set, a wake was lost: that ends the program.
 * Interrupts between CPUs and the clock are made of relaxed atomics, so they order nothing for TSan that a machine does not.
 */
#pragma once

#include "kernel/process.h"
#include "kernel/sched/thread.h"

enum {
#define CALL(number, name, ...) CALL_##name = (number),
#define SYSCALL0                CALL
#define SYSCALL1                CALL
#define SYSCALL2                CALL
#define SYSCALL3                CALL
#define SYSCALL4                CALL
#define SYSCALL5                CALL
#define REGISTERS               CALL
#include "abi/syscalls.def"
#undef CALL
#undef SYSCALL0
#undef SYSCALL1
#undef SYSCALL2
#undef SYSCALL3
#undef SYSCALL4
#undef SYSCALL5
#undef REGISTERS
};

#define RUN_CPUS 4u /* of FAKE_CPUS */

typedef void program(uint64_t argument);

void fake_cpus_run(program *main, uint64_t argument);

/* A thread of process that runs program(argument) on CPUs of mask (0: any). The reference is the caller's. */
struct thread *user_thread(struct process *process, program *start, uint64_t argument,
                           uint64_t affinity);
/* A process with the caller's names, and no thread yet. The reference is the caller's. */
struct process *user_process(void);
int64_t user_call(uint32_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e);
void user_short(uint32_t number, struct register_frame *registers);
void user_point(void);
void user_sleep(uint64_t ns); /* of the fake clock */
void user_yield(void);
uint64_t user_random(void); /* the thread's own sequence, from its creator's */

#define USER(pointer) ((uint64_t)(uintptr_t)(pointer))

/* 20 unless the test says otherwise before it runs anything; 0: the clock stands but for its jumps, so no slice ends. */
extern uint32_t fake_speed;
/* How CPUs went from thread to thread: by arch_switch, and by the relay alone. */
extern uint32_t fake_switches, fake_hand_overs;
extern uint32_t fake_kicks; /* interrupts that CPUs sent each other */

/* The first failure of any program; it stands in fake_failure, and fake_failed() says that it is time to stop. */
void fake_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
bool fake_failed(void);
extern char fake_failure[256];

/* Memory that no user copy can touch; and memory that has to be faulted in each time: copies under locks fail. */
extern char fake_bad[4096], fake_absent[4096];
/* One in so many of these copies fails wherever it is from; 0: none. */
extern uint32_t fake_miss_every;
extern void (*fake_missed)(void); /* when set: called as such a copy fails, with no locks held */
extern void (*fake_copying)(
    void); /* when set: called as a copy between spaces begins that may sleep, with no locks held */

struct register_frame *fake_frame(const struct thread *thread);
/* fake_hand_over.h */
void fake_park(struct thread *thread);
void fake_leave_stack(struct thread *from, struct thread *to);
NORETURN void fake_resume_stack(struct thread *from, struct thread *to);
