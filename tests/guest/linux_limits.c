/* What Linux programs are told when a limit is reached: their own (setrlimit), which Linux has too, and those of the account
 * they run in (docs/quotas.md): for that a test runs itself in a sandbox with limits.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/host/test.h"

#define PROGRAM  "/tests/linux_limits"
#define ANY_FILE "/etc/passwd"
#define MIB      (UINT64_C(1) << 20)

#define CHECK_ERRNO(call, number)   \
    do {                            \
        errno = 0;                  \
        CHECK((call) == -1);        \
        CHECK_EQUAL(errno, number); \
    } while (0)

static int wait_for(pid_t pid)
{
    int status;

    CHECK_EQUAL(waitpid(pid, &status, 0), pid);
    return status;
}

/* --- In a sandbox --------------------------------------------------------------------------------------------------- */

#define LIMITS_MAX 8

/* The same test in a sandbox: limits, NULL. Its failure is ours. */
static void sandbox_run(const char *test, const char *const *limits)
{
    const char *arguments[2 * LIMITS_MAX + 16] = {"sandbox"};
    int count = 1, ends[2];
    char output[400];
    size_t length = 0;
    ssize_t got;

    for (; *limits; limits++) {
        arguments[count++] = "-l";
        arguments[count++] = *limits;
    }
    for (const char *const *rest =
             (const char *[]){"fs", "initfs", "rng", "--", PROGRAM, test, "inside", NULL};
         *rest; rest++)
        arguments[count++] = *rest;
    CHECK_EQUAL(pipe(ends), 0);

    pid_t pid = fork();

    CHECK(pid >= 0);
    if (pid == 0) {
        dup2(ends[1], 1);
        close(ends[0]), close(ends[1]);
        execvp(arguments[0], (char *const *)arguments);
        _exit(127);
    }
    close(ends[1]);
    while ((got = read(ends[0], output + length, sizeof(output) - 1 - length)) > 0)
        length += (size_t)got;
    close(ends[0]);
    output[length] = '\0';

    int status = wait_for(pid);

    if (status != 0)
        FAIL("in the sandbox (%x): %s", (unsigned)status, output);
}

/* A test that runs in a sandbox with these limits. */
#define SANDBOX_TEST(name, ...)                                           \
    static void name##_inside(void);                                      \
    TEST(name)                                                            \
    {                                                                     \
        if (test_argument_count == 1)                                     \
            name##_inside();                                              \
        else                                                              \
            sandbox_run(#name, (const char *const[]){__VA_ARGS__, NULL}); \
    }                                                                     \
    static void name##_inside(void)

static void check_limit(int which, uint64_t want)
{
    struct rlimit limit;

    CHECK_EQUAL(getrlimit(which, &limit), 0);
    CHECK_EQUAL(limit.rlim_cur, want);
    CHECK_EQUAL(limit.rlim_max, want);
    CHECK_EQUAL(prlimit(0, which, NULL, &limit), 0);
    CHECK_EQUAL(limit.rlim_cur, want);
    CHECK_EQUAL(prlimit(getpid(), which, NULL, &limit), 0);
    CHECK_EQUAL(limit.rlim_max, want);
}

SANDBOX_TEST(limits_are_told, "memory=32M", "handles=200", "threads=40", "processes=30")
{
    struct rlimit lower = {.rlim_cur = 100, .rlim_max = 150}, before, limit;

    check_limit(RLIMIT_AS, 32 * MIB);
    check_limit(RLIMIT_DATA, 32 * MIB);
    check_limit(RLIMIT_RSS, 32 * MIB);
    check_limit(RLIMIT_NPROC, 30);
    check_limit(RLIMIT_NOFILE, 200);
    CHECK_EQUAL(prlimit(0, RLIMIT_NOFILE, &lower, &before), 0);
    CHECK_EQUAL(before.rlim_cur, 200);
    CHECK_EQUAL(getrlimit(RLIMIT_NOFILE, &limit), 0);
    CHECK_EQUAL(limit.rlim_cur, 100);
    CHECK_EQUAL(limit.rlim_max, 150);
    lower.rlim_cur = lower.rlim_max = 1000; /* more than there is: as much as there is */
    CHECK_EQUAL(setrlimit(RLIMIT_NPROC, &lower), 0);
    check_limit(RLIMIT_NPROC, 30);
}

/* Each call that makes a descriptor; those that make none go on. */
SANDBOX_TEST(descriptors, "handles=60")
{
    int fds[64], count = 0, ends[2];
    struct stat stat_;

    while ((fds[count] = open(ANY_FILE, O_RDONLY)) >= 0)
        CHECK(++count < 60);
    CHECK_EQUAL(errno, EMFILE);
    CHECK(count > 16);
    CHECK_ERRNO(open(ANY_FILE, O_RDONLY), EMFILE);
    CHECK_ERRNO(pipe(ends), EMFILE);
    CHECK_ERRNO(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), EMFILE);
    CHECK_ERRNO(eventfd(0, 0), EMFILE);
    CHECK_ERRNO(epoll_create1(0), EMFILE);
    CHECK_ERRNO(timerfd_create(CLOCK_MONOTONIC, 0), EMFILE);
    CHECK_EQUAL(stat(ANY_FILE, &stat_), 0);
    CHECK_EQUAL(access(ANY_FILE, R_OK), 0);
    CHECK_EQUAL(read(fds[0], &stat_, 1), 1);
    CHECK_EQUAL(dup2(fds[0], fds[1]), fds[1]); /* no more open files than before */
    close(fds[--count]);
    CHECK((fds[count++] = open(ANY_FILE, O_RDONLY)) >= 0);
    while (count)
        close(fds[--count]);
    CHECK_EQUAL(pipe(ends), 0);
}

