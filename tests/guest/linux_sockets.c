/* Unix sockets as Linux programs see them. Runs on Linux too, and passes there: cc -I. tests/guest/linux_sockets.c */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/host/test.h"

#define CHECK_ERRNO(call, number)   \
    do {                            \
        errno = 0;                  \
        CHECK((call) == -1);        \
        CHECK_EQUAL(errno, number); \
    } while (0)

struct pair {
    int fds[2];
};

static struct pair pair_new(int type)
{
    struct pair pair;

    CHECK_EQUAL(socketpair(AF_UNIX, type, 0, pair.fds), 0);
    return pair;
}

static void pair_end(struct pair *pair)
{
    CHECK_EQUAL(close(pair->fds[0]), 0);
    CHECK_EQUAL(close(pair->fds[1]), 0);
}

static short events_of(int fd, short wanted)
{
    struct pollfd pollfd = {.fd = fd, .events = wanted};

    CHECK(poll(&pollfd, 1, 0) >= 0);
    return pollfd.revents;
}

TEST(both_ways)
{
    struct pair pair = pair_new(SOCK_STREAM);
    struct stat stat;
    char bytes[16];

    CHECK_EQUAL(write(pair.fds[0], "hello", 5), 5);
    CHECK_EQUAL(read(pair.fds[1], bytes, 16), 5);
    CHECK_EQUAL(send(pair.fds[1], "back", 4, 0), 4);
    CHECK_EQUAL(recv(pair.fds[0], bytes, 16, MSG_PEEK), 4);
    CHECK_EQUAL(recv(pair.fds[0], bytes, 16, 0), 4);
    CHECK(memcmp(bytes, "back", 4) == 0);
    CHECK_ERRNO(recv(pair.fds[0], bytes, 16, MSG_DONTWAIT), EAGAIN);
    CHECK_EQUAL(fstat(pair.fds[0], &stat), 0);
    CHECK(S_ISSOCK(stat.st_mode));
    CHECK_ERRNO(lseek(pair.fds[0], 0, SEEK_CUR), ESPIPE);
    pair_end(&pair);
}

TEST(errors)
{
    int fds[2], pipes[2];

    CHECK_ERRNO(socketpair(AF_UNIX, SOCK_RDM, 0, fds), ESOCKTNOSUPPORT);
    CHECK_ERRNO(socketpair(9999, SOCK_STREAM, 0, fds), EAFNOSUPPORT);
    CHECK_ERRNO(send(99, "x", 1, 0), EBADF);
    CHECK_EQUAL(pipe(pipes), 0);
    CHECK_ERRNO(send(pipes[1], "x", 1, 0), ENOTSOCK);
    CHECK_ERRNO(shutdown(pipes[0], SHUT_RD), ENOTSOCK);
    close(pipes[0]);
    close(pipes[1]);
}

TEST(flags_of_the_pair)
{
    struct pair pair = pair_new(SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC);
    char byte;

    CHECK_EQUAL(fcntl(pair.fds[0], F_GETFD), FD_CLOEXEC);
    CHECK(fcntl(pair.fds[0], F_GETFL) & O_NONBLOCK);
    CHECK_EQUAL(fcntl(pair.fds[1], F_GETFL) & O_ACCMODE, O_RDWR);
    CHECK_ERRNO(read(pair.fds[0], &byte, 1), EAGAIN);
    pair_end(&pair);
}

TEST(packets)
{
    struct pair pair = pair_new(SOCK_SEQPACKET);
    char bytes[16];

    CHECK_EQUAL(send(pair.fds[0], "first", 5, 0), 5);
    CHECK_EQUAL(send(pair.fds[0], "second", 6, 0), 6);
    CHECK_EQUAL(recv(pair.fds[1], bytes, 3, 0), 3);
    CHECK(memcmp(bytes, "fir", 3) == 0);
    CHECK_EQUAL(recv(pair.fds[1], bytes, 3, MSG_TRUNC), 6);
    CHECK(memcmp(bytes, "sec", 3) == 0);
    pair_end(&pair);
}

