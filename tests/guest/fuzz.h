/* What fuzz_syscalls calls with: the table of all calls, expanded from abi/syscalls.def so that a new one is fuzzed by
 * itself, and arguments of every class for each of its types.
 *
 *     fuzzer_begin(&fuzzer, seed)       playground mapped, one handle of each type
 *     fuzzer_call(&fuzzer)              one call; false: it answered what abi/call_errors.def does not list, or
 *                                       changed registers that were not its own (fuzzer.call)
 *
 * What an argument means is told by the names and types in the table (a "length", a "deadline", a struct abi_map): mostly it
 * is given something that gets far, else a stale, closed or foreign handle, an address that is not mapped, not the
 * caller's, unaligned, at the end of a page, a number without end. Structures are filled field by field in the same way.
 * The answers' handles join the pool. Each thread has its own random numbers, and shares the rest.
 */
#pragma once

#include "abi/time.h"
#include "tests/guest/protocol.h"

/* --- The calls ----------------------------------------------------------------------------------------------------- */

struct fuzz_argument {
    const char *type, *name;
};

struct fuzz_call {
    const char *name;
    uint32_t object, rights;
    uint32_t count; /* of arguments behind the handle, or FUZZ_REGISTERS */
    struct fuzz_argument arguments[5];
};

#define FUZZ_REGISTERS 12u /* what abi.h says of the short form */

#define FUZZ(number, call_name, type_, rights_, n, ...) \
    [number] = {.name = #call_name,                     \
                .object = OBJECT_##type_,               \
                .rights = rights_,                      \
                .count = n,                             \
                .arguments = {__VA_ARGS__}}
