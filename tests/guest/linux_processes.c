/* Processes as Linux programs see them: fork, wait, exec, groups. Runs on Linux too. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/host/test.h"

extern char **environ;

static int wait_for(pid_t pid)
{
    int status;

    CHECK_EQUAL(waitpid(pid, &status, 0), pid);
    return status;
}

static pid_t fork_or_fail(void)
{
    pid_t pid = fork();

    CHECK(pid >= 0);
    return pid;
}

TEST(identity)
{
    struct utsname name;
    pid_t self = getpid(), pid = fork_or_fail();

    if (pid == 0)
        _exit(getppid() == self && getpid() != self && syscall(SYS_gettid) == getpid() ? 0 : 1);
    CHECK_EQUAL(wait_for(pid), 0);
    CHECK_EQUAL(getpgid(0), getpgrp());
    CHECK_EQUAL(getsid(0), getsid(getpid()));
    CHECK_EQUAL(uname(&name), 0);
    CHECK_STRING(name.sysname, "Linux");
    CHECK_STRING(name.machine, "x86_64");
}

static bool refused(long result, int error)
{
    return result == -1 && errno == error;
}

static bool groups_are_told(void)
{
    const gid_t groups[] = {3, 7, 65534};
    gid_t got[4];

    return setgroups(3, groups) == 0 && getgroups(0, NULL) == 3 && getgroups(4, got) == 3 &&
           memcmp(got, groups, sizeof(groups)) == 0 && refused(getgroups(2, got), EINVAL);
}

static bool becomes_nobody(void)
{
    uid_t real, effective, saved;

    return setgid(65534) == 0 && setresuid((uid_t)-1, (uid_t)-1, (uid_t)-1) == 0 &&
           setresuid(65534, 65534, 65534) == 0 && getresuid(&real, &effective, &saved) == 0 &&
           real == 65534 && effective == 65534 && saved == 65534 && getegid() == 65534;
}

static bool stays_nobody(void)
{
    return refused(setuid(0), EPERM) && refused(setregid(0, 0), EPERM) &&
           refused(setgroups(0, NULL), EPERM) && refused(kill(getppid(), 0), EPERM) &&
           setuid(65534) == 0;
}

TEST(credentials)
{
    pid_t pid = fork_or_fail();

    if (pid == 0) /* there is no way back */
        _exit(!groups_are_told() ? 1 : !becomes_nobody() ? 2 : !stays_nobody() ? 3 : 0);
    CHECK_EQUAL(wait_for(pid), 0);
    CHECK_EQUAL(getuid(), 0);
    CHECK(refused(syscall(SYS_setuid, -1), EINVAL));
    CHECK(refused(syscall(SYS_setgroups, 65537, NULL), EINVAL));
    CHECK(refused(syscall(SYS_setgroups, 1, NULL), EFAULT));
    CHECK(refused(syscall(SYS_getresuid, NULL, NULL, NULL), EFAULT));
}

/* A program that is executed acts for whom its process did, groups and all. */
TEST(credentials_are_inherited)
{
    const gid_t group = 4;
    pid_t pid = fork_or_fail();
    if (pid == 0) {
        if (setgroups(1, &group) || setgid(65534) || setuid(65534))
            _exit(2);
        execl("/bin/busybox", "sh", "-c",
              "test \"$(id -u):$(id -g):$(id -G)\" = '65534:65534:65534 4'", NULL);
        _exit(3);
    }
    CHECK_EQUAL(wait_for(pid), 0);
}