TEST(shutting_down)
{
    struct pair pair = pair_new(SOCK_STREAM);
    char bytes[4];

    CHECK_ERRNO(shutdown(pair.fds[0], 7), EINVAL);
    CHECK_EQUAL(write(pair.fds[0], "end", 3), 3);
    CHECK_EQUAL(shutdown(pair.fds[0], SHUT_WR), 0);
    CHECK_ERRNO(send(pair.fds[0], "x", 1, MSG_NOSIGNAL), EPIPE);
    CHECK_EQUAL(events_of(pair.fds[1], POLLIN | POLLOUT | POLLRDHUP), POLLIN | POLLOUT | POLLRDHUP);
    CHECK_EQUAL(read(pair.fds[1], bytes, 4), 3);
    CHECK_EQUAL(read(pair.fds[1], bytes, 4), 0);
    CHECK_EQUAL(write(pair.fds[1], "go", 2), 2);
    CHECK_EQUAL(read(pair.fds[0], bytes, 4), 2);
    pair_end(&pair);
}

TEST(polling)
{
    struct pair pair = pair_new(SOCK_STREAM);

    CHECK_EQUAL(events_of(pair.fds[0], POLLIN | POLLOUT), POLLOUT);
    CHECK_EQUAL(write(pair.fds[1], "x", 1), 1);
    CHECK_EQUAL(events_of(pair.fds[0], POLLIN | POLLOUT), POLLIN | POLLOUT);
    close(pair.fds[1]);
    CHECK_EQUAL(events_of(pair.fds[0], POLLIN | POLLOUT), POLLIN | POLLOUT | POLLHUP);
    CHECK_EQUAL(events_of(pair.fds[0], 0), POLLHUP);
    close(pair.fds[0]);
}

static volatile sig_atomic_t pipes_broken;

static void pipe_broken(int signal)
{
    (void)signal;
    pipes_broken++;
}

TEST(broken_pipe)
{
    struct pair pair = pair_new(SOCK_STREAM);

    signal(SIGPIPE, pipe_broken);
    close(pair.fds[1]);
    pipes_broken = 0;
    CHECK_ERRNO(send(pair.fds[0], "x", 1, MSG_NOSIGNAL), EPIPE);
    CHECK_EQUAL(pipes_broken, 0);
    CHECK_ERRNO(send(pair.fds[0], "x", 1, 0), EPIPE);
    CHECK_EQUAL(pipes_broken, 1);
    CHECK_ERRNO(write(pair.fds[0], "x", 1), EPIPE);
    CHECK_EQUAL(pipes_broken, 2);
    signal(SIGPIPE, SIG_DFL);
    close(pair.fds[0]);
}

TEST(vectors)
{
    for (int type = SOCK_STREAM; type <= SOCK_SEQPACKET; type += SOCK_SEQPACKET - SOCK_STREAM) {
        struct pair pair = pair_new(type);
        char one[4], two[16];
        struct iovec out[3] = {{"one", 3}, {"", 0}, {"twothree", 8}}, in[2] = {{one, 4}, {two, 16}};
        struct msghdr header = {.msg_iov = out, .msg_iovlen = 3};

        CHECK_EQUAL(sendmsg(pair.fds[0], &header, 0), 11);
        header = (struct msghdr){.msg_iov = in, .msg_iovlen = 2};
        CHECK_EQUAL(recvmsg(pair.fds[1], &header, 0), 11);
        CHECK(memcmp(one, "onet", 4) == 0 && memcmp(two, "wothree", 7) == 0);
        CHECK_EQUAL(header.msg_flags & (MSG_TRUNC | MSG_CTRUNC), 0);
        pair_end(&pair);
    }
}

/* --- Descriptors ------------------------------------------------------------------------------------------------- */

union control {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(8 * sizeof(int))];
};

static ssize_t send_fds(int socket, const int *fds, size_t count)
{
    union control control = {0};
    struct iovec vector = {"f", 1};
    struct msghdr header = {
        .msg_iov = &vector,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = CMSG_SPACE(count * sizeof(int)),
    };

    control.header = (struct cmsghdr){.cmsg_len = CMSG_LEN(count * sizeof(int)),
                                      .cmsg_level = SOL_SOCKET,
                                      .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(&control.header), fds, count * sizeof(int));
    return sendmsg(socket, &header, 0);
}

