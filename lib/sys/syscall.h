/* The native system calls as C functions: sys_<name>, expanded from abi/syscalls.def.
 *
 * sys_<name>(handle, arguments...) for calls that take a handle, sys_<name>(arguments...) for those whose
 * object is NONE; UPTR(T) becomes T *. Each returns >= 0 or -E_<name> (abi/errors.h); the compiler warns
 * when that is ignored. handle_drop() is the close whose result nobody needs.
 *
 * Header only: no libc, no TLS, no SSE, so that the personality (lib/linux) can use it as well. A kick makes
 * an interruptible call return -E_INTERRUPTED; nothing here retries.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "abi/abi.h"
#include "abi/errors.h"
#include "lib/base/base.h"

#ifdef PROTOS_HOST
/* Tests on the host say themselves what a call answers. */
int64_t syscall_raw(uint32_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
                    uint64_t f);

static inline int64_t syscall_raw3(uint32_t number, uint64_t a, uint64_t b, uint64_t c)
{
    return syscall_raw(number, a, b, c, 0, 0, 0);
}
#else
static inline int64_t syscall_raw(uint32_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d,
                                  uint64_t e, uint64_t f)
{
    int64_t result;
    register uint64_t r10 __asm__("r10") = d;
    register uint64_t r8 __asm__("r8") = e;
    register uint64_t r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "0"((uint64_t)(SYSCALL_BASE + number)), "D"(a), "S"(b), "d"(c), "r"(r10),
                       "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

/* Fewer arguments, fewer registers loaded: the paths that count use at most three. */
static inline int64_t syscall_raw3(uint32_t number, uint64_t a, uint64_t b, uint64_t c)
{
    int64_t result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "0"((uint64_t)(SYSCALL_BASE + number)), "D"(a), "S"(b), "d"(c)
                     : "rcx", "r11", "memory");
    return result;
}
#endif

/* SYS_HANDLE_IS(object, with, without): `without` for NONE, `with` for every real object. */
#define SYS_PROBE_NONE                 ~, SYS_WITHOUT
#define SYS_SECOND(first, second, ...) second
#define SYS_EXPAND_SECOND(...)         SYS_SECOND(__VA_ARGS__)
#define SYS_SELECT(object)             SYS_EXPAND_SECOND(SYS_PROBE_##object, SYS_WITH, ~)
#define SYS_WITH(n)                    SYS_WITH_##n
#define SYS_WITHOUT(n)                 SYS_WITHOUT_##n
#define SYS_APPLY(choice, n)           choice(n)
#define SYS_VARIANT(object, n)         SYS_APPLY(SYS_SELECT(object), n)
#define SYS_CALL(variant, ...)         variant(__VA_ARGS__)
#define SYS_FUNCTION(name, ...)        static inline MUST_CHECK int64_t sys_##name(__VA_ARGS__)
#define SYS_U(value)                   ((uint64_t)(value))

#define SYS_WITHOUT_0(number, name)           \
    SYS_FUNCTION(name, void)                  \
    {                                         \
        return syscall_raw3(number, 0, 0, 0); \
    }
#define SYS_WITHOUT_1(number, name, t1, n1)           \
    SYS_FUNCTION(name, t1 n1)                         \
    {                                                 \
        return syscall_raw3(number, SYS_U(n1), 0, 0); \
    }
#define SYS_WITHOUT_2(number, name, t1, n1, t2, n2)           \
    SYS_FUNCTION(name, t1 n1, t2 n2)                          \
    {                                                         \
        return syscall_raw3(number, SYS_U(n1), SYS_U(n2), 0); \
    }
#define SYS_WITHOUT_3(number, name, t1, n1, t2, n2, t3, n3)           \
    SYS_FUNCTION(name, t1 n1, t2 n2, t3 n3)                           \
    {                                                                 \
        return syscall_raw3(number, SYS_U(n1), SYS_U(n2), SYS_U(n3)); \
    }
#define SYS_WITHOUT_4(number, name, t1, n1, t2, n2, t3, n3, t4, n4)                   \
    SYS_FUNCTION(name, t1 n1, t2 n2, t3 n3, t4 n4)                                    \
    {                                                                                 \
        return syscall_raw(number, SYS_U(n1), SYS_U(n2), SYS_U(n3), SYS_U(n4), 0, 0); \
    }
#define SYS_WITHOUT_5(number, name, t1, n1, t2, n2, t3, n3, t4, n4, t5, n5)                   \
    SYS_FUNCTION(name, t1 n1, t2 n2, t3 n3, t4 n4, t5 n5)                                     \
    {                                                                                         \
        return syscall_raw(number, SYS_U(n1), SYS_U(n2), SYS_U(n3), SYS_U(n4), SYS_U(n5), 0); \
    }

#define SYS_WITH_0(number, name)                          \
    SYS_FUNCTION(name, handle_t handle)                   \
    {                                                     \
        return syscall_raw3(number, SYS_U(handle), 0, 0); \
    }
