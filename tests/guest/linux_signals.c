/* Signals as Linux programs see them. Runs on Linux too. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "tests/host/test.h"

static volatile sig_atomic_t caught, caught_count, caught_code, caught_value;
static volatile pid_t caught_pid;
static sigjmp_buf jump;

static void remember(int signal, siginfo_t *info, void *context)
{
    (void)context;
    caught = signal;
    caught_count++;
    caught_code = info->si_code;
    caught_pid = info->si_pid;
    caught_value = info->si_value.sival_int;
}

static void handle(int signal, int flags)
{
    struct sigaction action = {.sa_sigaction = remember, .sa_flags = SA_SIGINFO | flags};

    CHECK_EQUAL(sigaction(signal, &action, NULL), 0);
    caught = caught_count = 0;
}

static sigset_t set_of(int signal)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, signal);
    return set;
}

/* A child that sends `signal` to us after a while. */
static pid_t sender(int signal, long milliseconds)
{
    pid_t target = getpid(), pid = fork();

    CHECK(pid >= 0);
    if (pid == 0) {
        struct timespec time = {0, milliseconds * 1000000};
        nanosleep(&time, NULL);
        kill(target, signal);
        _exit(0);
    }
    return pid;
}

static void reap(pid_t pid)
{
    while (waitpid(pid, NULL, 0) < 0)
        CHECK_EQUAL(errno, EINTR);
}

TEST(handler_runs)
{
    handle(SIGUSR1, 0);
    CHECK_EQUAL(raise(SIGUSR1), 0);
    CHECK_EQUAL(caught, SIGUSR1);
    CHECK_EQUAL(caught_pid, getpid());
    caught = 0;
    CHECK_EQUAL(kill(getpid(), SIGUSR1), 0);
    CHECK_EQUAL(caught, SIGUSR1);
    CHECK_EQUAL(caught_code, SI_USER);
}

TEST(handler_of_another_process)
{
    handle(SIGUSR1, 0);
    pid_t pid = sender(SIGUSR1, 20);
    while (!caught)
        pause();
    CHECK_EQUAL(caught_pid, pid);
    CHECK_EQUAL(caught_code, SI_USER);
    reap(pid);
}

TEST(reset_and_nodefer)
{
    handle(SIGUSR1, SA_RESETHAND);
    struct sigaction after;
    CHECK_EQUAL(raise(SIGUSR1), 0);
    CHECK_EQUAL(sigaction(SIGUSR1, NULL, &after), 0);
    CHECK(after.sa_handler == SIG_DFL);
}

TEST(blocked_signals_wait)
{
    sigset_t set = set_of(SIGUSR1), pending;

    handle(SIGUSR1, 0);
    CHECK_EQUAL(sigprocmask(SIG_BLOCK, &set, NULL), 0);
    CHECK_EQUAL(raise(SIGUSR1), 0);
    CHECK_EQUAL(kill(getpid(), SIGUSR1), 0);
    CHECK_EQUAL(caught, 0);
    CHECK_EQUAL(sigpending(&pending), 0);
    CHECK(sigismember(&pending, SIGUSR1));
    CHECK_EQUAL(sigprocmask(SIG_UNBLOCK, &set, NULL), 0);
    CHECK_EQUAL(caught, SIGUSR1);
}

TEST(blocked_while_handled)
{
    struct sigaction action = {.sa_sigaction = remember, .sa_flags = SA_SIGINFO};
    sigset_t mask;

    sigaddset(&action.sa_mask, SIGUSR2);
    CHECK_EQUAL(sigaction(SIGUSR1, &action, NULL), 0);
    CHECK_EQUAL(raise(SIGUSR1), 0);
    CHECK_EQUAL(sigprocmask(SIG_BLOCK, NULL, &mask), 0);
    CHECK(!sigismember(&mask, SIGUSR1) && !sigismember(&mask, SIGUSR2));
}

TEST(suspend)
{
    sigset_t set = set_of(SIGUSR1), none;

    sigemptyset(&none);
    handle(SIGUSR1, SA_RESTART);
    sigprocmask(SIG_BLOCK, &set, NULL);
    pid_t pid = sender(SIGUSR1, 20);
    CHECK_EQUAL(sigsuspend(&none), -1);
    CHECK_EQUAL(errno, EINTR);
    CHECK_EQUAL(caught, SIGUSR1);
    sigset_t mask;
    sigprocmask(SIG_BLOCK, NULL, &mask);
    CHECK(sigismember(&mask, SIGUSR1));
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    reap(pid);
}