/* How many came; -1: the message was cut. */
static int receive_fds(int socket, int *fds, size_t room, int flags)
{
    union control control = {0};
    char byte;
    struct iovec vector = {&byte, 1};
    struct msghdr header = {
        .msg_iov = &vector,
        .msg_iovlen = 1,
        .msg_control = room ? &control : NULL,
        .msg_controllen = room ? CMSG_LEN(room * sizeof(int)) : 0,
    };

    CHECK_EQUAL(recvmsg(socket, &header, flags), 1);
    CHECK_EQUAL(byte, 'f');

    struct cmsghdr *first = CMSG_FIRSTHDR(&header);
    size_t count = first ? (first->cmsg_len - CMSG_LEN(0)) / sizeof(int) : 0;

    if (first) {
        CHECK_EQUAL(first->cmsg_level, SOL_SOCKET);
        CHECK_EQUAL(first->cmsg_type, SCM_RIGHTS);
        memcpy(fds, CMSG_DATA(first), count * sizeof(int));
    }
    return header.msg_flags & MSG_CTRUNC ? -1 : (int)count;
}

TEST(descriptors_travel)
{
    struct pair pair = pair_new(SOCK_STREAM), inner = pair_new(SOCK_STREAM);
    int pipes[2], got[3];
    char bytes[8];

    CHECK_EQUAL(pipe(pipes), 0);
    CHECK_EQUAL(send_fds(pair.fds[0], (int[]){pipes[0], inner.fds[1], pipes[1]}, 3), 1);
    close(pipes[0]);
    close(pipes[1]);
    close(inner.fds[1]);
    CHECK_EQUAL(receive_fds(pair.fds[1], got, 3, MSG_CMSG_CLOEXEC), 3);
    CHECK_EQUAL(fcntl(got[0], F_GETFD), FD_CLOEXEC);
    CHECK_EQUAL(fcntl(got[0], F_GETFL) & O_ACCMODE, O_RDONLY);
    CHECK_EQUAL(fcntl(got[1], F_GETFL) & O_ACCMODE, O_RDWR);
    CHECK_EQUAL(fcntl(got[2], F_GETFL) & O_ACCMODE, O_WRONLY);
    CHECK_EQUAL(write(got[2], "pipe", 4), 4);
    CHECK_EQUAL(read(got[0], bytes, 8), 4);
    CHECK_EQUAL(write(inner.fds[0], "inner", 5), 5);
    CHECK_EQUAL(read(got[1], bytes, 8), 5);
    for (int i = 0; i < 3; i++)
        close(got[i]);
    close(inner.fds[0]);
    pair_end(&pair);
}

TEST(a_file_travels)
{
    struct pair pair = pair_new(SOCK_SEQPACKET);
    int fd = open("/etc/passwd", O_RDONLY), got;
    char first[4], second[4];

    CHECK(fd >= 0);
    CHECK_EQUAL(read(fd, first, 4), 4);
    CHECK_EQUAL(send_fds(pair.fds[0], &fd, 1), 1);
    CHECK_EQUAL(receive_fds(pair.fds[1], &got, 1, 0), 1);
    CHECK_EQUAL(lseek(got, 0, SEEK_CUR), 4); /* the same open file */
    CHECK_EQUAL(read(got, first, 4), 4);
    CHECK_EQUAL(pread(fd, second, 4, 4), 4);
    CHECK(memcmp(first, second, 4) == 0);
    CHECK_EQUAL(lseek(fd, 0, SEEK_CUR), 8);
    close(fd);
    close(got);
    pair_end(&pair);
}

TEST(bad_descriptors)
{
    struct pair pair = pair_new(SOCK_STREAM);
    char byte;

    CHECK_ERRNO(send_fds(pair.fds[0], (int[]){pair.fds[1], 99}, 2), EBADF);
    CHECK_ERRNO(recv(pair.fds[1], &byte, 1, MSG_DONTWAIT), EAGAIN);
    pair_end(&pair);
}

