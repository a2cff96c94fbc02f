/* eventfd, timerfd, epoll as Linux programs see them. Runs on Linux too, and passes there: cc -I. tests/guest/linux_events.c */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/host/test.h"

#define CHECK_ERRNO(call, number)   \
    do {                            \
        errno = 0;                  \
        CHECK((call) == -1);        \
        CHECK_EQUAL(errno, number); \
    } while (0)

#define PATIENCE_MS 60000

static short events_of(int fd, short wanted)
{
    struct pollfd pollfd = {.fd = fd, .events = wanted};

    CHECK(poll(&pollfd, 1, 0) >= 0);
    return pollfd.revents;
}

static void add(int fd, uint64_t value)
{
    CHECK_EQUAL(write(fd, &value, sizeof(value)), 8);
}

static uint64_t take(int fd)
{
    uint64_t value = 0;

    CHECK_EQUAL(read(fd, &value, sizeof(value)), 8);
    return value;
}

/* --- eventfd ---------------------------------------------------------------------------------------------------------- */

TEST(eventfd_counts)
{
    int fd = eventfd(2, EFD_NONBLOCK | EFD_CLOEXEC);
    struct stat stat;
    uint64_t value;

    CHECK(fd >= 0);
    CHECK_EQUAL(fcntl(fd, F_GETFD), FD_CLOEXEC);
    CHECK_EQUAL(fcntl(fd, F_GETFL) & (O_NONBLOCK | O_ACCMODE), O_NONBLOCK | O_RDWR);
    CHECK_EQUAL(events_of(fd, POLLIN | POLLOUT), POLLIN | POLLOUT);
    add(fd, 5);
    CHECK_EQUAL(take(fd), 7);
    CHECK_EQUAL(events_of(fd, POLLIN | POLLOUT), POLLOUT);
    CHECK_ERRNO(read(fd, &value, 8), EAGAIN);
    CHECK_EQUAL(fstat(fd, &stat), 0);
    CHECK_EQUAL(stat.st_mode & 0777, 0600);
    close(fd);
}

TEST(eventfd_as_a_semaphore)
{
    int fd = eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK);
    uint64_t value;

    CHECK_EQUAL(take(fd), 1);
    CHECK_EQUAL(take(fd), 1);
    CHECK_ERRNO(read(fd, &value, 8), EAGAIN);
    close(fd);
}

TEST(eventfd_errors)
{
    int fd = eventfd(0, EFD_NONBLOCK);
    uint64_t most = UINT64_MAX, value = UINT64_MAX - 1;

    CHECK_ERRNO(eventfd(0, 4), EINVAL);
    CHECK_ERRNO(write(fd, &most, 8), EINVAL);
    CHECK_ERRNO(write(fd, &value, 4), EINVAL);
    CHECK_ERRNO(read(fd, &value, 4), EINVAL);
    CHECK_ERRNO(write(fd, (void *)8, 8), EFAULT);
    add(fd, value);
    value = 1;
    CHECK_EQUAL(events_of(fd, POLLIN | POLLOUT), POLLIN);
    CHECK_ERRNO(write(fd, &value, 8), EAGAIN);
    CHECK_EQUAL(take(fd), UINT64_MAX - 1);
    CHECK_ERRNO(send(fd, "x", 1, 0), ENOTSOCK);
    close(fd);
}

TEST(eventfd_across_fork)
{
    int there = eventfd(0, 0), back = eventfd(0, 0), status;
    pid_t child = fork();

    if (child == 0) {
        for (uint64_t i = 1; i <= 200; i++) {
            uint64_t value;

            if (read(there, &value, 8) != 8 || value != i || write(back, &i, 8) != 8)
                _exit(1);
        }
        _exit(0);
    }
    for (uint64_t i = 1; i <= 200; i++) {
        add(there, i);
        CHECK_EQUAL(take(back), i);
    }
    CHECK_EQUAL(waitpid(child, &status, 0), child);
    CHECK_EQUAL(status, 0);
    CHECK_EQUAL(fcntl(there, F_SETFL, O_NONBLOCK), 0);
    CHECK_ERRNO(read(there, &(uint64_t){0}, 8), EAGAIN);
    close(there);
    close(back);
}

static void *add_later(void *fd)
{
    usleep(5000);
    add(*(int *)fd, 1);
    return NULL;
}

