/* The handlers, one per line of calls.def: each takes the thread and the call's arguments as the program passed
 * them, and answers what the program finds in rax: a result, -errno, or -RESTART_* (offsets.h). */
#pragma once

#include "lib/linux/thread.h"

#define HANDLER_0(name) int64_t linux_##name(struct thread *thread);
#define HANDLER_1(name) int64_t linux_##name(struct thread *thread, uint64_t a);
#define HANDLER_2(name) int64_t linux_##name(struct thread *thread, uint64_t a, uint64_t b);
#define HANDLER_3(name) \
    int64_t linux_##name(struct thread *thread, uint64_t a, uint64_t b, uint64_t c);
#define HANDLER_4(name) \
    int64_t linux_##name(struct thread *thread, uint64_t a, uint64_t b, uint64_t c, uint64_t d);
#define HANDLER_5(name)                                                                         \
    int64_t linux_##name(struct thread *thread, uint64_t a, uint64_t b, uint64_t c, uint64_t d, \
                         uint64_t e);
#define HANDLER_6(name)                                                                         \
    int64_t linux_##name(struct thread *thread, uint64_t a, uint64_t b, uint64_t c, uint64_t d, \
                         uint64_t e, uint64_t f);
#define CALL(number, name, count) HANDLER_##count(name)
#define ABSENT(number, name)
#include "lib/linux/calls.def"
#undef CALL
#undef ABSENT