TEST(no_room_for_descriptors)
{
    struct pair pair = pair_new(SOCK_STREAM);
    int pipes[2], got[2];
    char byte;

    CHECK_EQUAL(pipe(pipes), 0);
    CHECK_EQUAL(send_fds(pair.fds[0], &pipes[1], 1), 1);
    close(pipes[1]);
    CHECK_EQUAL(receive_fds(pair.fds[1], got, 0, 0), -1);
    CHECK_EQUAL(read(pipes[0], &byte, 1), 0); /* nobody has the other end any more */
    close(pipes[0]);
    pair_end(&pair);
}

/* --- Who is there ------------------------------------------------------------------------------------------------ */

static int option(int socket, int name)
{
    int value = -1;
    socklen_t length = sizeof(value);

    CHECK_EQUAL(getsockopt(socket, SOL_SOCKET, name, &value, &length), 0);
    CHECK_EQUAL(length, sizeof(value));
    return value;
}

TEST(options)
{
    struct pair pair = pair_new(SOCK_SEQPACKET);
    int value = 4096;

    CHECK_EQUAL(option(pair.fds[0], SO_TYPE), SOCK_SEQPACKET);
    CHECK_EQUAL(option(pair.fds[0], SO_DOMAIN), AF_UNIX);
    CHECK_EQUAL(option(pair.fds[0], SO_ERROR), 0);
    CHECK_EQUAL(option(pair.fds[0], SO_ACCEPTCONN), 0);
    CHECK(option(pair.fds[0], SO_SNDBUF) > 0);
    CHECK_EQUAL(setsockopt(pair.fds[0], SOL_SOCKET, SO_SNDBUF, &value, sizeof(value)), 0);
    CHECK_ERRNO(setsockopt(pair.fds[0], SOL_SOCKET, 9999, &value, sizeof(value)), ENOPROTOOPT);
    pair_end(&pair);
}

TEST(peer_credentials)
{
    struct pair pair = pair_new(SOCK_STREAM);
    struct ucred peer;
    socklen_t length = sizeof(peer);

    CHECK_EQUAL(getsockopt(pair.fds[0], SOL_SOCKET, SO_PEERCRED, &peer, &length), 0);
    CHECK_EQUAL(length, sizeof(peer));
    CHECK_EQUAL(peer.pid, getpid());
    CHECK_EQUAL(peer.uid, getuid());
    pair_end(&pair);
}

TEST(names)
{
    struct pair pair = pair_new(SOCK_STREAM);
    struct sockaddr_un address;
    socklen_t length = sizeof(address);

    CHECK_EQUAL(getsockname(pair.fds[0], (struct sockaddr *)&address, &length), 0);
    CHECK_EQUAL(length, sizeof(sa_family_t));
    CHECK_EQUAL(address.sun_family, AF_UNIX);
    length = sizeof(address);
    CHECK_EQUAL(getpeername(pair.fds[0], (struct sockaddr *)&address, &length), 0);
    CHECK_EQUAL(length, sizeof(sa_family_t));
    pair_end(&pair);
}

/* --- Between processes --------------------------------------------------------------------------------------------- */

TEST(waiting_for_all)
{
    struct pair pair = pair_new(SOCK_STREAM);
    char bytes[8];
    pid_t child = fork();

    if (child == 0) {
        for (int i = 0; i < 4; i++) {
            usleep(5000);
            if (send(pair.fds[1], "ab", 2, 0) != 2)
                _exit(1);
        }
        _exit(0);
    }
    CHECK_EQUAL(recv(pair.fds[0], bytes, 8, MSG_WAITALL), 8);
    CHECK(memcmp(bytes, "abababab", 8) == 0);
    CHECK_EQUAL(waitpid(child, NULL, 0), child);
    pair_end(&pair);
}