TEST(poll_and_select_wait_for_an_eventfd)
{
    int fd = eventfd(0, 0);
    struct pollfd pollfd = {.fd = fd, .events = POLLIN};
    pthread_t thread;
    fd_set set;

    CHECK_EQUAL(pthread_create(&thread, NULL, add_later, &fd), 0);
    CHECK_EQUAL(poll(&pollfd, 1, PATIENCE_MS), 1);
    CHECK_EQUAL(pollfd.revents, POLLIN);
    CHECK_EQUAL(pthread_join(thread, NULL), 0);
    FD_ZERO(&set);
    FD_SET(fd, &set);
    CHECK_EQUAL(select(fd + 1, &set, NULL, NULL, NULL), 1);
    CHECK(FD_ISSET(fd, &set));
    take(fd);
    close(fd);
}

static volatile sig_atomic_t alarms;

static void on_alarm(int signal)
{
    (void)signal;
    alarms++;
}

TEST(a_signal_ends_the_wait)
{
    struct sigaction action = {.sa_handler = on_alarm}, old;
    int fd = eventfd(0, 0), epoll = epoll_create1(0);
    struct epoll_event event;
    uint64_t value;

    alarms = 0;
    sigaction(SIGALRM, &action, &old);
    ualarm(10000, 0);
    CHECK_ERRNO(read(fd, &value, 8), EINTR);
    ualarm(10000, 0);
    CHECK_ERRNO(epoll_wait(epoll, &event, 1, -1), EINTR);
    CHECK_EQUAL(alarms, 2);
    sigaction(SIGALRM, &old, NULL);
    close(fd);
    close(epoll);
}

/* --- timerfd ---------------------------------------------------------------------------------------------------------- */

static struct itimerspec spec(long value_ms, long interval_ms)
{
    return (struct itimerspec){
        .it_value = {value_ms / 1000, value_ms % 1000 * 1000000},
        .it_interval = {interval_ms / 1000, interval_ms % 1000 * 1000000},
    };
}

TEST(timerfd_expires)
{
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    struct itimerspec once = spec(5, 0), often = spec(2, 2), far = spec(3600000, 1000), have;

    CHECK_EQUAL(events_of(fd, POLLIN | POLLOUT), 0);
    CHECK_EQUAL(timerfd_settime(fd, 0, &once, NULL), 0);
    CHECK_EQUAL(take(fd), 1);
    CHECK_EQUAL(timerfd_gettime(fd, &have), 0);
    CHECK_EQUAL(have.it_value.tv_sec + have.it_value.tv_nsec, 0);
    CHECK_EQUAL(timerfd_settime(fd, 0, &often, NULL), 0);
    usleep(20000);
    CHECK(take(fd) >= 5);
    CHECK(take(fd) >= 1);
    CHECK_EQUAL(timerfd_settime(fd, 0, &far, &have), 0);
    CHECK_EQUAL(have.it_interval.tv_nsec, 2000000);
    CHECK(have.it_value.tv_nsec <= 2000000);
    CHECK_EQUAL(events_of(fd, POLLIN), 0);
    CHECK_EQUAL(timerfd_gettime(fd, &have), 0);
    CHECK_EQUAL(have.it_interval.tv_sec, 1);
    CHECK(have.it_value.tv_sec <= 3600 && have.it_value.tv_sec > 3000);
    close(fd);
}

TEST(timerfd_of_a_point_in_time)
{
    int fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK);
    struct itimerspec at = {.it_value = {1, 0}};
    struct pollfd pollfd = {.fd = fd, .events = POLLIN};
    uint64_t value;

    CHECK_ERRNO(read(fd, &value, 8), EAGAIN);
    CHECK_EQUAL(timerfd_settime(fd, TFD_TIMER_ABSTIME, &at, NULL), 0); /* long ago */
    CHECK_EQUAL(poll(&pollfd, 1, PATIENCE_MS), 1);
    CHECK_EQUAL(take(fd), 1);
    clock_gettime(CLOCK_REALTIME, &at.it_value);
    at.it_value.tv_sec += 3600;
    CHECK_EQUAL(timerfd_settime(fd, TFD_TIMER_ABSTIME, &at, NULL), 0);
    CHECK_EQUAL(events_of(fd, POLLIN), 0);
    close(fd);
}