TEST(wait_for_one)
{
    sigset_t set = set_of(SIGUSR1);
    struct timespec soon = {0, 10000000};
    siginfo_t info;

    sigprocmask(SIG_BLOCK, &set, NULL);
    CHECK_EQUAL(sigtimedwait(&set, &info, &soon), -1);
    CHECK_EQUAL(errno, EAGAIN);
    pid_t pid = sender(SIGUSR1, 20);
    CHECK_EQUAL(sigwaitinfo(&set, &info), SIGUSR1);
    CHECK_EQUAL(info.si_pid, pid);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    reap(pid);
}

TEST(queued_value)
{
    handle(SIGUSR1, 0);
    CHECK_EQUAL(sigqueue(getpid(), SIGUSR1, (union sigval){.sival_int = 77}), 0);
    CHECK_EQUAL(caught_code, SI_QUEUE);
    CHECK_EQUAL(caught_value, 77);
    handle(SIGRTMIN, 0);
    CHECK_EQUAL(sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 78}), 0);
    CHECK_EQUAL(caught, SIGRTMIN);
    CHECK_EQUAL(caught_value, 78);
}

/* Real-time signals are queued, each for itself. */
TEST(real_time_signals_queue)
{
    sigset_t set = set_of(SIGRTMIN);

    handle(SIGRTMIN, 0);
    sigprocmask(SIG_BLOCK, &set, NULL);
    for (int i = 0; i < 5; i++)
        CHECK_EQUAL(sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = i}), 0);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    CHECK_EQUAL(caught_count, 5);
    CHECK_EQUAL(caught_value, 4);
}

TEST(interrupted_read)
{
    int ends[2];
    char byte;

    CHECK_EQUAL(pipe(ends), 0);
    handle(SIGUSR1, 0);
    pid_t pid = sender(SIGUSR1, 30);
    CHECK_EQUAL(read(ends[0], &byte, 1), -1);
    CHECK_EQUAL(errno, EINTR);
    CHECK_EQUAL(caught, SIGUSR1);
    reap(pid);
    close(ends[0]), close(ends[1]);
}

TEST(restarted_read)
{
    int ends[2];
    char byte;

    CHECK_EQUAL(pipe(ends), 0);
    handle(SIGUSR1, SA_RESTART);
    pid_t target = getpid(), pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        struct timespec time = {0, 30000000};
        nanosleep(&time, NULL);
        kill(target, SIGUSR1);
        nanosleep(&time, NULL);
        _exit(write(ends[1], "x", 1) == 1 ? 0 : 1);
    }
    CHECK_EQUAL(read(ends[0], &byte, 1), 1);
    CHECK_EQUAL(caught, SIGUSR1);
    reap(pid);
    close(ends[0]), close(ends[1]);
}

TEST(interrupted_sleep_tells_what_is_left)
{
    struct timespec time = {5, 0}, left = {0, 0};

    handle(SIGUSR1, SA_RESTART);
    pid_t pid = sender(SIGUSR1, 30);
    CHECK_EQUAL(nanosleep(&time, &left), -1);
    CHECK_EQUAL(errno, EINTR);
    CHECK(left.tv_sec == 4);
    reap(pid);
}

/* What is ignored does not end a sleep early. */
TEST(ignored_signal_does_not_interrupt)
{
    struct timespec time = {0, 100000000}, before, after;

    signal(SIGUSR1, SIG_IGN);
    pid_t pid = sender(SIGUSR1, 20);
    clock_gettime(CLOCK_MONOTONIC, &before);
    CHECK_EQUAL(nanosleep(&time, NULL), 0);
    clock_gettime(CLOCK_MONOTONIC, &after);
    CHECK((after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000 >= 99);
    reap(pid);
    signal(SIGUSR1, SIG_DFL);
}

TEST(children_are_announced)
{
    handle(SIGCHLD, 0);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0)
        _exit(3);
    reap(pid);
    while (!caught)
        pause();
    CHECK_EQUAL(caught_pid, pid);
    CHECK_EQUAL(caught_code, CLD_EXITED);
    signal(SIGCHLD, SIG_DFL);
}

TEST(alarm_rings)
{
    struct itimerval timer = {{0, 20000}, {0, 20000}}, none = {{0, 0}, {0, 0}};

    handle(SIGALRM, 0);
    CHECK_EQUAL(setitimer(ITIMER_REAL, &timer, NULL), 0);
    while (caught_count < 3)
        pause();
    CHECK_EQUAL(setitimer(ITIMER_REAL, &none, &timer), 0);
    CHECK_EQUAL(timer.it_interval.tv_usec, 20000);
    CHECK_EQUAL(alarm(100), 0);
    CHECK_EQUAL(alarm(0), 100);
}

