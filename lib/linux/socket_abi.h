/* Linux's ABI of sockets: numbers and layouts, as linux_abi.h. */
#pragma once

#include <stdint.h>

#define SOCKET_BUFFER 65536u /* what a stream holds: no piece is longer */

#define LINUX_ENOTSOCK        88
#define LINUX_EPROTOTYPE      91
#define LINUX_ENOPROTOOPT     92
#define LINUX_EPROTONOSUPPORT 93
#define LINUX_ESOCKTNOSUPPORT 94
#define LINUX_EAFNOSUPPORT    97
#define LINUX_EADDRINUSE      98
#define LINUX_EISCONN         106
#define LINUX_ENOTCONN        107
#define LINUX_ETOOMANYREFS    109
#define LINUX_ECONNREFUSED    111
#define LINUX_EMSGSIZE        90

#define LINUX_AF_UNSPEC      0
#define LINUX_AF_UNIX        1
#define LINUX_SOCK_STREAM    1
#define LINUX_SOCK_DGRAM     2
#define LINUX_SOCK_SEQPACKET 5
#define LINUX_SOCK_TYPE      0xf /* the rest are O_CLOEXEC and O_NONBLOCK */

#define LINUX_SHUT_RD   0
#define LINUX_SHUT_WR   1
#define LINUX_SHUT_RDWR 2

#define LINUX_MSG_PEEK         0x2
#define LINUX_MSG_CTRUNC       0x8
#define LINUX_MSG_TRUNC        0x20
#define LINUX_MSG_DONTWAIT     0x40
#define LINUX_MSG_EOR          0x80
#define LINUX_MSG_WAITALL      0x100
#define LINUX_MSG_NOSIGNAL     0x4000
#define LINUX_MSG_CMSG_CLOEXEC 0x40000000

#define LINUX_SOL_SOCKET    1
#define LINUX_SCM_RIGHTS    1
#define LINUX_SO_REUSEADDR  2
#define LINUX_SO_TYPE       3
#define LINUX_SO_ERROR      4
#define LINUX_SO_BROADCAST  6
#define LINUX_SO_SNDBUF     7
#define LINUX_SO_RCVBUF     8
#define LINUX_SO_KEEPALIVE  9
#define LINUX_SO_PEERCRED   17
#define LINUX_SO_ACCEPTCONN 30
#define LINUX_SO_PROTOCOL   38
#define LINUX_SO_DOMAIN     39

#define LINUX_SUN_PATH 108
struct linux_sockaddr_un {
    uint16_t family;
    char path[LINUX_SUN_PATH];
};

struct linux_msghdr {
    uint64_t name;
    uint32_t name_length, padding;
    uint64_t vector, vector_length;
    uint64_t control, control_length;
    int32_t flags;
    uint32_t padding2;
};
_Static_assert(sizeof(struct linux_msghdr) == 56, "");

struct linux_cmsghdr {
    uint64_t length;
    int32_t level, type;
};

struct linux_ucred {
    int32_t pid;
    uint32_t uid, gid;
};