TEST(timerfd_errors)
{
    int fd = timerfd_create(CLOCK_MONOTONIC, 0), event = eventfd(0, 0);
    struct itimerspec bad = {.it_value = {0, 1000000000}}, good = spec(1, 0);

    CHECK_ERRNO(timerfd_create(77, 0), EINVAL);
    CHECK_ERRNO(timerfd_create(CLOCK_MONOTONIC, 1), EINVAL);
    CHECK_ERRNO(timerfd_settime(fd, 8, &good, NULL), EINVAL);
    CHECK_ERRNO(timerfd_settime(fd, 0, &bad, NULL), EINVAL);
    CHECK_ERRNO(timerfd_settime(event, 0, &good, NULL), EINVAL);
    CHECK_ERRNO(timerfd_settime(99, 0, &good, NULL), EBADF);
    CHECK_ERRNO(write(fd, &bad, 8), EINVAL);
    close(fd);
    close(event);
}

/* --- epoll ------------------------------------------------------------------------------------------------------------ */

static int epoll_new(void)
{
    int fd = epoll_create1(EPOLL_CLOEXEC);

    CHECK(fd >= 0);
    return fd;
}

static int control(int epoll, int op, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};

    return epoll_ctl(epoll, op, fd, &event);
}

/* The one event, of that descriptor; 0: none. */
static uint32_t one_event(int epoll, int fd, int timeout)
{
    struct epoll_event events[4];
    int count = epoll_wait(epoll, events, 4, timeout);

    CHECK(count == 0 || count == 1);
    CHECK(!count || events[0].data.fd == fd);
    return count ? events[0].events : 0;
}

TEST(epoll_by_level)
{
    int epoll = epoll_new(), fd = eventfd(0, 0);

    CHECK_EQUAL(fcntl(epoll, F_GETFD), FD_CLOEXEC);
    CHECK_EQUAL(control(epoll, EPOLL_CTL_ADD, fd, EPOLLIN), 0);
    CHECK_EQUAL(one_event(epoll, fd, 0), 0);
    add(fd, 1);
    CHECK_EQUAL(one_event(epoll, fd, 0), EPOLLIN);
    CHECK_EQUAL(one_event(epoll, fd, -1), EPOLLIN);
    take(fd);
    CHECK_EQUAL(one_event(epoll, fd, 0), 0);
    CHECK_EQUAL(control(epoll, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLOUT), 0);
    CHECK_EQUAL(one_event(epoll, fd, 0), EPOLLOUT);
    add(fd, 1);
    CHECK_EQUAL(one_event(epoll, fd, 0), EPOLLIN | EPOLLOUT);
    CHECK_EQUAL(control(epoll, EPOLL_CTL_DEL, fd, 0), 0);
    CHECK_EQUAL(one_event(epoll, fd, 0), 0);
    close(fd);
    close(epoll);
}

TEST(epoll_by_edge)
{
    int epoll = epoll_new(), fd = eventfd(0, EFD_NONBLOCK), pipes[2];
    char bytes[8];

    CHECK_EQUAL(control(epoll, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLET), 0);
    add(fd, 1);
    CHECK_EQUAL(one_event(epoll, fd, 0), EPOLLIN);
    CHECK_EQUAL(one_event(epoll, fd, 0), 0);
    add(fd, 1); /* nobody has read: an edge nevertheless */
    CHECK_EQUAL(one_event(epoll, fd, 0), EPOLLIN);
    CHECK_EQUAL(one_event(epoll, fd, 0), 0);
    close(fd);

    CHECK_EQUAL(pipe2(pipes, O_NONBLOCK), 0);
    CHECK_EQUAL(control(epoll, EPOLL_CTL_ADD, pipes[0], EPOLLIN | EPOLLET), 0);
    CHECK_EQUAL(write(pipes[1], "abc", 3), 3);
    CHECK_EQUAL(one_event(epoll, pipes[0], -1), EPOLLIN);
    CHECK_EQUAL(one_event(epoll, pipes[0], 0), 0);
    CHECK_EQUAL(read(pipes[0], bytes, 8), 3);
    CHECK_ERRNO(read(pipes[0], bytes, 8), EAGAIN);
    CHECK_EQUAL(write(pipes[1], "d", 1), 1);
    CHECK_EQUAL(one_event(epoll, pipes[0], -1), EPOLLIN);
    close(pipes[1]);
    CHECK_EQUAL(one_event(epoll, pipes[0], -1), EPOLLIN | EPOLLHUP);
    close(pipes[0]);
    close(epoll);
}

TEST(epoll_once)
{
    int epoll = epoll_new(), fd = eventfd(1, 0);

    CHECK_EQUAL(control(epoll, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLONESHOT), 0);
    CHECK_EQUAL(one_event(epoll, fd, -1), EPOLLIN);
    add(fd, 1);
    CHECK_EQUAL(one_event(epoll, fd, 0), 0);
    CHECK_EQUAL(control(epoll, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLONESHOT), 0);
    CHECK_EQUAL(one_event(epoll, fd, -1), EPOLLIN);
    close(fd);
    close(epoll);
}