static void jump_back(int signal, siginfo_t *info, void *context)
{
    remember(signal, info, context);
    siglongjmp(jump, 1);
}

static void handle_fault(int signal)
{
    struct sigaction action = {.sa_sigaction = jump_back, .sa_flags = SA_SIGINFO};

    CHECK_EQUAL(sigaction(signal, &action, NULL), 0);
    caught = 0;
}

/* Where the compiler cannot see them. */
static volatile uintptr_t bad_addresses[] = {8, UINT64_C(0xffffffff80000000)};

TEST(exceptions)
{
    handle_fault(SIGSEGV), handle_fault(SIGFPE), handle_fault(SIGILL), handle_fault(SIGTRAP);
    if (sigsetjmp(jump, 1) == 0)
        *(volatile int *)bad_addresses[0] = 1;
    CHECK_EQUAL(caught, SIGSEGV);
    CHECK_EQUAL(caught_code, SEGV_MAPERR);
    if (sigsetjmp(jump, 1) == 0)
        *(volatile int *)bad_addresses[1] = 1;
    CHECK_EQUAL(caught, SIGSEGV);
    if (sigsetjmp(jump, 1) == 0)
        __asm__ volatile("hlt");
    CHECK_EQUAL(caught, SIGSEGV);
    CHECK_EQUAL(caught_code, SI_KERNEL);
    if (sigsetjmp(jump, 1) == 0)
        __asm__ volatile("xor %%edx, %%edx\nmov $1, %%eax\ndiv %0" : : "r"(0) : "rax", "rdx");
    CHECK_EQUAL(caught, SIGFPE);
    CHECK_EQUAL(caught_code, FPE_INTDIV);
    if (sigsetjmp(jump, 1) == 0)
        __asm__ volatile("ud2");
    CHECK_EQUAL(caught, SIGILL);
    if (sigsetjmp(jump, 1) == 0)
        __asm__ volatile("int3");
    CHECK_EQUAL(caught, SIGTRAP);
    for (int i = 0; i < 4; i++)
        signal((int[]){SIGSEGV, SIGFPE, SIGILL, SIGTRAP}[i], SIG_DFL);
}

static void skip_instruction(int signal, siginfo_t *info, void *context)
{
    ucontext_t *user = context;

    (void)signal, (void)info;
    user->uc_mcontext.gregs[REG_RIP] += 2; /* ud2 */
    user->uc_mcontext.gregs[REG_RBX] = 0x1234;
}

/* What a handler changes in its frame is what the program goes on with. */
TEST(handler_edits_registers)
{
    struct sigaction action = {.sa_sigaction = skip_instruction, .sa_flags = SA_SIGINFO};
    uint64_t rbx, rcx, r11, xmm;

    CHECK_EQUAL(sigaction(SIGILL, &action, NULL), 0);
    __asm__ volatile(
        "mov $0x5555, %%rcx\nmov $0x6666, %%r11\nmov $0x7777, %%rax\nmovq %%rax, %%xmm5\n"
        "ud2\n"
        "mov %%rbx, %0\nmov %%rcx, %1\nmov %%r11, %2\nmovq %%xmm5, %3"
        : "=&r"(rbx), "=&r"(rcx), "=&r"(r11), "=&r"(xmm)
        :
        : "rax", "rbx", "rcx", "r11", "xmm5", "memory");
    CHECK_EQUAL(rbx, 0x1234);
    CHECK_EQUAL(rcx, 0x5555);
    CHECK_EQUAL(r11, 0x6666);
    CHECK_EQUAL(xmm, 0x7777);
    signal(SIGILL, SIG_DFL);
}

static volatile uintptr_t handler_stack;

static void note_stack(int signal)
{
    char here;

    (void)signal;
    handler_stack = (uintptr_t)&here;
}

TEST(alternate_stack)
{
    static char room[65536];
    stack_t stack = {.ss_sp = room, .ss_size = sizeof(room)}, old;
    struct sigaction action = {.sa_handler = note_stack, .sa_flags = SA_ONSTACK};

    CHECK_EQUAL(sigaltstack(&stack, NULL), 0);
    CHECK_EQUAL(sigaction(SIGUSR1, &action, NULL), 0);
    CHECK_EQUAL(raise(SIGUSR1), 0);
    CHECK(handler_stack - (uintptr_t)room < sizeof(room));
    CHECK_EQUAL(sigaltstack(NULL, &old), 0);
    CHECK(old.ss_sp == room && old.ss_flags == 0);
    stack.ss_flags = SS_DISABLE;
    CHECK_EQUAL(sigaltstack(&stack, NULL), 0);
    CHECK_EQUAL(raise(SIGUSR1), 0);
    CHECK(handler_stack - (uintptr_t)room >= sizeof(room));
    stack = (stack_t){.ss_sp = room, .ss_size = 100};
    CHECK_EQUAL(sigaltstack(&stack, NULL), -1);
    CHECK_EQUAL(errno, ENOMEM);
}