/* The personality keeps some bytes for small requests: none may be given twice, to the same process or to a child. */
TEST(random_bytes_are_given_once)
{
    enum { REQUESTS = 64, SIZE = 16 };
    static uint8_t own[REQUESTS][SIZE], theirs[REQUESTS][SIZE], nothing[SIZE];
    int ends[2];

    CHECK_EQUAL(syscall(SYS_getrandom, own[0], SIZE, 0),
                SIZE); /* so that there are bytes left over */
    CHECK_EQUAL(pipe(ends), 0);
    pid_t pid = fork_or_fail();

    if (pid == 0) {
        for (int i = 0; i < REQUESTS; i++)
            if (syscall(SYS_getrandom, theirs[i], SIZE, 0) != SIZE)
                _exit(1);
        _exit(write(ends[1], theirs, sizeof(theirs)) == sizeof(theirs) ? 0 : 1);
    }
    for (int i = 0; i < REQUESTS; i++)
        CHECK_EQUAL(syscall(SYS_getrandom, own[i], SIZE, 0), SIZE);
    CHECK_EQUAL(read(ends[0], theirs, sizeof(theirs)), sizeof(theirs));
    CHECK_EQUAL(wait_for(pid), 0);
    for (int i = 0; i < REQUESTS; i++) {
        CHECK(memcmp(own[i], nothing, SIZE) != 0);
        for (int j = 0; j < REQUESTS; j++) {
            CHECK(memcmp(own[i], theirs[j], SIZE) != 0);
            CHECK(i == j || memcmp(own[i], own[j], SIZE) != 0);
        }
    }
    CHECK_EQUAL(syscall(SYS_getrandom, own, 0, 0), 0);
    CHECK_EQUAL(syscall(SYS_getrandom, own, 33, 0), 33);
    CHECK_EQUAL(syscall(SYS_getrandom, 16L, SIZE, 0), -1);
    CHECK_EQUAL(errno, EFAULT);
    close(ends[0]);
    close(ends[1]);
}

/* What would succeed is for the scenario power/commands. */
TEST(reboot_wants_its_numbers)
{
    CHECK(syscall(SYS_reboot, 0, 672274793, 0x01234567, 0) == -1 && errno == EINVAL);
    CHECK(syscall(SYS_reboot, 0xfee1dead, 0, 0x01234567, 0) == -1 && errno == EINVAL);
    CHECK(syscall(SYS_reboot, 0xfee1dead, 672274793, 0x45584543, 0) == -1 && errno == EINVAL);
    CHECK_EQUAL(syscall(SYS_reboot, 0xfee1dead, 672274793, 0, 0), 0);
}

TEST(exit_statuses)
{
    pid_t pid = fork_or_fail();

    if (pid == 0)
        _exit(300);
    int status = wait_for(pid);
    CHECK(WIFEXITED(status));
    CHECK_EQUAL(WEXITSTATUS(status), 300 & 0xff);
    pid = fork_or_fail();
    if (pid == 0)
        for (;;)
            pause();
    CHECK_EQUAL(kill(pid, SIGKILL), 0);
    status = wait_for(pid);
    CHECK(WIFSIGNALED(status));
    CHECK_EQUAL(WTERMSIG(status), SIGKILL);
    pid = fork_or_fail();
    if (pid == 0) {
        __asm__ volatile("movl $0, 16");
        _exit(0);
    }
    status = wait_for(pid);
    CHECK(WIFSIGNALED(status));
    CHECK_EQUAL(WTERMSIG(status), SIGSEGV);
}

TEST(wait_errors_and_options)
{
    int status;

    CHECK_EQUAL(waitpid(-1, &status, WNOHANG), -1);
    CHECK_EQUAL(errno, ECHILD);
    pid_t pid = fork_or_fail();
    if (pid == 0)
        for (;;)
            pause();
    CHECK_EQUAL(waitpid(pid, &status, WNOHANG), 0);
    errno = 0;
    CHECK_EQUAL(waitpid(getpid(), &status, 0), -1);
    CHECK_EQUAL(errno, ECHILD);
    errno = 0;
    CHECK_EQUAL(waitpid(pid, &status, 0x100), -1);
    CHECK_EQUAL(errno, EINVAL);
    CHECK_EQUAL(kill(pid, SIGTERM), 0);
    CHECK_EQUAL(wait4(pid, &status, 0, NULL), pid);
    CHECK_EQUAL(WTERMSIG(status), SIGTERM);
}

TEST(waitid_tells)
{
    siginfo_t info;
    pid_t pid = fork_or_fail();

    if (pid == 0)
        _exit(9);
    memset(&info, 0, sizeof(info));
    CHECK_EQUAL(waitid(P_PID, (id_t)pid, &info, WEXITED), 0);
    CHECK_EQUAL(info.si_pid, pid);
    CHECK_EQUAL(info.si_signo, SIGCHLD);
    CHECK_EQUAL(info.si_code, CLD_EXITED);
    CHECK_EQUAL(info.si_status, 9);
}

TEST(stop_and_continue)
{
    int status;
    pid_t pid = fork_or_fail();

    if (pid == 0) {
        raise(SIGSTOP);
        _exit(4);
    }
    CHECK_EQUAL(waitpid(pid, &status, WUNTRACED), pid);
    CHECK(WIFSTOPPED(status));
    CHECK_EQUAL(WSTOPSIG(status), SIGSTOP);
    CHECK_EQUAL(kill(pid, SIGCONT), 0);
    CHECK_EQUAL(waitpid(pid, &status, WCONTINUED), pid);
    if (WIFCONTINUED(status))
        CHECK_EQUAL(waitpid(pid, &status, 0), pid);
    CHECK_EQUAL(WEXITSTATUS(status), 4);
}