TEST(a_child_that_echoes)
{
    struct pair pair = pair_new(SOCK_STREAM);
    pid_t child = fork();
    int status;

    if (child == 0) {
        char bytes[64];
        ssize_t length;

        close(pair.fds[0]);
        while ((length = read(pair.fds[1], bytes, sizeof(bytes))) > 0)
            if (write(pair.fds[1], bytes, (size_t)length) != length)
                _exit(1);
        _exit(length < 0);
    }
    close(pair.fds[1]);
    for (int i = 0; i < 200; i++) {
        char out[8], in[8];

        snprintf(out, sizeof(out), "%07d", i);
        CHECK_EQUAL(send(pair.fds[0], out, 8, 0), 8);
        CHECK_EQUAL(recv(pair.fds[0], in, 8, MSG_WAITALL), 8);
        CHECK(memcmp(in, out, 8) == 0);
    }
    CHECK_EQUAL(shutdown(pair.fds[0], SHUT_WR), 0);
    CHECK_EQUAL(waitpid(child, &status, 0), child);
    CHECK_EQUAL(status, 0);
    close(pair.fds[0]);
}

/* --- Names ------------------------------------------------------------------------------------------------------------ */

struct address {
    struct sockaddr_un un;
    socklen_t length;
};

/* "@..." is an abstract name. */
static struct address address_of(const char *name)
{
    struct address address = {.un.sun_family = AF_UNIX};

    strncpy(address.un.sun_path, name, sizeof(address.un.sun_path) - 1);
    address.length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
    if (name[0] == '@')
        address.un.sun_path[0] = '\0';
    else
        address.length++;
    return address;
}

static int bind_to(int fd, const char *name)
{
    struct address address = address_of(name);

    return bind(fd, (struct sockaddr *)&address.un, address.length);
}

static int connect_to(int fd, const char *name)
{
    struct address address = address_of(name);

    return connect(fd, (struct sockaddr *)&address.un, address.length);
}

static int socket_new(int type)
{
    int fd = socket(AF_UNIX, type, 0);

    CHECK(fd >= 0);
    return fd;
}

static int listener_new(int type, const char *name, int backlog)
{
    int fd = socket_new(type);

    unlink(name);
    CHECK_EQUAL(bind_to(fd, name), 0);
    CHECK_EQUAL(listen(fd, backlog), 0);
    return fd;
}

static void expect_name(int (*get)(int, struct sockaddr *, socklen_t *), int fd, const char *name)
{
    struct address want = address_of(name), have = {.length = sizeof(have.un)};

    CHECK_EQUAL(get(fd, (struct sockaddr *)&have.un, &have.length), 0);
    CHECK_EQUAL(have.un.sun_family, AF_UNIX);
    CHECK_EQUAL(have.length, *name ? want.length : sizeof(sa_family_t));
    CHECK(!*name ||
          memcmp(have.un.sun_path, want.un.sun_path, want.length - sizeof(sa_family_t)) == 0);
}

#define PATH "/tmp/linux_sockets"

static void talk(int type, const char *name)
{
    int listener = listener_new(type, name, 4), client = socket_new(type);
    struct address peer = {.length = sizeof(peer.un)};
    char bytes[8];

    CHECK_EQUAL(events_of(listener, POLLIN | POLLOUT), 0);
    CHECK_EQUAL(connect_to(client, name), 0);
    CHECK_EQUAL(events_of(listener, POLLIN), POLLIN);
    int server = accept(listener, (struct sockaddr *)&peer.un, &peer.length);
    CHECK(server >= 0);
    CHECK_EQUAL(peer.length, sizeof(sa_family_t));
    CHECK_EQUAL(write(client, "hello", 5), 5);
    CHECK_EQUAL(read(server, bytes, 8), 5);
    CHECK_EQUAL(send(server, "back", 4, MSG_NOSIGNAL), 4);
    CHECK_EQUAL(recv(client, bytes, 8, 0), 4);
    expect_name(getsockname, listener, name);
    expect_name(getsockname, server, name);
    expect_name(getpeername, client, name);
    expect_name(getsockname, client, "");
    expect_name(getpeername, server, "");
    CHECK_ERRNO(connect_to(client, name), EISCONN);
    CHECK_EQUAL(close(server), 0);
    CHECK_EQUAL(read(client, bytes, 8), 0);
    CHECK_ERRNO(send(client, "x", 1, MSG_NOSIGNAL), EPIPE);
    close(client);
    close(listener);
    unlink(name);
}