TEST(epoll_errors)
{
    int epoll = epoll_new(), fd = eventfd(0, 0), file = open("/etc/passwd", O_RDONLY);
    struct epoll_event event;

    CHECK(file >= 0);
    CHECK_ERRNO(epoll_create1(1), EINVAL);
    CHECK_ERRNO(syscall(SYS_epoll_create, 0), EINVAL);
    CHECK_ERRNO(control(epoll, EPOLL_CTL_ADD, 99, EPOLLIN), EBADF);
    CHECK_ERRNO(control(99, EPOLL_CTL_ADD, fd, EPOLLIN), EBADF);
    CHECK_ERRNO(control(fd, EPOLL_CTL_ADD, fd, EPOLLIN), EINVAL);
    CHECK_ERRNO(control(epoll, EPOLL_CTL_ADD, epoll, EPOLLIN), EINVAL);
    CHECK_ERRNO(control(epoll, EPOLL_CTL_ADD, file, EPOLLIN), EPERM);
    CHECK_ERRNO(control(epoll, 7, fd, EPOLLIN), EINVAL);
    CHECK_ERRNO(control(epoll, EPOLL_CTL_MOD, fd, EPOLLIN), ENOENT);
    CHECK_ERRNO(control(epoll, EPOLL_CTL_DEL, fd, EPOLLIN), ENOENT);
    CHECK_EQUAL(control(epoll, EPOLL_CTL_ADD, fd, EPOLLIN), 0);
    CHECK_ERRNO(control(epoll, EPOLL_CTL_ADD, fd, EPOLLIN), EEXIST);
    CHECK_ERRNO(epoll_wait(epoll, &event, 0, 0), EINVAL);
    CHECK_ERRNO(epoll_wait(fd, &event, 1, 0), EINVAL);
    CHECK_ERRNO(epoll_wait(99, &event, 1, 0), EBADF);
    add(fd, 1);
    CHECK_ERRNO(epoll_wait(epoll, (void *)8, 1, 0), EFAULT);
    CHECK_ERRNO(read(epoll, &event, 8), EINVAL);
    close(file);
    close(fd);
    close(epoll);
}

/* The interest goes with the last descriptor of the file. */
TEST(epoll_forgets_what_is_closed)
{
    int epoll = epoll_new(), fd = eventfd(1, 0), copy = dup(fd);

    CHECK_EQUAL(control(epoll, EPOLL_CTL_ADD, fd, EPOLLIN), 0);
    CHECK_EQUAL(control(epoll, EPOLL_CTL_ADD, copy, EPOLLIN | EPOLLET), 0);
    struct epoll_event events[4];
    CHECK_EQUAL(epoll_wait(epoll, events, 4, 0), 2);
    CHECK_EQUAL(control(epoll, EPOLL_CTL_DEL, copy, 0), 0);
    CHECK_EQUAL(one_event(epoll, fd, 0), EPOLLIN);
    close(copy);
    CHECK_EQUAL(one_event(epoll, fd, 0), EPOLLIN);
    close(fd);
    CHECK_EQUAL(one_event(epoll, fd, 0), 0);
    close(epoll);
}

TEST(epoll_of_sockets)
{
    int epoll = epoll_new(), fds[2];

    CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    CHECK_EQUAL(control(epoll, EPOLL_CTL_ADD, fds[0], EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET),
                0);
    CHECK_EQUAL(one_event(epoll, fds[0], -1), EPOLLOUT);
    CHECK_EQUAL(one_event(epoll, fds[0], 0), 0); /* still writable, and told once */
    CHECK_EQUAL(write(fds[1], "x", 1), 1);
    CHECK_EQUAL(one_event(epoll, fds[0], -1), EPOLLIN | EPOLLOUT);
    close(fds[1]);
    CHECK_EQUAL(one_event(epoll, fds[0], -1), EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLHUP);
    close(fds[0]);
    close(epoll);
}

#define MANY 200