TEST(signal_while_stopped)
{
    int status;
    pid_t pid = fork_or_fail();

    if (pid == 0) {
        raise(SIGSTOP);
        for (;;)
            pause();
    }
    CHECK_EQUAL(waitpid(pid, &status, WUNTRACED), pid);
    CHECK_EQUAL(kill(pid, SIGTERM), 0);
    CHECK_EQUAL(waitpid(pid, &status, WNOHANG), 0);
    CHECK_EQUAL(kill(pid, SIGCONT), 0);
    CHECK_EQUAL(WTERMSIG(wait_for(pid)), SIGTERM);
}

TEST(groups_and_sessions)
{
    int ends[2];
    char byte;

    CHECK_EQUAL(pipe(ends), 0);
    pid_t pid = fork_or_fail();
    if (pid == 0) {
        close(ends[1]);
        if (read(ends[0], &byte, 1) != 0)
            _exit(1);
        if (getpgrp() != getpid())
            _exit(2);
        if (setsid() != -1 || errno != EPERM)
            _exit(3);
        _exit(0);
    }
    CHECK_EQUAL(setpgid(pid, pid), 0);
    CHECK_EQUAL(getpgid(pid), pid);
    close(ends[0]), close(ends[1]);
    CHECK_EQUAL(wait_for(pid), 0);
    pid = fork_or_fail();
    if (pid == 0)
        _exit(setsid() == getpid() && getsid(0) == getpid() && getpgrp() == getpid() ? 0 : 1);
    CHECK_EQUAL(wait_for(pid), 0);
    errno = 0;
    CHECK_EQUAL(kill(999999, 0), -1);
    CHECK_EQUAL(errno, ESRCH);
}

TEST(memory_is_copied)
{
    static int value = 1;
    pid_t pid = fork_or_fail();

    if (pid == 0) {
        value = 2;
        _exit(value);
    }
    CHECK_EQUAL(WEXITSTATUS(wait_for(pid)), 2);
    CHECK_EQUAL(value, 1);
}

TEST(registers_survive_fork)
{
    double x[4] = {1.5, 2.5, 3.5, 4.5};
    pid_t pid;

    __asm__ volatile("movupd (%1), %%xmm6\nmovupd 16(%1), %%xmm7\n"
                     "syscall\n"
                     "movupd %%xmm6, (%1)\nmovupd %%xmm7, 16(%1)\n"
                     : "=a"(pid)
                     : "r"(x), "0"(57)
                     : "rcx", "r11", "memory", "xmm6", "xmm7");
    bool same = x[0] == 1.5 && x[1] == 2.5 && x[2] == 3.5 && x[3] == 4.5;
    if (pid == 0)
        _exit(same ? 0 : 1);
    CHECK(same);
    CHECK_EQUAL(wait_for(pid), 0);
}

TEST(many_children)
{
    enum { COUNT = 20 };
    int sum = 0;

    for (int i = 0; i < COUNT; i++) {
        pid_t pid = fork_or_fail();
        if (pid == 0)
            _exit(i);
    }
    for (int i = 0; i < COUNT; i++) {
        int status;
        CHECK(wait(&status) > 0);
        sum += WEXITSTATUS(status);
    }
    CHECK_EQUAL(sum, COUNT * (COUNT - 1) / 2);
    CHECK_EQUAL(wait(NULL), -1);
}

static int run(char *const *arguments, char *const *environment)
{
    pid_t pid = fork_or_fail();

    if (pid == 0) {
        execve(arguments[0], arguments, environment);
        _exit(100 + errno);
    }
    return WEXITSTATUS(wait_for(pid));
}

TEST(exec_runs)
{
    CHECK_EQUAL(run((char *[]){"/bin/sh", "-c", "exit 7", NULL}, environ), 7);
    CHECK_EQUAL(run((char *[]){"/bin/sh", "-c", "test \"$A$1$0\" = BCD", "D", "C", NULL},
                    (char *[]){"A=B", NULL}),
                0);
}