#define SYSCALL0(number, name, object, rights, meaning) FUZZ(number, name, object, rights, 0, {0}),
#define SYSCALL1(number, name, object, rights, t1, n1, meaning) \
    FUZZ(number, name, object, rights, 1, {#t1, #n1}),
#define SYSCALL2(number, name, object, rights, t1, n1, t2, n2, meaning) \
    FUZZ(number, name, object, rights, 2, {#t1, #n1}, {#t2, #n2}),
#define SYSCALL3(number, name, object, rights, t1, n1, t2, n2, t3, n3, meaning) \
    FUZZ(number, name, object, rights, 3, {#t1, #n1}, {#t2, #n2}, {#t3, #n3}),
#define SYSCALL4(number, name, object, rights, t1, n1, t2, n2, t3, n3, t4, n4, meaning) \
    FUZZ(number, name, object, rights, 4, {#t1, #n1}, {#t2, #n2}, {#t3, #n3}, {#t4, #n4}),
#define SYSCALL5(number, name, object, rights, t1, n1, t2, n2, t3, n3, t4, n4, t5, n5, meaning) \
    FUZZ(number, name, object, rights, 5, {#t1, #n1}, {#t2, #n2}, {#t3, #n3}, {#t4, #n4},       \
         {#t5, #n5}),
static const struct fuzz_call fuzz_calls[] = {
#define REGISTERS(number, name, object, rights, meaning) \
    FUZZ(number, name, object, rights, FUZZ_REGISTERS, {0}),
#include "abi/syscalls.def"
#undef REGISTERS
};
#undef SYSCALL0
#undef SYSCALL1
#undef SYSCALL2
#undef SYSCALL3
#undef SYSCALL4
#undef SYSCALL5

/* The errors each call can answer, as bits of their numbers: what abi/call_errors.def lists, and what the table of calls
 * says of the handle and of addresses. */
#define ERROR_BIT(name) | UINT64_C(1) << E_##name
#define E(name, when)   ERROR_BIT(name)
#define ANY_ERROR       | UINT64_MAX

enum fuzz_call_number {
#define SYSCALL0(number, name, ...)  NUMBER_##name = (number),
#define SYSCALL1(number, name, ...)  NUMBER_##name = (number),
#define SYSCALL2(number, name, ...)  NUMBER_##name = (number),
#define SYSCALL3(number, name, ...)  NUMBER_##name = (number),
#define SYSCALL4(number, name, ...)  NUMBER_##name = (number),
#define SYSCALL5(number, name, ...)  NUMBER_##name = (number),
#define REGISTERS(number, name, ...) NUMBER_##name = (number),
#include "abi/syscalls.def"
#undef SYSCALL0
#undef SYSCALL1
#undef SYSCALL2
#undef SYSCALL3
#undef SYSCALL4
#undef SYSCALL5
#undef REGISTERS
};

static const uint64_t fuzz_errors[ARRAY_SIZE(fuzz_calls)] = {
#define ERRORS(call, ...) [NUMBER_##call] = 0 __VA_ARGS__,
#include "abi/call_errors.def"
#undef ERRORS
};

static inline uint64_t fuzz_errors_of(uint64_t number)
{
    const struct fuzz_call *call = &fuzz_calls[number];
    uint64_t errors = fuzz_errors[number];

    if (!call->name)
        return 0 ERROR_BIT(NO_CALL);
    if (call->object != OBJECT_NONE)
        errors |= 0 ERROR_BIT(BAD_HANDLE);
    if (call->object != OBJECT_NONE && call->object != OBJECT_ANY)
        errors |= 0 ERROR_BIT(WRONG_TYPE);
    if (call->rights)
        errors |= 0 ERROR_BIT(ACCESS);
    for (uint32_t i = 0; i < call->count && call->count != FUZZ_REGISTERS; i++)
        if (strncmp(call->arguments[i].type, "UPTR", 4) == 0)
            errors |= 0 ERROR_BIT(FAULT);
    return errors;
}
#undef E
#undef ANY_ERROR
#undef ERROR_BIT

static inline bool fuzz_answer_documented(uint64_t number, int64_t result)
{
    uint64_t errors = fuzz_errors_of(number);

    return result >= 0 || errors == UINT64_MAX || (result > -64 && errors >> -result & 1);
}

/* --- One fuzzing process ------------------------------------------------------------------------------------------- */

#define PLAYGROUND UINT64_C(0x500000000000)
#define PLAYGROUND_WRITE \
    12u /* pages, then 2 read-only ones, 2 that are not there, 2 never touched */
#define PLAYGROUND_END (PLAYGROUND + 18 * PAGE_SIZE)
#define POOL_SIZE      48u

struct fuzz_pool {
    handle_t handles[POOL_SIZE];
    uint8_t types[POOL_SIZE];
};

/* What was called last, for a report: rdi, rsi, rdx, r10, r8, r9, rbx, rbp, r12 to r15, before and after. */
struct fuzz_record {
    uint64_t number, arguments[FUZZ_REGISTERS], after[FUZZ_REGISTERS];
    int64_t result;
};

struct fuzzer {
    uint64_t random;
    struct fuzz_pool *pool; /* of the process: its threads race for it */
    uint64_t *token;        /* of the last command accepted */
    int64_t time;
    struct fuzz_record call;
};

static inline uint64_t fuzz_random(struct fuzzer *fuzzer)
{
    return test_random(&fuzzer->random) >> 13;
}

static inline bool fuzz_chance(struct fuzzer *fuzzer, uint32_t one_in)
{
    return fuzz_random(fuzzer) % one_in == 0;
}

/* Takes the place of another, which is closed: a stale handle somebody may still be using. */
static inline void fuzz_pool_add(struct fuzzer *fuzzer, handle_t handle)
{
    struct abi_handle_info info;
    size_t at = fuzz_random(fuzzer) % POOL_SIZE;

    if (handle <= 0 || sys_handle_info(handle, &info) < 0)
        return;
    handle_t old = __atomic_exchange_n(&fuzzer->pool->handles[at], handle, __ATOMIC_RELAXED);

    fuzzer->pool->types[at] = (uint8_t)info.type;
    if (fuzz_chance(fuzzer, 2))
        handle_drop(old);
}

static inline handle_t fuzz_handle_of(struct fuzzer *fuzzer, uint32_t type)
{
    size_t start = fuzz_random(fuzzer) % POOL_SIZE;

    for (size_t i = 0; i < POOL_SIZE; i++) {
        size_t at = (start + i) % POOL_SIZE;

        if (fuzzer->pool->handles[at] > 0 &&
            (type == OBJECT_ANY || fuzzer->pool->types[at] == type))
            return fuzzer->pool->handles[at];
    }
    return HANDLE_NONE;
}

static inline uint64_t fuzz_handle(struct fuzzer *fuzzer, uint32_t type)
{
    switch (fuzz_random(fuzzer) % 16) {
    case 0:
        return HANDLE_SELF;
    case 1:
        return (uint64_t)HANDLE_NONE;
    case 2:
        return (uint64_t)fuzz_handle_of(fuzzer, OBJECT_ANY); /* of another type, as a rule */
    case 3:
        return (uint64_t)fuzz_handle_of(fuzzer, type) ^ UINT64_C(0x10000); /* another generation */
    case 4:
        return fuzz_random(fuzzer) % 0x20000; /* a small number, or of no table */
    case 5:
        return fuzz_random(fuzzer) << 8;
    case 6:
    case 7:
        if (type == OBJECT_PROCESS || type == OBJECT_THREAD || type == OBJECT_NAMESPACE)
            return HANDLE_SELF;
        __attribute__((fallthrough));
    default:
        return (uint64_t)fuzz_handle_of(fuzzer, type);
    }
}

/* --- Numbers -------------------------------------------------------------------------------------------------------- */

static inline uint64_t fuzz_bad_address(struct fuzzer *fuzzer)
{
    static const uint64_t addresses[] = {
        0,
        1,
        0xfff,
        UINT64_C(0x7ffffffff000) - 8,
        UINT64_C(0x7ffffffff000),
        UINT64_C(0x7fffffffffff),
        UINT64_C(0x800000000000),
        UINT64_C(0xffff7fffffffffff),
        UINT64_C(0xffff800000000000),
        UINT64_C(0xffff800000100000),
        UINT64_C(0xffffc00000000000),
        UINT64_C(0xffffc10000002000),
        TIME_PAGE,
        TIME_PAGE + 0xfff,
        UINT64_C(0xffffffff80000000),
        UINT64_C(0xffffffff80100000),
        UINT64_MAX - 4095,
        UINT64_MAX - 7,
        UINT64_MAX,
    };

    return fuzz_chance(fuzzer, 8) ? fuzz_random(fuzzer) << fuzz_random(fuzzer) % 14
                                  : addresses[fuzz_random(fuzzer) % ARRAY_SIZE(addresses)];
}

static inline uint64_t fuzz_length(struct fuzzer *fuzzer)
{
    switch (fuzz_random(fuzzer) % 8) {
    case 0:
        return 0;
    case 1:
    case 2:
        return fuzz_random(fuzzer) % 64;
    case 3:
        return (fuzz_random(fuzzer) % 16) * PAGE_SIZE;
    case 4:
        return fuzz_random(fuzzer) % 70000;
    case 5:
        return (uint64_t)1 << fuzz_random(fuzzer) % 24;
    case 6:
        return fuzz_chance(fuzzer, 8) ? UINT64_C(1) << fuzz_random(fuzzer) % 64 : PAGE_SIZE;
    default:
        return fuzz_chance(fuzzer, 4) ? 0 - (fuzz_random(fuzzer) % 5000) : 16;
    }
}

static inline uint64_t fuzz_deadline(struct fuzzer *fuzzer)
{
    switch (fuzz_random(fuzzer) % 8) {
    case 0:
        return (uint64_t)DEADLINE_NEVER;
    case 1:
        return 1;
    case 2:
        return 0 - fuzz_random(fuzzer);
    case 3:
        return UINT64_C(1) << 63;
    case 4:
    case 5:
        return (uint64_t)fuzzer->time + fuzz_random(fuzzer) % 1000000;
    default:
        return (uint64_t)DEADLINE_NOW;
    }
}

static inline uint64_t fuzz_flags(struct fuzzer *fuzzer)
{
    switch (fuzz_random(fuzzer) % 8) {
    case 0:
        return UINT64_C(1) << fuzz_random(fuzzer) % 32;
    case 1:
        return fuzz_random(fuzzer);
    case 2:
    case 3:
        return 0;
    case 4:
        return RIGHT_ALL;
    default:
        return fuzz_random(fuzzer) % 16;
    }
}

static inline uint64_t fuzz_number(struct fuzzer *fuzzer)
{
    switch (fuzz_random(fuzzer) % 8) {
    case 0:
        return fuzz_random(fuzzer) << 16 | fuzz_random(fuzzer);
    case 1:
        return fuzz_bad_address(fuzzer);
    case 2:
        return fuzz_length(fuzzer);
    case 3:
        return fuzz_deadline(fuzzer);
    case 4:
        return PLAYGROUND + fuzz_random(fuzzer) % (18 * PAGE_SIZE);
    case 5:
        return fuzz_handle(fuzzer, OBJECT_ANY);
    default:
        return fuzz_flags(fuzzer);
    }
}

/* Where mappings are made and taken away: beside the playground, seldom anywhere. */
static inline uint64_t fuzz_place(struct fuzzer *fuzzer)
{
    if (fuzz_chance(fuzzer, 256))
        return fuzz_bad_address(fuzzer) & ~UINT64_C(0xfff);
    if (fuzz_chance(fuzzer, 16))
        return PLAYGROUND + fuzz_random(fuzzer) % (20 * PAGE_SIZE);
    return PLAYGROUND + (UINT64_C(16) << 20) + (fuzz_random(fuzzer) % 64) * PAGE_SIZE;
}

/* --- Pointers and what they point at ---------------------------------------------------------------------------------- */

static inline uint64_t fuzz_bytes(struct fuzzer *fuzzer)
{
    switch (fuzz_random(fuzzer) % 16) {
    case 0:
        return fuzz_bad_address(fuzzer);
    case 1:
        return PLAYGROUND + PLAYGROUND_WRITE * PAGE_SIZE -
               fuzz_random(fuzzer) % 64; /* into the read-only pages */
    case 2:
        return PLAYGROUND + (PLAYGROUND_WRITE + 2) * PAGE_SIZE -
               fuzz_random(fuzzer) % 64; /* into nothing */
    case 3:
        return PLAYGROUND + (PLAYGROUND_WRITE + 2) * PAGE_SIZE + fuzz_random(fuzzer) % 0x2000;
    case 4:
        return PLAYGROUND + (PLAYGROUND_WRITE + 4) * PAGE_SIZE + fuzz_random(fuzzer) % 0x2000;
    case 5:
        return PLAYGROUND + fuzz_random(fuzzer) % (PLAYGROUND_WRITE * PAGE_SIZE); /* unaligned */
    default:
        return PLAYGROUND + (fuzz_random(fuzzer) % (PLAYGROUND_WRITE * PAGE_SIZE)) / 16 * 16;
    }
}

static inline bool fuzz_writable(uint64_t address, size_t size)
{
    return address >= PLAYGROUND && address + size <= PLAYGROUND + PLAYGROUND_WRITE * PAGE_SIZE;
}

/* A structure's field is what it should be, or now and then any number. */
#define FIELD(value) \
    ((__typeof__(value))(fuzz_chance(fuzzer, 12) ? fuzz_number(fuzzer) : (uint64_t)(value)))

static const char *const fuzz_texts[] = {
    "test://file", "rng:///",      "initfs:///etc/motd", "initfs:///sbin", "test", "other",
    "://",         "nowhere:///x", "/etc/../motd",       "a\0b",           "",     "x",
};

static inline uint64_t fuzz_text(struct fuzzer *fuzzer, uint64_t *length)
{
    const char *text = fuzz_texts[fuzz_random(fuzzer) % ARRAY_SIZE(fuzz_texts)];

    *length = fuzz_chance(fuzzer, 10) ? fuzz_length(fuzzer) : strlen(text);
    return fuzz_chance(fuzzer, 10) ? fuzz_bytes(fuzzer) : (uintptr_t)text;
}

static inline struct abi_map fuzz_map(struct fuzzer *fuzzer)
{
    return (struct abi_map){
        .address = FIELD(fuzz_chance(fuzzer, 3) ? 0 : fuzz_place(fuzzer)),
        .length = FIELD(PAGE_SIZE << fuzz_random(fuzzer) % 6),
        .offset = FIELD((fuzz_random(fuzzer) % 4) * PAGE_SIZE),
        .memory =
            fuzz_chance(fuzzer, 3) ? HANDLE_NONE : (handle_t)fuzz_handle(fuzzer, OBJECT_MEMORY),
        .protection = FIELD((uint32_t)(fuzz_random(fuzzer) % 8)),
        .flags = FIELD((uint32_t)(fuzz_random(fuzzer) % 16)),
    };
}

static inline struct abi_command fuzz_command(struct fuzzer *fuzzer)
{
    struct abi_command command = {
        .op = FIELD((uint32_t)(fuzz_chance(fuzzer, 3) ? OP_PROTOCOL + fuzz_random(fuzzer) % 4
                                                      : fuzz_random(fuzzer) % 32)),
        .flags = (uint32_t)fuzz_random(fuzzer) % 16,
        .args = {fuzz_number(fuzzer), fuzz_number(fuzzer), fuzz_number(fuzzer),
                 fuzz_number(fuzzer)},
        .deadline = FIELD(fuzzer->time + (int64_t)(fuzz_random(fuzzer) % 1000000)),
        .in = fuzz_bytes(fuzzer),
        .in_length = fuzz_length(fuzzer),
        .out = fuzz_bytes(fuzzer),
        .out_length = fuzz_length(fuzzer),
        .send_count = fuzz_chance(fuzzer, 4) ? FIELD((uint32_t)(fuzz_random(fuzzer) % 6)) : 0,
    };

    for (size_t i = 0; i < COMMAND_HANDLES; i++)
        command.send[i] = (handle_t)fuzz_handle(fuzzer, OBJECT_ANY);
    return command;
}

NORETURN static void fuzz_nothing(void)
{
    for (;;)
        sys_ignore(sys_thread_exit(0));
}

/* What starts there ends at once: the exit of a thread, or no code at all, which is the end of the process. */
static inline uint64_t fuzz_entry(struct fuzzer *fuzzer)
{
    return !fuzz_chance(fuzzer, 8) ? (uintptr_t)fuzz_nothing : fuzz_bad_address(fuzzer);
}

/* Fills in what a pointer of that type points at; in place, so that threads change each other's structures too. */
static inline void fuzz_fill(struct fuzzer *fuzzer, const char *type, uint64_t address)
{
#define IS(name) (strcmp(type, "UPTR(" name ")") == 0)
    if (!fuzz_writable(address, 512))
        return;
    if (IS("struct abi_map")) {
        *(struct abi_map *)address = fuzz_map(fuzzer);
    } else if (IS("struct abi_process_create")) {
        struct abi_process_create create = {
            .space_of = fuzz_chance(fuzzer, 2) ? HANDLE_NONE
                                               : (handle_t)fuzz_handle(fuzzer, OBJECT_PROCESS),
            .flags = FIELD((uint32_t)(fuzz_chance(fuzzer, 4) ? PROCESS_PRIORITY_LIMIT : 0)),
        };
        uint64_t *limits = (uint64_t *)(address + 256);

        create.name = fuzz_text(fuzzer, &create.name_length);
        if (fuzz_chance(fuzzer, 4)) {
            for (int i = 0; i < QUOTA_COUNT; i++)
                limits[i] = fuzz_chance(fuzzer, 2)   ? QUOTA_UNLIMITED
                            : fuzz_chance(fuzzer, 2) ? 3
                                                     : 0x200000;
            create.limits = FIELD((uintptr_t)limits);
            create.limit_count = FIELD((uint32_t)QUOTA_COUNT);
            create.flags |= fuzz_chance(fuzzer, 2) ? PROCESS_HOLDS_ACCOUNT : 0;
        }
        if (fuzz_chance(fuzzer, 4))
            create.account_of = (handle_t)fuzz_handle(fuzzer, OBJECT_PROCESS);
        *(struct abi_process_create *)address = create;
    } else if (IS("struct abi_exec")) {
        struct abi_map *maps = (struct abi_map *)(address + 256);
        for (int i = 0; i < 3; i++)
            maps[i] = fuzz_map(fuzzer);
        *(struct abi_exec *)address = (struct abi_exec){
            .maps = FIELD((uintptr_t)maps),
            .map_count = FIELD((uint64_t)3),
            .entry = fuzz_entry(fuzzer),
            .stack = fuzz_bad_address(fuzzer),
            .block = FIELD(PLAYGROUND),
            .handles = fuzz_bytes(fuzzer),
            .handle_count = FIELD((uint64_t)0),
            .handle_values = fuzz_bytes(fuzzer),
            .flags = FIELD((uint64_t)EXEC_SUSPENDED),
        };
    } else if (IS("struct abi_fork")) {
        *(struct abi_fork *)address = (struct abi_fork){
            .entry = fuzz_entry(fuzzer),
            .fs_base = FIELD((uint64_t)0),
            .block = FIELD((uint64_t)0),
            .flags = FIELD(fuzz_random(fuzzer) % 2),
        };
    } else if (IS("struct abi_thread")) {
        *(struct abi_thread *)address = (struct abi_thread){
            .entry = fuzz_entry(fuzzer),
            .stack = fuzz_bytes(fuzzer),
            .block = FIELD((uint64_t)0),
            .flags = FIELD((uint64_t)THREAD_CREATE_SUSPENDED),
        };
    } else if (IS("struct abi_command")) {
        *(struct abi_command *)address = fuzz_command(fuzzer);
    } else if (IS("struct abi_path_call")) {
        struct abi_path_call call = {.command = fuzz_command(fuzzer)};
        call.uri = fuzz_text(fuzzer, &call.uri_length);
        *(struct abi_path_call *)address = call;
    } else if (IS("struct abi_open")) {
        struct abi_open open = {
            .flags = FIELD((uint32_t)(1 + fuzz_random(fuzzer) % 3)),
            .deadline = FIELD(fuzzer->time + 1000000),
            .link = fuzz_bytes(fuzzer),
            .link_length = fuzz_length(fuzzer),
        };
        open.uri = fuzz_text(fuzzer, &open.uri_length);
        *(struct abi_open *)address = open;
    } else if (IS("struct abi_return")) {
        struct abi_return result = {
            .token = FIELD(*fuzzer->token),
            .status =
                FIELD((int64_t)(fuzz_chance(fuzzer, 2) ? 0 : -(int64_t)(fuzz_random(fuzzer) % 64))),
            .values = {fuzz_number(fuzzer), fuzz_flags(fuzzer), fuzz_flags(fuzzer)},
            .data = fuzz_bytes(fuzzer),
            .data_length = fuzz_chance(fuzzer, 2) ? 0 : fuzz_length(fuzzer),
            .handle_count = fuzz_chance(fuzzer, 4) ? FIELD((uint32_t)(fuzz_random(fuzzer) % 6)) : 0,
        };
        for (size_t i = 0; i < COMMAND_HANDLES; i++)
            result.handles[i] = (handle_t)fuzz_handle(fuzzer, OBJECT_ANY);
        *(struct abi_return *)address = result;
    } else if (IS("struct abi_stream_message") || IS("const struct abi_stream_message")) {
        handle_t *handles = (handle_t *)(address + 256);
        for (size_t i = 0; i < 8; i++)
            handles[i] = (handle_t)fuzz_handle(fuzzer, OBJECT_ANY);
        *(struct abi_stream_message *)address = (struct abi_stream_message){
            .handles = FIELD((uintptr_t)handles),
            .handle_count = fuzz_chance(fuzzer, 2) ? FIELD((uint32_t)(fuzz_random(fuzzer) % 9)) : 0,
        };
    } else if (IS("struct abi_wait")) {
        struct abi_wait *waits = (struct abi_wait *)address;
        for (size_t i = 0; i < 8; i++)
            waits[i] = (struct abi_wait){
                .handle = (handle_t)fuzz_handle(fuzzer, OBJECT_ANY),
                .signals = (uint32_t)(fuzz_chance(fuzzer, 8) ? fuzz_random(fuzzer)
                                                             : fuzz_random(fuzzer) % 0x200),
            };
    } else {
        uint64_t *words = (uint64_t *)(address & ~UINT64_C(7));
        for (size_t i = 0; i < 24; i++)
            words[i] = fuzz_number(fuzzer);
    }
#undef IS
}

/* --- Calls ------------------------------------------------------------------------------------------------------------- */

static inline bool fuzz_named(const char *name, const char *const *names)
{
    for (; *names; names++)
        if (strcmp(name, *names) == 0)
            return true;
    return false;
}

static inline uint64_t fuzz_argument(struct fuzzer *fuzzer, const struct fuzz_call *call,
                                     const struct fuzz_argument *argument)
{
    static const char *const lengths[] = {"length", "size", "count", "counts", NULL};
    static const char *const flags[] = {"flags", "rights", "mask", "signals", "protection",
                                        "set",   "clear",  "bits", "kind",    "whence",
                                        "cache", "clock",  NULL};
    bool spaces = strncmp(call->name, "space_", 6) == 0;

    if (strcmp(argument->type, "handle_t") != 0 && fuzz_chance(fuzzer, 16))
        return fuzz_number(fuzzer);
    if (strncmp(argument->type, "UPTR", 4) == 0) {
        uint64_t address, length;

        /* What the log is given are bytes of ours: it is read for "not ok". */
        if (strcmp(argument->type, "UPTR(const char)") == 0 && strcmp(call->name, "log_write") != 0)
            return fuzz_text(fuzzer, &length);
        address = fuzz_bytes(fuzzer);
        fuzz_fill(fuzzer, argument->type, address);
        return address;
    }
    /* A port that keeps a process which holds the port is a circle that nothing ends (kernel/ipc/kept.c). */
    if (strcmp(call->name, "port_keep") == 0 && strcmp(argument->name, "what") == 0)
        return (uint64_t)fuzz_handle_of(fuzzer,
                                        fuzz_chance(fuzzer, 4) ? OBJECT_STREAM : OBJECT_MEMORY);
    if (strcmp(argument->type, "handle_t") == 0)
        return fuzz_handle(fuzzer, fuzz_chance(fuzzer, 2) ? OBJECT_PORT : OBJECT_ANY);
    if (strcmp(call->name, "process_control") == 0 && strcmp(argument->name, "value") == 0)
        return fuzz_chance(fuzzer, 2)
                   ? 0
                   : fuzz_handle(fuzzer, fuzz_chance(fuzzer, 2) ? OBJECT_PORT : OBJECT_NAMESPACE);
    if (strcmp(argument->name, "deadline") == 0 || strcmp(argument->name, "time") == 0)
        return fuzz_deadline(fuzzer);
    if (strcmp(argument->name, "token") == 0)
        return *fuzzer->token;
    if (strcmp(argument->name, "op") == 0)
        return fuzz_random(fuzzer) % 20;
    if (spaces && (strcmp(argument->name, "address") == 0 || strcmp(argument->name, "value") == 0))
        return fuzz_place(fuzzer);
    if (spaces && strcmp(argument->name, "length") == 0 && !fuzz_chance(fuzzer, 64))
        return fuzz_random(fuzzer) % 8 * PAGE_SIZE;
    if (fuzz_named(argument->name, lengths))
        return fuzz_length(fuzzer);
    if (fuzz_named(argument->name, flags))
        return fuzz_flags(fuzzer);
    return fuzz_number(fuzzer);
}

/* What ends or stops the caller by its meaning, or fills the log, is rare: the rest would be lost. */
static inline uint32_t fuzz_rarity(const struct fuzz_call *call, uint64_t object)
{
    static const char *const endings[] = {"process_kill", "port_close", "thread_exit",
                                          "thread_resume", NULL};

    if (fuzz_named(call->name, endings))
        return object == HANDLE_SELF || call->object == OBJECT_NONE ? 256 : 4;
    return strcmp(call->name, "log_write") == 0 ? 64 : 1;
}

static inline void fuzz_learn(struct fuzzer *fuzzer, const struct fuzz_call *call)
{
    const struct fuzz_record *done = &fuzzer->call;
    uint64_t pointer = done->arguments[1];

    if (done->result < 0)
        return;
    fuzz_pool_add(fuzzer, (handle_t)done->result);
    if (strcmp(call->name, "stream_pair") == 0 && fuzz_writable(pointer, 8)) {
        fuzz_pool_add(fuzzer, ((handle_t *)pointer)[0]);
        fuzz_pool_add(fuzzer, ((handle_t *)pointer)[1]);
    } else if (strcmp(call->name, "stream_listen") == 0 && fuzz_writable(done->arguments[2], 8)) {
        fuzz_pool_add(fuzzer, ((handle_t *)done->arguments[2])[0]);
        fuzz_pool_add(fuzzer, ((handle_t *)done->arguments[2])[1]);
    } else if (strcmp(call->name, "process_fork") == 0 &&
               fuzz_writable(pointer, sizeof(struct abi_fork))) {
        fuzz_pool_add(fuzzer, ((struct abi_fork *)pointer)->thread);
    } else if (strcmp(call->name, "proto_accept") == 0 &&
               fuzz_writable(pointer, sizeof(struct abi_message))) {
        const struct abi_message *message = (const struct abi_message *)pointer;

        if (message->token)
            *fuzzer->token = message->token;
        for (size_t i = 0; i < COMMAND_HANDLES; i++)
            fuzz_pool_add(fuzzer, message->handles[i]);
    } else if (strcmp(call->name, "proto_return_accept") == 0 && done->result) {
        *fuzzer->token = done->after[0];
    } else if (strcmp(call->name, "stream_receive") == 0 &&
               fuzz_writable(done->arguments[5], sizeof(struct abi_stream_message))) {
        const struct abi_stream_message *message =
            (const struct abi_stream_message *)done->arguments[5];

        if (fuzz_writable(message->handles, 8 * sizeof(handle_t)))
            for (size_t i = 0; i < MIN(message->handle_count, 8u); i++)
                fuzz_pool_add(fuzzer, ((const handle_t *)message->handles)[i]);
    }
}

/* Any number, all registers: the call may change each of them. */
static inline void fuzz_syscall(struct fuzz_record *record)
{
    struct {
        uint64_t *before, *after;
        int64_t rax;
    } frame = {record->arguments, record->after, (int64_t)(SYSCALL_BASE + record->number)},
      *at = &frame;

    __asm__ volatile(
        "push %%rbp\n push %%rbx\n push %[at]\n mov (%[at]), %%rcx\n mov 16(%[at]), %%rax\n"
        "mov 0(%%rcx), %%rdi\n mov 8(%%rcx), %%rsi\n mov 16(%%rcx), %%rdx\n mov 24(%%rcx), %%r10\n"
        "mov 32(%%rcx), %%r8\n mov 40(%%rcx), %%r9\n mov 48(%%rcx), %%rbx\n mov 56(%%rcx), %%rbp\n"
        "mov 64(%%rcx), %%r12\n mov 72(%%rcx), %%r13\n mov 80(%%rcx), %%r14\n mov 88(%%rcx), "
        "%%r15\n"
        "syscall\n"
        "pop %%r11\n mov %%rax, 16(%%r11)\n mov 8(%%r11), %%rcx\n"
        "mov %%rdi, 0(%%rcx)\n mov %%rsi, 8(%%rcx)\n mov %%rdx, 16(%%rcx)\n mov %%r10, 24(%%rcx)\n"
        "mov %%r8, 32(%%rcx)\n mov %%r9, 40(%%rcx)\n mov %%rbx, 48(%%rcx)\n mov %%rbp, 56(%%rcx)\n"
        "mov %%r12, 64(%%rcx)\n mov %%r13, 72(%%rcx)\n mov %%r14, 80(%%rcx)\n mov %%r15, "
        "88(%%rcx)\n"
        "pop %%rbx\n pop %%rbp\n"
        : [at] "+a"(at)
        :
        : "rcx", "rdx", "rdi", "rsi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
          "memory", "cc");
    record->result = frame.rax;
}

/* What a call keeps of the caller's registers. */
static inline bool fuzz_registers_kept(const struct fuzz_record *record)
{
    size_t first = fuzz_calls[record->number].count == FUZZ_REGISTERS ? FUZZ_REGISTERS : 0;

    for (size_t i = first; i < FUZZ_REGISTERS; i++)
        if (record->after[i] != record->arguments[i])
            return false;
    return true;
}

/* The relay's short form: the registers' meaning is abi.h's table. */
static inline void fuzz_short(struct fuzzer *fuzzer, const struct fuzz_call *call,
                              uint64_t *registers)
{
    if (strcmp(call->name, "file_call_short") == 0) {
        struct abi_command command = fuzz_command(fuzzer);

        registers[1] = command.op | (fuzz_random(fuzzer) % 64) << 32;
        registers[4] = fuzz_bytes(fuzzer);
        registers[5] = fuzz_length(fuzzer);
    } else if (strcmp(call->name, "proto_return_accept") == 0) {
        registers[1] = fuzz_chance(fuzzer, 2) ? 0 : *fuzzer->token;
        registers[2] = fuzz_chance(fuzzer, 2) ? 0 : 0 - fuzz_random(fuzzer) % 64;
        registers[5] = fuzz_bytes(fuzzer);
        registers[7] = fuzz_chance(fuzzer, 2) ? 0 : fuzz_length(fuzzer);
        registers[8] = fuzz_bytes(fuzzer);
        registers[9] = fuzz_length(fuzzer);
        registers[10] = fuzz_deadline(fuzzer);
        registers[11] = fuzz_bytes(fuzzer);
    }
}

static inline bool fuzzer_call(struct fuzzer *fuzzer)
{
    struct fuzz_record *done = &fuzzer->call;
    const struct fuzz_call *call;
    size_t used = 0;

    do {
        done->number = fuzz_random(fuzzer) % ARRAY_SIZE(fuzz_calls);
        call = &fuzz_calls[done->number];
    } while (!call->name && !fuzz_chance(fuzzer, 32)); /* numbers without a call, too */
    if (fuzz_chance(fuzzer, 16))
        fuzzer->time = sys_clock_get(CLOCK_MONOTONIC_);
    for (size_t i = 0; i < FUZZ_REGISTERS; i++)
        done->arguments[i] = fuzz_number(fuzzer);
    if (call->name) {
        if (call->object != OBJECT_NONE)
            done->arguments[used++] = fuzz_handle(fuzzer, call->object);
        if (call->count == FUZZ_REGISTERS)
            fuzz_short(fuzzer, call, done->arguments);
        for (uint32_t i = 0; i < call->count && call->count != FUZZ_REGISTERS; i++)
            done->arguments[used++] = fuzz_argument(fuzzer, call, &call->arguments[i]);
        if (!fuzz_chance(fuzzer, fuzz_rarity(call, done->arguments[0])))
            return true;
    }
    fuzz_syscall(done);
    if (call->name)
        fuzz_learn(fuzzer, call);
    return fuzz_answer_documented(done->number, done->result) && fuzz_registers_kept(done);
}

/* A thread of the process; the first one makes the process's world. */
static inline void fuzzer_begin(struct fuzzer *fuzzer, uint64_t seed)
{
    fuzzer->random = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
    for (int i = 0; i < 8; i++)
        fuzz_random(fuzzer);
    fuzzer->time = sys_clock_get(CLOCK_MONOTONIC_);
}

static inline void fuzz_playground(void)
{
    struct abi_map map = {
        .address = PLAYGROUND,
        .length = PLAYGROUND_END - PLAYGROUND,
        .memory = HANDLE_NONE,
        .protection = PROT_READ_ | PROT_WRITE_,
        .flags = MAP_FIXED_,
    };

    sys_ignore(sys_space_map(HANDLE_SELF, &map));
    for (uint64_t page = 0; page < PLAYGROUND_WRITE + 2; page++)
        *(volatile uint8_t *)(PLAYGROUND + page * PAGE_SIZE) = 1;
    sys_ignore(sys_space_protect(HANDLE_SELF, PLAYGROUND + PLAYGROUND_WRITE * PAGE_SIZE,
                                 2 * PAGE_SIZE, PROT_READ_));
    sys_ignore(sys_space_unmap(HANDLE_SELF, PLAYGROUND + (PLAYGROUND_WRITE + 2) * PAGE_SIZE,
                               2 * PAGE_SIZE));
}

/* One of each type that can be made from nothing; what else there is was given to the process. */
static inline void fuzz_world(struct fuzzer *fuzzer)
{
    struct abi_process_create create = {.space_of = HANDLE_NONE};
    struct abi_thread thread = {.entry = 0x1000, .flags = THREAD_CREATE_SUSPENDED};
    struct abi_open open = {
        .uri = (uintptr_t) "test://x", .uri_length = 8, .deadline = fuzzer->time + 5 * MILLISECOND};
    handle_t ends[2];

    fuzz_playground();
    fuzz_pool_add(fuzzer, (handle_t)sys_memory_create(16 * PAGE_SIZE, 0));
    fuzz_pool_add(fuzzer, (handle_t)sys_proto_create(HANDLE_SELF, NULL, 0));
    fuzz_pool_add(fuzzer, (handle_t)sys_namespace_create(HANDLE_SELF, 0));
    fuzz_pool_add(fuzzer, (handle_t)sys_timer_create());
    fuzz_pool_add(fuzzer, (handle_t)sys_process_create(HANDLE_SELF, &create));
    fuzz_pool_add(fuzzer, (handle_t)sys_thread_create(HANDLE_SELF, &thread));
    fuzz_pool_add(fuzzer, (handle_t)sys_open(HANDLE_SELF, &open));
    if (sys_stream_pair(0, ends) == 0) {
        fuzz_pool_add(fuzzer, ends[0]);
        fuzz_pool_add(fuzzer, ends[1]);
    }
}
