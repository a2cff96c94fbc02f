/* Threads as Linux programs see them. Runs on Linux too. */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/host/test.h"

enum { THREADS = 8, ROUNDS = 2000 };

static __thread int local = 5;

static void *add_local(void *argument)
{
    local += *(int *)argument;
    return (void *)(intptr_t)local;
}

TEST(create_and_join)
{
    pthread_t threads[THREADS];
    int arguments[THREADS];
    void *result;

    for (int i = 0; i < THREADS; i++) {
        arguments[i] = i;
        CHECK_EQUAL(pthread_create(&threads[i], NULL, add_local, &arguments[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        CHECK_EQUAL(pthread_join(threads[i], &result), 0);
        CHECK_EQUAL((intptr_t)result, 5 + i);
    }
    CHECK_EQUAL(local, 5);
}

/* Areas of ended threads are used again. */
TEST(one_after_the_other)
{
    int zero = 0;

    for (int i = 0; i < 200; i++) {
        pthread_t thread;
        CHECK_EQUAL(pthread_create(&thread, NULL, add_local, &zero), 0);
        CHECK_EQUAL(pthread_join(thread, NULL), 0);
    }
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static long counter;

static void *count(void *argument)
{
    (void)argument;
    for (int i = 0; i < ROUNDS; i++) {
        pthread_mutex_lock(&mutex);
        counter++;
        pthread_mutex_unlock(&mutex);
    }
    return NULL;
}

TEST(mutex_excludes)
{
    pthread_t threads[THREADS];

    counter = 0;
    for (int i = 0; i < THREADS; i++)
        CHECK_EQUAL(pthread_create(&threads[i], NULL, count, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        CHECK_EQUAL(pthread_join(threads[i], NULL), 0);
    CHECK_EQUAL(counter, THREADS * ROUNDS);
}

static int turn;

static void *take_turns(void *argument)
{
    int mine = *(int *)argument;

    for (int i = 0; i < 100; i++) {
        pthread_mutex_lock(&mutex);
        while (turn != mine)
            pthread_cond_wait(&condition, &mutex);
        turn = 1 - mine;
        pthread_cond_broadcast(&condition);
        pthread_mutex_unlock(&mutex);
    }
    return NULL;
}

TEST(condition_variables)
{
    pthread_t threads[2];
    int names[2] = {0, 1};
    struct timespec soon;

    turn = 0;
    for (int i = 0; i < 2; i++)
        CHECK_EQUAL(pthread_create(&threads[i], NULL, take_turns, &names[i]), 0);
    for (int i = 0; i < 2; i++)
        CHECK_EQUAL(pthread_join(threads[i], NULL), 0);
    clock_gettime(CLOCK_REALTIME, &soon);
    soon.tv_nsec += 20000000;
    if (soon.tv_nsec >= 1000000000) {
        soon.tv_sec++;
        soon.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&mutex);
    CHECK_EQUAL(pthread_cond_timedwait(&condition, &mutex, &soon), ETIMEDOUT);
    pthread_mutex_unlock(&mutex);
}

static sem_t semaphore;
static volatile int woken;

static void *wait_semaphore(void *argument)
{
    (void)argument;
    while (sem_wait(&semaphore) < 0)
        ;
    __atomic_fetch_add(&woken, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

TEST(semaphores)
{
    pthread_t threads[THREADS];

    woken = 0;
    CHECK_EQUAL(sem_init(&semaphore, 0, 0), 0);
    for (int i = 0; i < THREADS; i++)
        CHECK_EQUAL(pthread_create(&threads[i], NULL, wait_semaphore, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        CHECK_EQUAL(sem_post(&semaphore), 0);
    for (int i = 0; i < THREADS; i++)
        CHECK_EQUAL(pthread_join(threads[i], NULL), 0);
    CHECK_EQUAL(woken, THREADS);
}

static void *name_of(void *argument)
{
    *(long *)argument = syscall(SYS_gettid);
    return NULL;
}

TEST(identity)
{
    pthread_t thread;
    long tid = 0;

    CHECK_EQUAL(syscall(SYS_gettid), getpid());
    CHECK_EQUAL(pthread_create(&thread, NULL, name_of, &tid), 0);
    CHECK_EQUAL(pthread_join(thread, NULL), 0);
    CHECK(tid > 0 && tid != getpid());
    errno = 0;
    CHECK_EQUAL(syscall(SYS_tgkill, getpid(), tid, 0), -1);
    CHECK_EQUAL(errno, ESRCH);
}

static volatile pthread_t interrupted;
static volatile sig_atomic_t handled;

static void note(int signal)
{
    (void)signal;
    interrupted = pthread_self();
    handled = 1;
}

static void *sleep_long(void *argument)
{
    struct timespec time = {20, 0};

    *(int *)argument = nanosleep(&time, NULL) < 0 && errno == EINTR;
    return NULL;
}

TEST(signal_to_a_thread)
{
    struct sigaction action = {.sa_handler = note};
    struct timespec while_ = {0, 30000000};
    pthread_t thread;
    int ended_early = 0;

    handled = 0;
    CHECK_EQUAL(sigaction(SIGUSR1, &action, NULL), 0);
    CHECK_EQUAL(pthread_create(&thread, NULL, sleep_long, &ended_early), 0);
    nanosleep(&while_, NULL);
    CHECK_EQUAL(pthread_kill(thread, SIGUSR1), 0);
    CHECK_EQUAL(pthread_join(thread, NULL), 0);
    CHECK(handled && interrupted == thread);
    CHECK(ended_early);
}

/* A signal to the process goes to a thread that does not block it. */
TEST(signal_to_whoever_takes_it)
{
    struct sigaction action = {.sa_handler = note};
    sigset_t set, old;
    pthread_t thread;
    int ended_early = 0;

    handled = 0;
    CHECK_EQUAL(sigaction(SIGUSR1, &action, NULL), 0);
    CHECK_EQUAL(pthread_create(&thread, NULL, sleep_long, &ended_early), 0);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    CHECK_EQUAL(pthread_sigmask(SIG_BLOCK, &set, &old), 0);
    struct timespec while_ = {0, 30000000};
    nanosleep(&while_, NULL);
    CHECK_EQUAL(kill(getpid(), SIGUSR1), 0);
    CHECK_EQUAL(pthread_join(thread, NULL), 0);
    CHECK(handled && interrupted == thread);
    CHECK_EQUAL(pthread_sigmask(SIG_SETMASK, &old, NULL), 0);
}

static void *wait_for_ever(void *argument)
{
    (void)argument;
    for (;;)
        pause();
    return NULL;
}

TEST(cancellation)
{
    pthread_t thread;
    void *result;
    struct timespec while_ = {0, 10000000};

    CHECK_EQUAL(pthread_create(&thread, NULL, wait_for_ever, NULL), 0);
    nanosleep(&while_, NULL);
    CHECK_EQUAL(pthread_cancel(thread), 0);
    CHECK_EQUAL(pthread_join(thread, &result), 0);
    CHECK(result == PTHREAD_CANCELED);
}

static int status_of(pid_t pid)
{
    int status;

    CHECK(pid >= 0);
    CHECK_EQUAL(waitpid(pid, &status, 0), pid);
    return status;
}

TEST(fork_with_threads)
{
    pthread_t thread;

    CHECK_EQUAL(pthread_create(&thread, NULL, wait_for_ever, NULL), 0);
    pid_t pid = fork();
    if (pid == 0) {
        pthread_t other; /* the child has one thread and can have more */
        int zero = 0;
        if (pthread_create(&other, NULL, add_local, &zero) || pthread_join(other, NULL))
            _exit(1);
        _exit(0);
    }
    CHECK_EQUAL(status_of(pid), 0);
    CHECK_EQUAL(pthread_cancel(thread), 0);
    CHECK_EQUAL(pthread_join(thread, NULL), 0);
}

TEST(exit_ends_all_threads)
{
    pid_t pid = fork();

    if (pid == 0) {
        pthread_t thread;
        for (int i = 0; i < 4; i++)
            pthread_create(&thread, NULL, wait_for_ever, NULL);
        _exit(9);
    }
    CHECK_EQUAL(status_of(pid), 9 << 8);
}

static void *exec_it(void *argument)
{
    (void)argument;
    execl("/bin/sh", "sh", "-c", "exit 8", NULL);
    _exit(1);
}

/* execve ends every other thread, whichever calls it. */
TEST(exec_ends_other_threads)
{
    for (int by_main = 0; by_main < 2; by_main++) {
        pid_t pid = fork();
        if (pid == 0) {
            pthread_t thread;
            for (int i = 0; i < 3; i++)
                pthread_create(&thread, NULL, wait_for_ever, NULL);
            if (by_main)
                exec_it(NULL);
            pthread_create(&thread, NULL, exec_it, NULL);
            wait_for_ever(NULL);
        }
        CHECK_EQUAL(status_of(pid), 8 << 8);
    }
}

TEST(affinity_and_yield)
{
    cpu_set_t set;

    CHECK_EQUAL(sched_getaffinity(0, sizeof(set), &set), 0);
    CHECK(CPU_COUNT(&set) >= 1);
    CHECK_EQUAL(sched_yield(), 0);
}

TEST(futex_errors)
{
    int word = 0;
    struct timespec short_while = {0, 1000000};

    CHECK_EQUAL(syscall(SYS_futex, &word, 0, 1, NULL, NULL, 0), -1);
    CHECK_EQUAL(errno, EAGAIN);
    CHECK_EQUAL(syscall(SYS_futex, &word, 0, 0, &short_while, NULL, 0), -1);
    CHECK_EQUAL(errno, ETIMEDOUT);
    CHECK_EQUAL(syscall(SYS_futex, (char *)&word + 1, 0, 0, NULL, NULL, 0), -1);
    CHECK_EQUAL(errno, EINVAL);
    CHECK_EQUAL(syscall(SYS_futex, 8, 0, 0, NULL, NULL, 0), -1);
    CHECK_EQUAL(errno, EFAULT);
    CHECK_EQUAL(syscall(SYS_futex, &word, 1, INT_MAX, NULL, NULL, 0), 0);
}