TEST(epoll_of_many)
{
    int epoll = epoll_new(), fds[MANY], seen = 0;
    struct epoll_event events[16];

    for (int i = 0; i < MANY; i++) {
        fds[i] = eventfd(0, EFD_NONBLOCK);
        CHECK_EQUAL(control(epoll, EPOLL_CTL_ADD, fds[i], EPOLLIN), 0);
    }
    for (int i = 0; i < MANY; i += 2)
        add(fds[i], 1);
    while (seen < MANY / 2) {
        int count = epoll_wait(epoll, events, 16, PATIENCE_MS);

        CHECK(count > 0);
        for (int i = 0; i < count; i++)
            CHECK_EQUAL(take(events[i].data.fd), 1);
        seen += count;
    }
    CHECK_EQUAL(epoll_wait(epoll, events, 16, 0), 0);
    for (int i = 0; i < MANY; i++)
        close(fds[i]);
    close(epoll);
}

/* A child's descriptors are copies, and what it does with them is no matter of its parent's. */
TEST(epoll_across_fork)
{
    int epoll = epoll_new(), fd = eventfd(0, 0), other = eventfd(0, 0), status;

    CHECK_EQUAL(control(epoll, EPOLL_CTL_ADD, fd, EPOLLIN), 0);
    pid_t child = fork();
    if (child == 0) {
        close(fd);
        close(epoll);
        int own = epoll_create1(0);
        uint64_t one = 1;
        if (control(own, EPOLL_CTL_ADD, other, EPOLLIN) || write(other, &one, 8) != 8)
            _exit(1);
        _exit(one_event(own, other, -1) != EPOLLIN);
    }
    CHECK_EQUAL(waitpid(child, &status, 0), child);
    CHECK_EQUAL(status, 0);
    add(fd, 1);
    CHECK_EQUAL(one_event(epoll, fd, -1), EPOLLIN);
    child = fork();
    if (child == 0)
        _exit(one_event(epoll, fd, -1) != EPOLLIN);
    CHECK_EQUAL(waitpid(child, &status, 0), child);
    CHECK_EQUAL(status, 0);
    CHECK_EQUAL(one_event(epoll, fd, -1), EPOLLIN);
    close(fd);
    close(other);
    close(epoll);
}

TEST(polling_an_epoll)
{
    int epoll = epoll_new(), fd = eventfd(0, 0);
    struct pollfd pollfd = {.fd = epoll, .events = POLLIN};
    pthread_t thread;

    CHECK_EQUAL(control(epoll, EPOLL_CTL_ADD, fd, EPOLLIN), 0);
    CHECK_EQUAL(events_of(epoll, POLLIN), 0);
    CHECK_EQUAL(pthread_create(&thread, NULL, add_later, &fd), 0);
    CHECK_EQUAL(poll(&pollfd, 1, PATIENCE_MS), 1);
    CHECK_EQUAL(pollfd.revents, POLLIN);
    CHECK_EQUAL(pthread_join(thread, NULL), 0);
    CHECK_EQUAL(one_event(epoll, fd, 0), EPOLLIN);
    CHECK_EQUAL(events_of(epoll, POLLIN), POLLIN);
    take(fd);
    CHECK_EQUAL(events_of(epoll, POLLIN), 0);
    close(fd);
    close(epoll);
}

static void *take_events(void *argument)
{
    int epoll = *(int *)argument;
    struct epoll_event event;
    long taken = 0;

    while (epoll_wait(epoll, &event, 1, PATIENCE_MS) == 1) {
        uint64_t value;

        if (event.data.fd < 0)
            break;
        if (read(event.data.fd, &value, 8) == 8)
            taken += (long)value;
    }
    return (void *)taken;
}

/* Threads that wait at one epoll share what comes; none sleeps on. */
TEST(epoll_with_threads)
{
    int epoll = epoll_new(), fd = eventfd(0, EFD_NONBLOCK), end = eventfd(0, 0);
    struct epoll_event last = {.events = EPOLLIN, .data.fd = -1};
    pthread_t threads[3];
    long sum = 0;
    void *taken;

    CHECK_EQUAL(control(epoll, EPOLL_CTL_ADD, fd, EPOLLIN), 0);
    CHECK_EQUAL(epoll_ctl(epoll, EPOLL_CTL_ADD, end, &last), 0);
    for (int i = 0; i < 3; i++)
        CHECK_EQUAL(pthread_create(&threads[i], NULL, take_events, &epoll), 0);
    for (int i = 0; i < 500; i++)
        add(fd, 1);
    while (events_of(fd, POLLIN))
        usleep(1000);
    add(end, 1);
    for (int i = 0; i < 3; i++) {
        CHECK_EQUAL(pthread_join(threads[i], &taken), 0);
        sum += (long)taken;
    }
    CHECK_EQUAL(sum, 500);
    close(fd);
    close(end);
    close(epoll);
}
