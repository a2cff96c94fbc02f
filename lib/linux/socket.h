/* Unix sockets: what socket.c (making, asking), connect.c (names, connections) and message.c (sending, receiving)
 * share.
 *
 *     socket() -> KIND_SOCKET --bind--> has a name --listen--> KIND_LISTENER --accept--> KIND_STREAM
 *                     |                    |
 *                     +------connect-------+--> KIND_STREAM           socketpair() -> KIND_STREAM
 *     socket(SOCK_DGRAM) -> KIND_DATAGRAM, bound and connected or not
 *
 * A name is unixd's (unix://); a stream's ends find each other by it and need nobody afterwards. A datagram socket is a one-way
 * stream of packets: the end where they arrive is its own, copies of the sending end go to all who look its name up.
 */
#pragma once

#include "lib/linux/file.h"
#include "lib/linux/socket_abi.h"

#define FAMILY_LENGTH 2u /* of an address without a name */

struct path;

struct socket_name {
    uint8_t length; /* of bytes; 0: it has none */
    char bytes[LINUX_SUN_PATH];
};

/* file->more of a socket that was made by socket(), or has a name. NULL: a pair's. */
struct socket {
    uint32_t type; /* LINUX_SOCK_* */
    struct socket_name name, peer;
    char *registered;   /* the name as unixd knows it; NULL: not bound */
    handle_t connector; /* what it is registered with; datagrams: with or without a name */
    handle_t place;     /* bound and not listening: the other side of that */
    handle_t target;    /* datagrams: where they go */
};

bool is_socket(const struct file *file);
/* -EBADF, -ENOTSOCK */
int64_t socket_get(struct thread *thread, uint64_t fd, struct file **socket) MUST_CHECK;
/* What is registered under the address a program gave: for SOCK_DGRAM a stream to send to, else to connect to. The handle or
 * -errno. */
int64_t socket_find(struct thread *thread, uint64_t address, uint64_t length, uint32_t type,
                    struct socket_name *name) MUST_CHECK;
uint32_t socket_type(const struct file *socket);
/* file->more, which a pair's socket does without; NULL: no memory. */
struct socket *socket_state_add(struct file *socket, uint32_t type) MUST_CHECK;
/* sockaddr and its length, cut to the program's room. NULL: no name. */
int64_t socket_name_write(const struct socket_name *name, uint64_t address,
                          uint64_t length_at) MUST_CHECK;
/* For io.c: of what is not a stream. */
int64_t socket_read(struct file *socket, uint64_t data, uint64_t length, bool nonblock) MUST_CHECK;
int64_t socket_write(struct file *socket, uint64_t data, uint64_t length) MUST_CHECK;
/* A path that names no file may be a socket's: -ENOENT, -EPERM. */
int64_t socket_unlink(const struct path *path) MUST_CHECK;