TEST(exec_errors)
{
    CHECK_EQUAL(run((char *[]){"/no/such/program", NULL}, environ), 100 + ENOENT);
    CHECK_EQUAL(run((char *[]){"/etc", NULL}, environ), 100 + EACCES);
    CHECK_EQUAL(run((char *[]){"/etc/passwd", NULL}, environ), 100 + EACCES);
    char *arguments[3000];
    static char text[8192];
    memset(text, 'a', sizeof(text) - 1);
    for (int i = 0; i < 2999; i++)
        arguments[i] = text;
    arguments[0] = "/bin/sh";
    arguments[2999] = NULL;
    CHECK_EQUAL(run(arguments, environ), 100 + E2BIG);
}

TEST(exec_keeps_and_closes)
{
    int kept = open("/etc/passwd", O_RDONLY), closed = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
    char command[200];

    CHECK(kept >= 0 && closed >= 0);
    snprintf(command, sizeof(command), "read -r x <&%d && ! (read -r x <&%d) 2>/dev/null", kept,
             closed);
    CHECK_EQUAL(run((char *[]){"/bin/sh", "-c", command, NULL}, environ), 0);
    close(kept), close(closed);
}

TEST(exec_keeps_ignored_signals_and_the_mask)
{
    sigset_t set;
    pid_t pid = fork_or_fail();

    if (pid == 0) {
        signal(SIGUSR1, SIG_IGN);
        sigemptyset(&set);
        sigaddset(&set, SIGUSR2);
        sigprocmask(SIG_BLOCK, &set, NULL);
        execl("/bin/sh", "sh", "-c", "kill -USR1 $$; kill -USR2 $$; exit 5", NULL);
        _exit(1);
    }
    CHECK_EQUAL(wait_for(pid), 5 << 8);
}

TEST(spawn_and_system)
{
    pid_t pid;

    CHECK_EQUAL(
        posix_spawn(&pid, "/bin/sh", NULL, NULL, (char *[]){"sh", "-c", "exit 3", NULL}, environ),
        0);
    CHECK_EQUAL(WEXITSTATUS(wait_for(pid)), 3);
    CHECK_EQUAL(posix_spawn(&pid, "/no/such", NULL, NULL, (char *[]){"x", NULL}, environ), ENOENT);
    CHECK_EQUAL(WEXITSTATUS(system("exit 6")), 6);
    FILE *pipe = popen("echo $((6*7))", "r");
    int value = 0;
    CHECK(pipe && fscanf(pipe, "%d", &value) == 1);
    CHECK_EQUAL(value, 42);
    CHECK_EQUAL(pclose(pipe), 0);
}

TEST(ignored_children_are_not_waited_for)
{
    signal(SIGCHLD, SIG_IGN);
    pid_t pid = fork_or_fail();
    if (pid == 0)
        _exit(0);
    CHECK_EQUAL(waitpid(pid, NULL, 0), -1);
    CHECK_EQUAL(errno, ECHILD);
    signal(SIGCHLD, SIG_DFL);
}

TEST(unknown_calls)
{
    errno = 0;
    CHECK_EQUAL(syscall(500), -1);
    CHECK_EQUAL(errno, ENOSYS);
    errno = 0;
    CHECK_EQUAL(syscall(0x123456), -1);
    CHECK_EQUAL(errno, ENOSYS);
    errno = 0;
    CHECK_EQUAL(syscall(-1), -1);
    CHECK_EQUAL(errno, ENOSYS);
}

TEST(clocks)
{
    struct timespec a, b, short_while = {0, 20000000};

    CHECK_EQUAL(clock_gettime(CLOCK_MONOTONIC, &a), 0);
    CHECK_EQUAL(nanosleep(&short_while, NULL), 0);
    CHECK_EQUAL(clock_gettime(CLOCK_MONOTONIC, &b), 0);
    int64_t passed = (b.tv_sec - a.tv_sec) * INT64_C(1000000000) + b.tv_nsec - a.tv_nsec;
    CHECK(passed >= 20000000);
    for (int i = 0; i < 1000; i++) {
        a = b;
        CHECK_EQUAL(clock_gettime(CLOCK_MONOTONIC, &b), 0);
        CHECK(b.tv_sec > a.tv_sec || (b.tv_sec == a.tv_sec && b.tv_nsec >= a.tv_nsec));
    }
    errno = 0;
    CHECK_EQUAL(syscall(SYS_clock_gettime, 99, &a), -1);
    CHECK_EQUAL(errno, EINVAL);
    errno = 0;
    CHECK_EQUAL(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, (void *)8), -1);
    CHECK_EQUAL(errno, EFAULT);
}