SANDBOX_TEST(processes, "processes=6")
{
    for (int round = 0; round < 2; round++) {
        pid_t pids[8];
        int count = 0;

        while ((pids[count] = fork()) > 0)
            CHECK(++count < 6);
        if (pids[count] == 0)
            for (;;)
                pause();
        CHECK_EQUAL(errno, EAGAIN);
        CHECK(count > 1);
        CHECK_EQUAL(system(NULL), 1);
        CHECK_ERRNO(system("true"), EAGAIN);
        while (count) {
            CHECK_EQUAL(kill(pids[--count], SIGKILL), 0);
            CHECK_EQUAL(wait_for(pids[count]), SIGKILL);
        }
    }
}

static void *until_told(void *word)
{
    while (!__atomic_load_n((bool *)word, __ATOMIC_SEQ_CST))
        usleep(1000);
    return word;
}

SANDBOX_TEST(threads, "threads=6")
{
    bool stop = false;

    for (int round = 0; round < 2; round++) {
        pthread_t threads[8];
        int count = 0, refused = 0, error;

        /* The end of those of the first round may be a little behind their joining, as Linux's is. */
        while (refused < 50) {
            error = pthread_create(&threads[count], NULL, until_told, &stop);
            if (!error) {
                CHECK(++count < 6);
                continue;
            }
            CHECK_EQUAL(error, EAGAIN);
            refused++;
            usleep(1000);
        }
        CHECK(count > 1);
        CHECK_ERRNO(fork(), EAGAIN); /* its thread is one too many */
        __atomic_store_n(&stop, true, __ATOMIC_SEQ_CST);
        while (count)
            CHECK_EQUAL(pthread_join(threads[--count], NULL), 0);
        stop = false;
    }
}