TEST(a_path)
{
    talk(SOCK_STREAM, PATH);
    talk(SOCK_SEQPACKET, PATH);
}

TEST(an_abstract_name)
{
    talk(SOCK_STREAM, "@linux sockets/%\1");
}

TEST(binding_errors)
{
    int fd = socket_new(SOCK_STREAM), other = socket_new(SOCK_STREAM);
    struct sockaddr_un strange = {.sun_family = AF_INET};

    CHECK_ERRNO(bind(fd, (struct sockaddr *)&strange, sizeof(strange)), EINVAL);
    CHECK_ERRNO(bind(fd, (struct sockaddr *)&strange, 1), EINVAL);
    CHECK_ERRNO(bind(fd, (struct sockaddr *)8, 10), EFAULT);
    CHECK_ERRNO(bind(99, (struct sockaddr *)&strange, 10), EBADF);
    CHECK_ERRNO(listen(fd, 1), EINVAL); /* no name */
    CHECK_ERRNO(bind_to(fd, "/no-such-folder/socket"), ENOENT);
    CHECK_ERRNO(bind_to(fd, "/etc/passwd"), EADDRINUSE);
    CHECK_ERRNO(bind_to(fd, "/etc/passwd/socket"), ENOTDIR);
    CHECK_EQUAL(bind_to(fd, "@linux_sockets"), 0);
    CHECK_ERRNO(bind_to(fd, "@linux_sockets2"), EINVAL);
    CHECK_ERRNO(bind_to(other, "@linux_sockets"), EADDRINUSE);
    CHECK_ERRNO(connect_to(other, "@linux_sockets"), ECONNREFUSED); /* it does not listen */
    CHECK_ERRNO(accept(fd, NULL, NULL), EINVAL);
    CHECK_EQUAL(listen(fd, 1), 0);
    CHECK_EQUAL(listen(fd, 5), 0);
    CHECK_ERRNO(connect_to(fd, "@linux_sockets"), EINVAL);
    CHECK_EQUAL(connect_to(other, "@linux_sockets"), 0);
    close(fd);
    close(other);
}

TEST(another_type)
{
    int stream = listener_new(SOCK_STREAM, PATH, 1), packets = socket_new(SOCK_SEQPACKET);
    int datagrams = socket_new(SOCK_DGRAM);

    CHECK_ERRNO(connect_to(packets, PATH), EPROTOTYPE);
    CHECK_ERRNO(connect_to(datagrams, PATH), EPROTOTYPE);
    close(stream);
    close(packets);
    close(datagrams);
    unlink(PATH);
}

/* A name goes with its socket, at once or soon. */
TEST(a_name_is_free_again)
{
    for (int i = 0; i < 3; i++) {
        int fd = socket_new(SOCK_STREAM);

        for (int tries = 0; bind_to(fd, "@linux_sockets") && tries < 1000; tries++) {
            CHECK_EQUAL(errno, EADDRINUSE);
            usleep(1000);
        }
        CHECK_EQUAL(listen(fd, 1), 0);
        close(fd);
    }
}