#define SYS_WITH_1(number, name, t1, n1)                          \
    SYS_FUNCTION(name, handle_t handle, t1 n1)                    \
    {                                                             \
        return syscall_raw3(number, SYS_U(handle), SYS_U(n1), 0); \
    }
#define SYS_WITH_2(number, name, t1, n1, t2, n2)                          \
    SYS_FUNCTION(name, handle_t handle, t1 n1, t2 n2)                     \
    {                                                                     \
        return syscall_raw3(number, SYS_U(handle), SYS_U(n1), SYS_U(n2)); \
    }
#define SYS_WITH_3(number, name, t1, n1, t2, n2, t3, n3)                                  \
    SYS_FUNCTION(name, handle_t handle, t1 n1, t2 n2, t3 n3)                              \
    {                                                                                     \
        return syscall_raw(number, SYS_U(handle), SYS_U(n1), SYS_U(n2), SYS_U(n3), 0, 0); \
    }
#define SYS_WITH_4(number, name, t1, n1, t2, n2, t3, n3, t4, n4)                                  \
    SYS_FUNCTION(name, handle_t handle, t1 n1, t2 n2, t3 n3, t4 n4)                               \
    {                                                                                             \
        return syscall_raw(number, SYS_U(handle), SYS_U(n1), SYS_U(n2), SYS_U(n3), SYS_U(n4), 0); \
    }
#define SYS_WITH_5(number, name, t1, n1, t2, n2, t3, n3, t4, n4, t5, n5)                      \
    SYS_FUNCTION(name, handle_t handle, t1 n1, t2 n2, t3 n3, t4 n4, t5 n5)                    \
    {                                                                                         \
        return syscall_raw(number, SYS_U(handle), SYS_U(n1), SYS_U(n2), SYS_U(n3), SYS_U(n4), \
                           SYS_U(n5));                                                        \
    }

#define UPTR(type) type *
#define SYSCALL0(number, name, object, rights, meaning) \
    SYS_CALL(SYS_VARIANT(object, 0), number, name)
#define SYSCALL1(number, name, object, rights, t1, n1, meaning) \
    SYS_CALL(SYS_VARIANT(object, 1), number, name, t1, n1)
#define SYSCALL2(number, name, object, rights, t1, n1, t2, n2, meaning) \
    SYS_CALL(SYS_VARIANT(object, 2), number, name, t1, n1, t2, n2)
#define SYSCALL3(number, name, object, rights, t1, n1, t2, n2, t3, n3, meaning) \
    SYS_CALL(SYS_VARIANT(object, 3), number, name, t1, n1, t2, n2, t3, n3)
#define SYSCALL4(number, name, object, rights, t1, n1, t2, n2, t3, n3, t4, n4, meaning) \
    SYS_CALL(SYS_VARIANT(object, 4), number, name, t1, n1, t2, n2, t3, n3, t4, n4)
#define SYSCALL5(number, name, object, rights, t1, n1, t2, n2, t3, n3, t4, n4, t5, n5, meaning) \
    SYS_CALL(SYS_VARIANT(object, 5), number, name, t1, n1, t2, n2, t3, n3, t4, n4, t5, n5)
#define REGISTERS(number, name, object, rights, meaning) /* below */
#include "abi/syscalls.def"
#undef REGISTERS
#undef SYSCALL0
#undef SYSCALL1
#undef SYSCALL2
#undef SYSCALL3
#undef SYSCALL4
#undef SYSCALL5
#undef UPTR

/* What a short call brings back besides its status. */
struct short_completion {
    uint64_t values[3];
    handle_t handle; /* 0: none came */
};

/* One command with everything in registers: flags are COMMAND_*, with COMMAND_IN or COMMAND_OUT third and fourth are the
 * window's address and length, else args[2] and args[3]. */
static inline MUST_CHECK int64_t sys_file_call_short(handle_t file, uint32_t op, uint32_t flags,
                                                     uint64_t first, uint64_t second,
                                                     uint64_t third, uint64_t fourth,
                                                     struct short_completion *completion)
{
    int64_t status;
    register uint64_t r10 __asm__("r10") = second;
    register uint64_t r8 __asm__("r8") = third;
    register uint64_t r9 __asm__("r9") = fourth;
    __asm__ volatile("syscall"
                     : "=a"(status), "+d"(first), "+r"(r10), "+r"(r8), "+r"(r9)
                     : "0"((uint64_t)(SYSCALL_BASE + SYSCALL_FILE_CALL_SHORT)), "D"((uint64_t)file),
                       "S"(op | (uint64_t)flags << 32)
                     : "rcx", "r11", "memory");
    *completion = (struct short_completion){{first, r10, r8}, (handle_t)r9};
    return status;
}

