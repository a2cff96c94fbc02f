/* For tests of quotas: a process with limits, that is an account of its own.
 *
 *     run_limited(QUOTA_PORTS, 10, ports_run_out, argument)       runs and ends there
 *
 * It runs this program's code in a copy of this process's space, which another one, that never runs, holds for it: so what it
 * uses itself is its own account's, but not that copy.
 */
#pragma once

#include "tests/guest/protocol.h"

#define UNLIMITED QUOTA_UNLIMITED

struct limited {
    uint64_t limits[QUOTA_COUNT];
    handle_t names; /* its namespace; HANDLE_SELF: ours */
    handle_t
        holder_of; /* whose account it is of, without limits of its own; HANDLE_SELF: a new one's */
    struct helper *holder, *helper;
};

static inline void limits_none(uint64_t *limits)
{
    for (int i = 0; i < QUOTA_COUNT; i++)
        limits[i] = UNLIMITED;
}

static inline struct limited limited_by(enum quota quota, uint64_t limit)
{
    struct limited limited = {.names = HANDLE_SELF};

    limits_none(limited.limits);
    limited.limits[quota] = limit;
    return limited;
}

static inline void never(void *argument)
{
    (void)argument;
    CHECK(false);
}

/* run(argument) in a process of a new account. It has no handles; what argument points at is shared. */
static inline void limited_start(struct limited *limited, void (*run)(void *), void *argument)
{
    struct helper *holder = helper_process_suspended(never, NULL);
    struct helper *helper = holder;
    struct abi_process_create create = {
        .name = (uintptr_t) "limited",
        .name_length = 7,
        .space_of = holder->process,
        .limits = (uintptr_t)limited->limits,
        .limit_count = limited->holder_of == HANDLE_SELF ? QUOTA_COUNT : 0,
        .account_of = limited->holder_of,
    };
    handle_t process = (handle_t)MUST(sys_process_create(limited->names, &create));

    holder->run = run; /* on its stack, which is shared with us and not used */
    holder->argument = argument;

    struct abi_thread thread = {
        .entry = (uintptr_t)helper_main,
        .stack = helper_stack(holder),
        .argument = (uintptr_t)holder,
        .fs_base = own_fs_base(),
    };

    limited->holder = holder;
    limited->helper = helper;
    handle_t first = (handle_t)MUST(sys_thread_create(process, &thread));

    handle_drop(first);
    limited->helper->id = (uint64_t)holder->process;
    holder->process = process;
}

static inline void space_drop(handle_t space)
{
    MUST(sys_process_kill(space, 0));
    signal_wait(space, SIGNAL_EXITED);
    handle_drop(space);
}

/* Its end; nothing of it is left then. */
static inline void limited_join(struct limited *limited)
{
    handle_t space = (handle_t)limited->helper->id;

    helper_join(limited->helper);
    space_drop(space);
}

static inline void run_limited(enum quota quota, uint64_t limit, void (*run)(void *),
                               void *argument)
{
    struct limited limited = limited_by(quota, limit);

    limited_start(&limited, run, argument);
    limited_join(&limited);
}

static inline struct abi_quota quota_of(handle_t process, enum quota quota)
{
    struct abi_quota quotas[QUOTA_COUNT];

    CHECK_EQUAL(MUST(sys_process_quotas(process, quotas, QUOTA_COUNT)), QUOTA_COUNT);
    return quotas[quota];
}

static inline uint64_t used(enum quota quota)
{
    return quota_of(HANDLE_SELF, quota).used;
}

/* What ends by itself, soon. */
#define SOON(condition)                       \
    do {                                      \
        int64_t until = after(PATIENCE);      \
        while (!(condition) && now() < until) \
            sleep_for(MILLISECOND);           \
        CHECK(condition);                     \
    } while (0)

/* --- What is made by the dozen --- */

static inline handle_t empty_process(void)
{
    struct abi_process_create create = {.space_of = HANDLE_NONE};

    return (handle_t)sys_process_create(HANDLE_SELF, &create);
}

static inline int64_t sleeper_create(handle_t process)
{
    struct abi_thread thread = {.entry = 0x1000, .flags = THREAD_CREATE_SUSPENDED};

    return sys_thread_create(process, &thread);
}

static inline int64_t port_create(void)
{
    return sys_proto_create(HANDLE_SELF, NULL, 0);
}