TEST(connecting_errors)
{
    int fd = socket_new(SOCK_STREAM), packets = socket_new(SOCK_SEQPACKET), pipes[2];
    int listener = listener_new(SOCK_STREAM, "@linux_sockets_kind", 1);
    struct sockaddr_un empty = {.sun_family = AF_UNIX};
    char byte;

    CHECK_ERRNO(connect_to(fd, "/no-such-socket"), ENOENT);
    CHECK_ERRNO(connect_to(fd, "/etc/passwd"), ECONNREFUSED);
    CHECK_ERRNO(connect_to(fd, "@no such name"), ECONNREFUSED);
    CHECK_ERRNO(connect(fd, (struct sockaddr *)&empty, sizeof(sa_family_t)), EINVAL);
    CHECK_ERRNO(connect_to(packets, "@linux_sockets_kind"), ECONNREFUSED);
    CHECK_ERRNO(send(fd, "x", 1, 0), ENOTCONN);
    CHECK_ERRNO(recv(fd, &byte, 1, 0), EINVAL);
    CHECK_ERRNO(recv(packets, &byte, 1, 0), ENOTCONN);
    CHECK_ERRNO(write(fd, "x", 1), ENOTCONN);
    CHECK_ERRNO(read(fd, &byte, 1), EINVAL);
    CHECK_ERRNO(getpeername(fd, (struct sockaddr *)&empty, &(socklen_t){sizeof(empty)}), ENOTCONN);
    CHECK_EQUAL(events_of(fd, POLLIN | POLLOUT), POLLOUT | POLLHUP);
    CHECK_EQUAL(pipe(pipes), 0);
    CHECK_ERRNO(connect_to(pipes[0], "@x"), ENOTSOCK);
    CHECK_ERRNO(syscall(SYS_accept4, listener, NULL, NULL, 1), EINVAL);
    CHECK_EQUAL(events_of(listener, POLLIN), 0); /* what was refused left nothing behind */
    CHECK_ERRNO(socket(AF_UNIX, SOCK_RDM, 0), ESOCKTNOSUPPORT);
    CHECK_ERRNO(socket(9999, SOCK_STREAM, 0), EAFNOSUPPORT);
    CHECK_ERRNO(socket(AF_UNIX, SOCK_STREAM, 77), EPROTONOSUPPORT);
    close(pipes[0]);
    close(pipes[1]);
    close(packets);
    close(listener);
    close(fd);
}