/* What a short command brings to its service. */
struct short_message {
    int64_t
        result; /* MESSAGE_COMMAND | priority << 8 | path_length << 32; MESSAGE_NOTIFY: args[0]; 0: nothing below, struct
                 * abi_message; -E_* */
    uint64_t token, cookie;
    uint64_t op_flags; /* op | flags << 32 */
    uint64_t args[4];
    uint64_t caller, file;
    uint64_t lengths; /* in_length | out_length << 32 */
    uint64_t trace;
};

/* What completes a command: struct abi_return without handles. */
struct short_return {
    uint64_t token; /* 0: nothing is completed */
    int32_t status;
    uint32_t data_length;
    uint64_t values[3];
    const void *data;
};

/* The same in structures. size: of the buffer it was accepted with. */
static inline void short_message_fill(struct abi_message *message, const struct short_message *from,
                                      uint64_t size)
{
    uint64_t in_length = (uint32_t)from->lengths;

    message->token = from->token;
    message->kind = (uint8_t)from->result;
    message->op = (uint32_t)from->op_flags;
    message->cookie = from->cookie;
    message->file = from->file;
    for (int i = 0; i < 4; i++)
        message->args[i] = from->args[i];
    message->deadline = DEADLINE_NEVER;
    message->flags = (uint32_t)(from->op_flags >> 32);
    message->priority = (uint8_t)(from->result >> 8);
    message->caller = from->caller;
    message->trace = from->trace;
    message->in_length = in_length;
    message->out_length = from->lengths >> 32;
    message->path_length = (uint32_t)(from->result >> 32);
    message->data_length = (uint32_t)(in_length < size ? in_length : size);
    message->handle_count = 0;
}

/* False: handles, or more than 4 GiB of data, which registers have no room for. */
static inline bool short_return_fits(const struct abi_return *result)
{
    return !result->handle_count && result->data_length == (uint32_t)result->data_length &&
           result->status == (int32_t)result->status;
}

static inline struct short_return short_return_from(const struct abi_return *result)
{
    return (struct short_return){
        .token = result->token,
        .status = (int32_t)result->status,
        .data_length = (uint32_t)result->data_length,
        .values = {result->values[0], result->values[1], result->values[2]},
        .data = (const void *)(uintptr_t)result->data,
    };
}

/* Completes a command and waits for the next one. A short one comes in registers, with as many of its in bytes as
 * there is room for in buffer; anything else in *message. */
static inline struct short_message sys_proto_return_accept_short(handle_t port,
                                                                 struct short_return completed,
                                                                 struct abi_message *message,
                                                                 void *buffer, uint64_t size,
                                                                 int64_t deadline)
{
    struct short_message m;
    uint64_t rdi = (uint64_t)port, rsi = completed.token, rbx = completed.values[2];
    uint64_t rdx = (uint32_t)completed.status | (uint64_t)completed.data_length << 32;
    register uint64_t r8 __asm__("r8") = completed.values[1];
    register uint64_t r9 __asm__("r9") = (uint64_t)completed.data;
    register uint64_t r10 __asm__("r10") = completed.values[0];
    register uint64_t r12 __asm__("r12") = (uint64_t)buffer;
    register uint64_t r13 __asm__("r13") = size;
    register uint64_t r14 __asm__("r14") = (uint64_t)deadline;
    register uint64_t r15 __asm__("r15") = (uint64_t)message;

    __asm__ volatile("syscall"
                     : "=a"(m.result), "+D"(rdi), "+S"(rsi), "+d"(rdx), "+b"(rbx), "+r"(r8),
                       "+r"(r9), "+r"(r10), "+r"(r12), "+r"(r13), "+r"(r14), "+r"(r15)
                     : "0"((uint64_t)(SYSCALL_BASE + SYSCALL_PROTO_RETURN_ACCEPT))
                     : "rcx", "r11", "memory");
    m.token = rdi;
    m.cookie = rsi;
    m.op_flags = rdx;
    m.args[0] = r10;
    m.args[1] = r8;
    m.args[2] = r14;
    m.args[3] = r15;
    m.caller = r9;
    m.file = rbx;
    m.lengths = r12;
    m.trace = r13;
    return m;
}

/* The same with structures: completes the command of result->token (0, or result NULL: none) and waits for the next
 * message. 0 or -E_*, as proto_accept; a command whose caller has left meanwhile is no error. (relay.c) */
MUST_CHECK int64_t sys_proto_return_accept(handle_t port, struct abi_return *result,
                                           struct abi_message *message, void *buffer, uint64_t size,
                                           int64_t deadline);

/* For calls that cannot fail in a way the caller could act on. */
static inline void sys_ignore(int64_t result)
{
    (void)result;
}

/* A second handle with those of the rights that the first one has. */
static inline MUST_CHECK int64_t handle_copy(handle_t handle, uint32_t rights)
{
    struct abi_handle_info info = {0};
    int64_t result = sys_handle_info(handle, &info);
    return result < 0 ? result : sys_handle_duplicate(handle, info.rights & rights);
}

static inline void handle_drop(handle_t handle)
{
    if (handle != HANDLE_NONE)
        sys_ignore(sys_handle_close(handle));
}