static void *anonymous(uint64_t length, int protection)
{
    return mmap(NULL, length, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

/* The system call itself: musl's brk() is not it. Where the heap ends now: where it did before if it cannot end there. */
static uint64_t heap_end(uint64_t wanted)
{
    return (uint64_t)syscall(SYS_brk, wanted);
}

/* What could never be had is refused at once; what there is too little of just now ends who touches it. */
SANDBOX_TEST(memory, "memory=16M")
{
    void *map = anonymous(17 * MIB, PROT_NONE);

    CHECK(map != MAP_FAILED); /* places cost nothing */
    CHECK_ERRNO(mprotect(map, 17 * MIB, PROT_READ | PROT_WRITE), ENOMEM);
    CHECK_EQUAL(munmap(map, 17 * MIB), 0);
    errno = 0;
    CHECK(anonymous(17 * MIB, PROT_READ | PROT_WRITE) == MAP_FAILED);
    CHECK_EQUAL(errno, ENOMEM);
    CHECK(malloc(17 * MIB) == NULL);
    CHECK_EQUAL(errno, ENOMEM);

    uint64_t end = heap_end(0);

    CHECK_EQUAL(heap_end(end + 17 * MIB), end);
    CHECK_EQUAL(heap_end(end + MIB), end + MIB);
    memset((void *)end, 1, MIB);
    CHECK_EQUAL(heap_end(end), end);

    pid_t pid = fork();

    CHECK(pid >= 0);
    if (pid == 0)
        for (;;) {
            map = anonymous(MIB, PROT_READ | PROT_WRITE);
            if (map != MAP_FAILED)
                memset(map, 1, MIB);
        }
    CHECK(WIFSIGNALED(wait_for(pid)));
    map = anonymous(4 * MIB, PROT_READ | PROT_WRITE);
    CHECK(map != MAP_FAILED);
    memset(map, 1, 4 * MIB); /* it is back */
    CHECK_EQUAL(munmap(map, 4 * MIB), 0);
}

/* --- By setrlimit: as Linux does ------------------------------------------------------------------------------------- */

/* In a child: what is lowered is not raised again. */
static void in_child(void (*run)(void))
{
    int ends[2];
    char why[sizeof(test_failure)] = "";

    CHECK_EQUAL(pipe(ends), 0);
    fflush(stdout);

    pid_t pid = fork();

    CHECK(pid >= 0);
    if (pid == 0) {
        if (setjmp(test_abort) == 0) {
            run();
            _exit(0);
        }
        if (write(ends[1], test_failure, strlen(test_failure)) < 0)
            _exit(2);
        _exit(1);
    }
    close(ends[1]);
    if (read(ends[0], why, sizeof(why) - 1) < 0)
        why[0] = '\0';
    close(ends[0]);

    int status = wait_for(pid);

    if (status != 0)
        FAIL("in the child (%x): %s", (unsigned)status, why);
}

static void limit_set(int which, uint64_t value)
{
    struct rlimit limit = {value, value};

    CHECK_EQUAL(setrlimit(which, &limit), 0);
    check_limit(which, value);
}

static void fewer_descriptors(void)
{
    struct pollfd polls[11] = {{0}};
    int fds[10], count = 0, ends[2];

    limit_set(RLIMIT_NOFILE, 10);
    while ((fds[count] = open(ANY_FILE, O_RDONLY)) >= 0)
        CHECK(fds[count++] < 10);
    CHECK_EQUAL(errno, EMFILE);
    CHECK_ERRNO(dup(0), EMFILE);
    CHECK_ERRNO(pipe(ends), EMFILE);
    CHECK_ERRNO(dup2(0, 10), EBADF);
    CHECK_ERRNO(fcntl(0, F_DUPFD, 10), EINVAL);
    CHECK_ERRNO(fcntl(0, F_DUPFD, 0), EMFILE);
    CHECK_ERRNO(poll(polls, 11, 0), EINVAL);
    close(fds[--count]);
    CHECK_ERRNO(pipe(ends), EMFILE); /* one place is not two */
    CHECK(dup(0) >= 0);
}

TEST(setrlimit_descriptors)
{
    in_child(fewer_descriptors);
}

static void less_memory(void)
{
    char *map = anonymous(MIB, PROT_READ | PROT_WRITE);
    uint64_t end = heap_end(0);

    CHECK(map != MAP_FAILED);
    limit_set(RLIMIT_DATA, MIB / 4);
    CHECK_EQUAL(heap_end(end + MIB), end);
    CHECK_EQUAL(heap_end(end + MIB / 8), end + MIB / 8);
    CHECK_EQUAL(heap_end(end), end);
    limit_set(RLIMIT_AS, 512 * 1024); /* less than there is: no more of it */
    CHECK_EQUAL(heap_end(end + 4096), end);
    errno = 0;
    CHECK(anonymous(4096, PROT_READ) == MAP_FAILED);
    CHECK_EQUAL(errno, ENOMEM);
    errno = 0;
    CHECK(mremap(map, MIB, 2 * MIB, MREMAP_MAYMOVE) == MAP_FAILED);
    CHECK_EQUAL(errno, ENOMEM);
    memset(map, 1, MIB);
    CHECK(mremap(map, MIB, MIB / 2, 0) == map);
    CHECK_EQUAL(munmap(map, MIB / 2), 0);
}

/* Exactly as much as is left. */
static void some_memory(void)
{
    char *map = anonymous(64 * MIB, PROT_NONE), *one;

    CHECK(map != MAP_FAILED);
    limit_set(RLIMIT_AS, 64 * MIB);
    CHECK_EQUAL(munmap(map, 64 * MIB), 0);
    one = anonymous(32 * MIB, PROT_NONE);
    CHECK(one != MAP_FAILED);
    CHECK(anonymous(40 * MIB, PROT_NONE) == MAP_FAILED);
    CHECK_EQUAL(munmap(one, 32 * MIB), 0);
    CHECK(anonymous(40 * MIB, PROT_NONE) != MAP_FAILED);
}

TEST(setrlimit_memory)
{
    in_child(less_memory);
    in_child(some_memory);
}

static void inherited(void)
{
    limit_set(RLIMIT_NOFILE, 77);
    limit_set(RLIMIT_AS, 128 * MIB);
    CHECK_EQUAL(system("test $(ulimit -n) = 77 -a $(ulimit -H -v) = 131072"), 0);
}

TEST(setrlimit_is_inherited)
{
    in_child(inherited);
}

TEST(setrlimit_errors)
{
    struct rlimit limit = {.rlim_cur = 2, .rlim_max = 1};

    CHECK_ERRNO(setrlimit(RLIMIT_NOFILE, &limit), EINVAL);
    CHECK_ERRNO(setrlimit(1000, &limit), EINVAL);
    CHECK_ERRNO(getrlimit(1000, &limit), EINVAL);
    CHECK_ERRNO(prlimit(0, RLIMIT_NOFILE, (void *)8, NULL), EFAULT);
    CHECK_ERRNO(prlimit(0, RLIMIT_NOFILE, NULL, (void *)8), EFAULT);
    CHECK_ERRNO(prlimit(INT32_MAX, RLIMIT_NOFILE, NULL, &limit), ESRCH);
}