TEST(a_full_backlog)
{
    int listener = listener_new(SOCK_STREAM, "@linux_sockets_full", 1), fds[4], connected = 0;

    for (int i = 0; i < 4; i++) {
        fds[i] = socket_new(SOCK_STREAM | SOCK_NONBLOCK);
        if (connect_to(fds[i], "@linux_sockets_full") == 0)
            connected++;
        else
            CHECK_EQUAL(errno, EAGAIN);
    }
    CHECK_EQUAL(connected, 2); /* one more than was asked for */
    CHECK_EQUAL(fcntl(fds[0], F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    for (int i = 0; i < 4; i++)
        close(fds[i]);
    close(listener);
}

TEST(accepting_without_waiting)
{
    int listener = listener_new(SOCK_STREAM, "@linux_sockets_now", 4),
        client = socket_new(SOCK_STREAM);

    CHECK_EQUAL(fcntl(listener, F_SETFL, O_NONBLOCK), 0);
    CHECK_EQUAL(fcntl(listener, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    CHECK_ERRNO(accept(listener, NULL, NULL), EAGAIN);
    CHECK_EQUAL(connect_to(client, "@linux_sockets_now"), 0);
    int server = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    CHECK(server >= 0);
    CHECK_EQUAL(fcntl(server, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    CHECK_EQUAL(fcntl(server, F_GETFD), FD_CLOEXEC);
    close(server);
    close(client);
    close(listener);
}

/* A child serves what its parent listens on; each knows who the other is. */
TEST(a_child_accepts)
{
    int listener = listener_new(SOCK_STREAM, "@linux_sockets_child", 4);
    pid_t child = fork();

    if (child == 0) {
        int server = accept(listener, NULL, NULL);
        struct ucred peer;
        socklen_t length = sizeof(peer);

        if (getsockopt(server, SOL_SOCKET, SO_PEERCRED, &peer, &length) || peer.pid != getppid())
            _exit(1);
        _exit(write(server, "x", 1) != 1);
    }
    int client = socket_new(SOCK_STREAM), status;
    char byte;
    CHECK_EQUAL(connect_to(client, "@linux_sockets_child"), 0);
    CHECK_EQUAL(read(client, &byte, 1), 1);
    CHECK_EQUAL(waitpid(child, &status, 0), child);
    CHECK_EQUAL(status, 0);
    CHECK_EQUAL(read(client, &byte, 1), 0);
    close(client);
    close(listener);
}

TEST(names_of_the_systems_finding)
{
    int fds[2] = {socket_new(SOCK_STREAM), socket_new(SOCK_STREAM)};
    struct sockaddr_un name = {.sun_family = AF_UNIX}, found[2];

    for (int i = 0; i < 2; i++) {
        socklen_t length = sizeof(found[i]);

        CHECK_EQUAL(bind(fds[i], (struct sockaddr *)&name, sizeof(sa_family_t)), 0);
        CHECK_EQUAL(getsockname(fds[i], (struct sockaddr *)&found[i], &length), 0);
        CHECK_EQUAL(length, sizeof(sa_family_t) + 6);
        CHECK_EQUAL(found[i].sun_path[0], 0);
    }
    CHECK(memcmp(found[0].sun_path, found[1].sun_path, 6) != 0);
    close(fds[0]);
    close(fds[1]);
}

TEST(datagrams_by_name)
{
    int server = socket_new(SOCK_DGRAM), client = socket_new(SOCK_DGRAM),
        other = socket_new(SOCK_DGRAM);
    struct address address = address_of("@linux_sockets_log");
    int type;
    char bytes[16];

    CHECK_EQUAL(bind_to(server, "@linux_sockets_log"), 0);
    CHECK_ERRNO(listen(server, 1), EOPNOTSUPP);
    CHECK_ERRNO(accept(server, NULL, NULL), EOPNOTSUPP);
    CHECK_ERRNO(send(client, "x", 1, 0), ENOTCONN);
    CHECK_ERRNO(recv(server, bytes, 16, MSG_DONTWAIT), EAGAIN);
    CHECK_EQUAL(events_of(server, POLLIN), 0);
    CHECK_EQUAL(connect_to(client, "@linux_sockets_log"), 0);
    expect_name(getpeername, client, "@linux_sockets_log");
    CHECK_EQUAL(send(client, "first", 5, 0), 5);
    CHECK_EQUAL(sendto(other, "second", 6, 0, (struct sockaddr *)&address.un, address.length), 6);
    CHECK_EQUAL(events_of(server, POLLIN), POLLIN);
    CHECK_EQUAL(ioctl(server, FIONREAD, &type), 0);
    CHECK_EQUAL(type, 5);
    CHECK_EQUAL(recv(server, bytes, 3, MSG_TRUNC), 5);
    CHECK_EQUAL(read(server, bytes, 16), 6);
    CHECK(memcmp(bytes, "second", 6) == 0);
    CHECK_EQUAL(write(client, "", 0), 0);
    CHECK_EQUAL(getsockopt(server, SOL_SOCKET, SO_TYPE, &type, &(socklen_t){sizeof(type)}), 0);
    CHECK_EQUAL(type, SOCK_DGRAM);
    int stream = socket_new(SOCK_STREAM);
    CHECK_ERRNO(connect_to(stream, "@linux_sockets_log"), ECONNREFUSED);
    close(server);
    CHECK_ERRNO(send(client, "x", 1, 0), ECONNREFUSED);
    close(client);
    close(other);
    close(stream);
}

TEST(a_listener_in_a_message)
{
    struct pair pair = pair_new(SOCK_STREAM);
    int listener = listener_new(SOCK_STREAM, "@linux_sockets_moved", 4);
    char byte = 'x', control[CMSG_SPACE(sizeof(int))];
    struct iovec vector = {&byte, 1};
    struct msghdr message = {.msg_iov = &vector,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof(control)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    int value;

    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &listener, sizeof(int));
    CHECK_EQUAL(sendmsg(pair.fds[0], &message, 0), 1);
    message.msg_controllen = sizeof(control);
    CHECK_EQUAL(recvmsg(pair.fds[1], &message, 0), 1);
    header = CMSG_FIRSTHDR(&message);
    memcpy(&value, CMSG_DATA(header), sizeof(int));
    int client = socket_new(SOCK_STREAM), accepting;
    CHECK_EQUAL(connect_to(client, "@linux_sockets_moved"), 0);
    CHECK_EQUAL(getsockopt(value, SOL_SOCKET, SO_ACCEPTCONN, &accepting, &(socklen_t){sizeof(int)}),
                0);
    CHECK_EQUAL(accepting, 1);
    int server = accept(value, NULL, NULL);
    CHECK(server >= 0);
    close(server);
    close(client);
    close(value);
    close(listener);
    pair_end(&pair);
}
