/* System-call handlers, as abi/syscalls.def lists them: sys_<name>.
 *
 * A handler whose object is a type gets the object, looked up and checked by the dispatcher, with a reference for
 * as long as it runs; thread->call_rights are the handle's rights. ANY gets the handle itself; NONE nothing.
 */
#pragma once

#include "kernel/handle.h"
#include "kernel/sched/thread.h"

#define UPTR(type) uaddr_t

#define FIRST_NONE
#define FIRST_ANY       handle_t handle,
#define FIRST_MEMORY    struct object *object,
#define FIRST_PROCESS   struct object *object,
#define FIRST_THREAD    struct object *object,
#define FIRST_PORT      struct object *object,
#define FIRST_FILE      struct object *object,
#define FIRST_NAMESPACE struct object *object,
#define FIRST_STREAM    struct object *object,
#define FIRST_TIMER     struct object *object,
#define FIRST_RESOURCE  struct object *object,
#define FIRST_IRQ       struct object *object,
#define FIRST_LISTENER  struct object *object,

#define ONLY_NONE     void
#define ONLY_ANY      handle_t handle
#define ONLY_IRQ      struct object *object
#define ONLY_RESOURCE struct object *object

#define SYSCALL0(number, name, object, rights, meaning) int64_t sys_##name(ONLY_##object);
#define SYSCALL1(number, name, object, rights, t1, n1, meaning) \
    int64_t sys_##name(FIRST_##object t1 n1);
#define SYSCALL2(number, name, object, rights, t1, n1, t2, n2, meaning) \
    int64_t sys_##name(FIRST_##object t1 n1, t2 n2);
#define SYSCALL3(number, name, object, rights, t1, n1, t2, n2, t3, n3, meaning) \
    int64_t sys_##name(FIRST_##object t1 n1, t2 n2, t3 n3);
#define SYSCALL4(number, name, object, rights, t1, n1, t2, n2, t3, n3, t4, n4, meaning) \
    int64_t sys_##name(FIRST_##object t1 n1, t2 n2, t3 n3, t4 n4);
#define SYSCALL5(number, name, object, rights, t1, n1, t2, n2, t3, n3, t4, n4, t5, n5, meaning) \
    int64_t sys_##name(FIRST_##object t1 n1, t2 n2, t3 n3, t4 n4, t5 n5);
#define REGISTERS(number, name, object, rights, meaning) /* kernel/ipc/short.h */
#include "abi/syscalls.def"
#undef REGISTERS
#undef SYSCALL0
#undef SYSCALL1
#undef SYSCALL2
#undef SYSCALL3
#undef SYSCALL4
#undef SYSCALL5