static volatile int depth_limit = 1000000000;

static int overflow(int depth)
{
    volatile char space[4096];

    space[0] = (char)depth;
    return depth < depth_limit ? overflow(depth + 1) + space[0] : 0;
}

/* A stack overflow can be handled on the alternate stack. */
TEST(stack_overflow)
{
    static char room[65536];
    stack_t stack = {.ss_sp = room, .ss_size = sizeof(room)};
    struct sigaction action = {.sa_sigaction = jump_back, .sa_flags = SA_ONSTACK | SA_SIGINFO};

    CHECK_EQUAL(sigaltstack(&stack, NULL), 0);
    CHECK_EQUAL(sigaction(SIGSEGV, &action, NULL), 0);
    caught = 0;
    if (sigsetjmp(jump, 1) == 0)
        overflow(0);
    CHECK_EQUAL(caught, SIGSEGV);
    signal(SIGSEGV, SIG_DFL);
    stack.ss_flags = SS_DISABLE;
    CHECK_EQUAL(sigaltstack(&stack, NULL), 0);
}

TEST(errors_of_signals)
{
    struct sigaction action = {.sa_handler = SIG_IGN};

    CHECK_EQUAL(sigaction(SIGKILL, &action, NULL), -1);
    CHECK_EQUAL(errno, EINVAL);
    CHECK_EQUAL(syscall(SYS_rt_sigaction, 65, NULL, NULL, 8), -1);
    CHECK_EQUAL(errno, EINVAL);
    CHECK_EQUAL(syscall(SYS_rt_sigaction, SIGUSR1, NULL, NULL, 4), -1);
    CHECK_EQUAL(errno, EINVAL);
    CHECK_EQUAL(kill(getpid(), 65), -1);
    CHECK_EQUAL(errno, EINVAL);
    CHECK_EQUAL(kill(getpid(), 0), 0);
    CHECK_EQUAL(syscall(SYS_rt_sigprocmask, 99, &(uint64_t){0}, NULL, 8), -1);
    CHECK_EQUAL(errno, EINVAL);
}

/* Signals and calls at full speed: none is lost, no register is. */
TEST(storm)
{
    enum { COUNT = 500 };
    volatile int *shared =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    sigset_t set = set_of(SIGUSR1), none;
    pid_t target = getpid();

    CHECK((void *)shared != MAP_FAILED);
    sigemptyset(&none);
    handle(SIGUSR1, 0);
    sigprocmask(SIG_BLOCK, &set, NULL);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        for (int i = 0; i < COUNT; i++) {
            kill(target, SIGUSR1);
            while (shared[0] <= i)
                sched_yield();
        }
        _exit(0);
    }
    for (int i = 0; i < COUNT; i++) {
        CHECK_EQUAL(sigsuspend(&none), -1);
        shared[0] = i + 1;
    }
    CHECK_EQUAL(caught_count, COUNT);
    reap(pid);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    munmap((void *)shared, 4096);
}

/* Linux's calls that do not wait are not interrupted, restarted or not: programs do not look for EINTR there. */
TEST(what_does_not_wait_is_not_interrupted)
{
    enum { SIGNALS = 300 };
    pid_t target = getpid();
    struct stat stat;
    char bytes[64];

    handle(SIGUSR1, 0);
    pid_t sender = fork();
    CHECK(sender >= 0);
    if (sender == 0) {
        while (kill(target, SIGUSR1) == 0)
            continue;
        _exit(0);
    }
    int file = open("/sbin/initd", O_RDONLY);
    CHECK(file >= 0);
    while (caught_count < SIGNALS) {
        CHECK_EQUAL(fstat(file, &stat), 0);
        CHECK_EQUAL(pread(file, bytes, sizeof(bytes), 0), sizeof(bytes));
        CHECK_EQUAL(access("/sbin/initd", R_OK), 0);
        CHECK_EQUAL(setpgid(sender, sender), 0);
        CHECK_EQUAL(setpgid(sender, getpgrp()), 0);
        CHECK_EQUAL(kill(sender, 0), 0);
    }
    CHECK_EQUAL(kill(sender, SIGKILL), 0);
    reap(sender);
    close(file);
}
