/* The frame of the native guest tests: programs that make native calls and need no service.
 *
 *     #include "tests/guest/guest.h"
 *     TEST(pair_has_two_ends) { handle_t ends[2]; MUST(sys_stream_pair(0, ends)); ... handle_drop(ends[0]); ... }
 *
 * It is that of the host tests (tests/host/test.h) and a leak check: after a test the system's counters must be what
 * they were before, or the test is run again; what is missing each time is a leak.
 *
 * A test has helpers: threads of this process, and forked processes. A helper has no personality, so it makes native
 * calls only, and an exception ends its process. It may CHECK: its failure becomes that of the test when the
 * test waits for it. What a forked process is to share with the test lies in shared() memory.
 *
 *     struct helper *server = helper_process(serve, &state);     serve(&state) in a copy of this process
 *     helper_join(server);                                        its end, or the test fails
 *
 * A failed test leaves no helper process and no shared memory behind; one that succeeds cleans up itself.
 */
#pragma once

#include "abi/ops.h"
#include "lib/sys/error.h"
#include "lib/sys/startup.h"
#include "lib/sys/syscall.h"

static const char *guest_run(void (*run)(void));
static void guest_clean(const char *why);
#define TEST_RUN(test)                                  \
    do {                                                \
        const char *guest_why = guest_run((test)->run); \
        if (guest_why)                                  \
            FAIL("%s", guest_why);                      \
    } while (0)
#define TEST_CLEAN(why) guest_clean(why)
#include "tests/host/test.h"

#define MILLISECOND INT64_C(1000000)
#define SECOND      INT64_C(1000000000)
#define PATIENCE    (20 * SECOND) /* nothing here takes as long, emulated on a busy machine */

/* The result of a call that must succeed. */
#define MUST(call)                                                                    \
    ({                                                                                \
        int64_t guest_result = (call);                                                \
        if (guest_result < 0)                                                         \
            FAIL("%s: %s (%d)", #call, error_text(guest_result), (int)-guest_result); \
        guest_result;                                                                 \
    })

/* The call must fail with E_<error>. */
#define CHECK_ERROR(call, error)                                                    \
    do {                                                                            \
        int64_t guest_result = (call);                                              \
        if (guest_result != -E_##error)                                             \
            FAIL("%s is %" PRId64 " (%s), want -E_%s", #call, guest_result,         \
                 guest_result < 0 ? error_text(guest_result) : "no error", #error); \
    } while (0)

/* --- Time and state --------------------------------------------------------------------------------------------- */

static inline int64_t now(void)
{
    return MUST(sys_clock_get(CLOCK_MONOTONIC_));
}

/* The deadline that far from now. */
static inline int64_t after(int64_t ns)
{
    return now() + ns;
}

static inline void sleep_for(int64_t ns)
{
    CHECK_ERROR(sys_wait_many(NULL, 0, after(ns)), TIMED_OUT);
}

static inline struct abi_system_info system_info(void)
{
    struct abi_system_info info;

    MUST(sys_system_info(&info, sizeof(info)));
    return info;
}

static inline struct abi_handle_info info_of(handle_t handle)
{
    struct abi_handle_info info;

    MUST(sys_handle_info(handle, &info));
    return info;
}

static inline struct abi_process_info process_info(handle_t process)
{
    struct abi_process_info info;

    MUST(sys_process_info(process, &info));
    return info;
}

static inline handle_t duplicate(handle_t handle, uint32_t rights)
{
    return (handle_t)MUST(sys_handle_duplicate(handle, rights));
}

/* RESOURCE_ROOT: the tests run as children of the first program, which is given it. */
static inline handle_t root(void)
{
    handle_t handle = startup_handle("resource");

    if (handle == HANDLE_NONE)
        FAIL("this program was not given the handle \"resource\"");
    return handle;
}

/* What the handle shows now of these signals. */
static inline uint32_t signals_now(handle_t handle, uint32_t signals)
{
    struct abi_wait wait = {.handle = handle, .signals = signals};
    int64_t result = sys_wait_many(&wait, 1, DEADLINE_NOW);

    if (result != -E_TIMED_OUT)
        MUST(result);
    return result < 0 ? 0 : wait.ready;
}

/* Until the handle shows one of the signals. */
static inline uint32_t signal_wait(handle_t handle, uint32_t signals)
{
    struct abi_wait wait = {.handle = handle, .signals = signals};

    MUST(sys_wait_many(&wait, 1, after(PATIENCE)));
    return wait.ready;
}

/* --- Leaks ------------------------------------------------------------------------------------------------------ */

#define LEAK_RUNS    4
#define SETTLE_TRIES 50
#define SETTLE_STEP  (10 * MILLISECOND)

/* What there is more of than before, as words; an empty text: nothing. */
static inline size_t counters_compare(const struct abi_system_info *before, char *text, size_t size)
{
    struct abi_system_info info = system_info();
    size_t used = 0;

    text[0] = '\0';
#define COMPARE(name, had, has)                                               \
    if ((has) > (had) && used < size)                                         \
    used += (size_t)snprintf(text + used, size - used, "%s%" PRIu64 " " name, \
                             used ? ", " : "lost ", (has) - (had))
    /* From the shell there are others, who use memory too. */
    if (startup_handle("resource") != HANDLE_NONE) {
        COMPARE("frames", info.frames_free + info.frames_kept,
                before->frames_free + before->frames_kept);
        COMPARE("kernel bytes", before->kernel_bytes, info.kernel_bytes);
    }
    COMPARE("handles", before->handles, info.handles);
    COMPARE("commands", before->commands, info.commands);
    COMPARE("bindings", before->bindings, info.bindings);
#define OBJECT(number, name, rights, meaning) \
    COMPARE(#name, before->objects[number], info.objects[number]);
#include "abi/objects.def"
#undef OBJECT
#undef COMPARE
    return used;
}

static const char *guest_run(void (*run)(void))
{
    static char lost[256];

    for (int round = 0; round < LEAK_RUNS; round++) {
        struct abi_system_info before = system_info();

        run();
        for (int i = 0; counters_compare(&before, lost, sizeof(lost)) && i < SETTLE_TRIES; i++)
            sleep_for(SETTLE_STEP);
        if (!lost[0])
            return NULL;
    }
    return lost;
}

/* --- Memory ------------------------------------------------------------------------------------------------------ */

/* Anonymous private memory, readable and writable, no page of it touched. */
static inline void *pages_map(size_t count)
{
    struct abi_map map = {
        .length = count * PAGE_SIZE,
        .memory = HANDLE_NONE,
        .protection = PROT_READ_ | PROT_WRITE_,
    };

    return (void *)MUST(sys_space_map(HANDLE_SELF, &map));
}

static inline void pages_unmap(void *pages, size_t count)
{
    MUST(sys_space_unmap(HANDLE_SELF, (uintptr_t)pages, count * PAGE_SIZE));
}

/* The first length bytes of the memory, at any address. */
static inline void *memory_map(handle_t memory, uint64_t length, uint32_t protection,
                               uint32_t flags)
{
    struct abi_map map = {
        .length = length,
        .memory = memory,
        .protection = protection,
        .flags = flags,
    };

    return (void *)MUST(sys_space_map(HANDLE_SELF, &map));
}

#define SHARES_MAX 64

static struct {
    void *memory;
    size_t size;
} shares[SHARES_MAX];

/* Zeroed memory that forked processes share with this one; unshare() at the end. */
static inline void *shared(size_t size)
{
    int slot = 0;

    while (slot < SHARES_MAX && shares[slot].memory)
        slot++;
    if (slot == SHARES_MAX)
        FAIL("too much shared memory");
    handle_t memory = (handle_t)MUST(sys_memory_create(size, 0));
    shares[slot].memory = memory_map(memory, size, PROT_READ_ | PROT_WRITE_, MAP_SHARED_);
    shares[slot].size = size;
    handle_drop(memory);
    return shares[slot].memory;
}

static inline void unshare(void *memory)
{
    for (int i = 0; i < SHARES_MAX; i++) {
        if (shares[i].memory != memory)
            continue;
        sys_ignore(sys_space_unmap(HANDLE_SELF, (uintptr_t)memory, shares[i].size));
        shares[i].memory = NULL;
    }
}

/* Words in shared memory: what helpers and tests tell each other. */
static inline void word_set(uint32_t *word, uint32_t value)
{
    __atomic_store_n(word, value, __ATOMIC_SEQ_CST);
    MUST(sys_futex_wake(word, UINT32_MAX, FUTEX_SHARED_, FUTEX_ANY));
}

static inline void word_add(uint32_t *word, uint32_t value)
{
    __atomic_fetch_add(word, value, __ATOMIC_SEQ_CST);
    MUST(sys_futex_wake(word, UINT32_MAX, FUTEX_SHARED_, FUTEX_ANY));
}

static inline uint32_t word_get(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

static inline void word_wait(uint32_t *word, uint32_t at_least)
{
    int64_t deadline = after(PATIENCE);
    uint32_t value;

    while ((value = word_get(word)) < at_least) {
        int64_t result = sys_futex_wait(word, value, FUTEX_SHARED_, deadline, FUTEX_ANY);

        if (result < 0 && result != -E_AGAIN)
            FAIL("a word that should become %u stays %u: %s", at_least, value, error_text(result));
    }
}

/* --- Helpers ----------------------------------------------------------------------------------------------------- */

/* Stacks lie in HELPER_AREA, upwards; each begins with its struct helper, at a multiple of HELPER_STACK. */
#define HELPER_STACK  0x10000u
#define HELPER_AREA   UINT64_C(0x200000000000)
#define HELPER_FAILED 0x7fu

struct helper {
    handle_t process; /* HANDLE_NONE: a thread of this process */
    handle_t thread;
    uint64_t id; /* of the process, as services see it */
    void (*run)(void *argument);
    void *argument;
    struct helper *next;
    char failure[512];
};

static struct helper *helpers;

/* The helper whose stack this is; NULL: the test's own. */
static inline struct helper *helper_self(void)
{
    uintptr_t stack = (uintptr_t)__builtin_frame_address(0) & ~(uintptr_t)(HELPER_STACK - 1);

    for (struct helper *helper = helpers; helper; helper = helper->next)
        if ((uintptr_t)helper == stack)
            return helper;
    return NULL;
}

/* End of the calling process. */
NORETURN static inline void helper_exit(uint32_t status)
{
    for (;;)
        sys_ignore(sys_process_kill(HANDLE_SELF, status));
}

NORETURN static inline void helper_end(struct helper *helper, uint32_t status)
{
    if (helper->process != HANDLE_NONE)
        helper_exit(status);
    for (;;)
        sys_ignore(sys_thread_exit(0));
}

NORETURN static inline void helper_main(struct helper *helper)
{
    helper->run(helper->argument);
    helper_end(helper, 0);
}

/* Its stack is aligned to its size, and shared with a forked process: that is how its failure comes back. */
static inline struct helper *helper_new(void (*run)(void *), void *argument)
{
    handle_t memory = (handle_t)MUST(sys_memory_create(HELPER_STACK, 0));
    uint64_t room =
        (uint64_t)MUST(sys_space_op(HANDLE_SELF, SPACE_OP_FIND, HELPER_AREA, HELPER_STACK * 2, 0));
    struct abi_map map = {
        .address = ALIGN_UP(room, (uint64_t)HELPER_STACK),
        .length = HELPER_STACK,
        .memory = memory,
        .protection = PROT_READ_ | PROT_WRITE_,
        .flags = MAP_SHARED_ | MAP_FIXED_ | MAP_NOREPLACE_,
    };
    struct helper *helper = (struct helper *)MUST(sys_space_map(HANDLE_SELF, &map));

    handle_drop(memory);
    helper->process = helper->thread = HANDLE_NONE;
    helper->run = run;
    helper->argument = argument;
    helper->next = helpers;
    helpers = helper;
    return helper;
}

static inline void helper_free(struct helper *helper)
{
    struct helper **link = &helpers;

    while (*link != helper)
        link = &(*link)->next;
    *link = helper->next;
    handle_drop(helper->process);
    handle_drop(helper->thread);
    sys_ignore(sys_space_unmap(HANDLE_SELF, (uintptr_t)helper, HELPER_STACK));
}

static inline uint64_t helper_stack(struct helper *helper)
{
    return (uintptr_t)helper + HELPER_STACK - 8; /* as a call leaves it */
}

static inline uint64_t own_fs_base(void)
{
    uint64_t base;

    /* musl's thread structure begins with its own address. */
    __asm__("mov %%fs:0, %0" : "=r"(base));
    return base;
}

/* Created, not running: THREAD_RESUME on ->thread starts it. */
static inline struct helper *helper_process_suspended(void (*run)(void *), void *argument)
{
    struct helper *helper = helper_new(run, argument);
    struct abi_fork fork = {
        .entry = (uintptr_t)helper_main,
        .stack = helper_stack(helper),
        .argument = (uintptr_t)helper,
        .fs_base = own_fs_base(),
    };

    helper->process = (handle_t)MUST(sys_process_fork(HANDLE_SELF, &fork));
    helper->thread = fork.thread;
    helper->id = fork.id;
    return helper;
}

static inline struct helper *helper_thread_suspended(void (*run)(void *), void *argument)
{
    struct helper *helper = helper_new(run, argument);
    struct abi_thread thread = {
        .entry = (uintptr_t)helper_main,
        .stack = helper_stack(helper),
        .argument = (uintptr_t)helper,
        .fs_base = own_fs_base(),
        .flags = THREAD_CREATE_SUSPENDED,
    };

    helper->thread = (handle_t)MUST(sys_thread_create(HANDLE_SELF, &thread));
    return helper;
}

static inline struct helper *helper_resume(struct helper *helper)
{
    MUST(sys_thread_control(helper->thread, THREAD_RESUME, 0, NULL));
    return helper;
}

static inline struct helper *helper_process(void (*run)(void *), void *argument)
{
    return helper_resume(helper_process_suspended(run, argument));
}

static inline struct helper *helper_thread(void (*run)(void *), void *argument)
{
    return helper_resume(helper_thread_suspended(run, argument));
}

static inline handle_t helper_object(const struct helper *helper)
{
    return helper->process != HANDLE_NONE ? helper->process : helper->thread;
}

static inline bool helper_ended(const struct helper *helper)
{
    return signals_now(helper_object(helper), SIGNAL_EXITED);
}

static bool helper_detached;

/* For a helper process that will do anything: run(argument) on a stack of its own, with nothing left that the test shares
 * with it. What it CHECKs is not reported. */
static inline void helper_detach(void (*run)(void *), void *argument)
{
    struct helper *self = helper_self();
    uint8_t *stack = pages_map(HELPER_STACK / PAGE_SIZE);

    helper_detached = true;
    for (struct helper *helper = helpers, *next; helper; helper = next) {
        next = helper->next;
        if (helper != self)
            MUST(sys_space_unmap(HANDLE_SELF, (uintptr_t)helper, HELPER_STACK));
    }
    MUST(sys_space_unmap(HANDLE_SELF, (uintptr_t)self, PAGE_SIZE)); /* the rest is this stack */
    __asm__ volatile("mov %0, %%rsp; mov %1, %%rdi; call *%2; ud2"
                     :
                     : "r"(stack + HELPER_STACK), "r"(argument), "r"(run)
                     : "rdi", "memory");
    __builtin_unreachable();
}

/* Wait for its end: a process's status, a thread's 0. The helper is gone then. */
static inline uint32_t helper_status(struct helper *helper)
{
    signal_wait(helper_object(helper), SIGNAL_EXITED);

    uint32_t status = helper->process != HANDLE_NONE ? process_info(helper->process).status : 0;
    char why[sizeof(helper->failure)];

    strcpy(why, helper->failure);
    helper_free(helper);
    if (why[0])
        FAIL("in a helper: %s", why);
    return status;
}

static inline void helper_join(struct helper *helper)
{
    uint32_t status = helper_status(helper);

    if (status)
        FAIL("a helper ended with status 0x%x", status);
}

static inline void helper_kill(struct helper *helper)
{
    MUST(sys_process_kill(helper->process, 0));
    helper_status(helper);
}

/* A thread that does not end by itself cannot be ended: it is suspended and left behind. */
static inline void helpers_clear(void)
{
    for (struct helper *helper = helpers, *next; helper; helper = next) {
        struct abi_wait wait = {.handle = helper_object(helper), .signals = SIGNAL_EXITED};

        next = helper->next;
        if (helper->process != HANDLE_NONE)
            sys_ignore(sys_process_kill(helper->process, 0));
        if (wait.handle == HANDLE_NONE || sys_wait_many(&wait, 1, after(SECOND / 5)) == 1)
            helper_free(helper);
        else
            sys_ignore(sys_thread_control(helper->thread, THREAD_SUSPEND, 0, NULL));
    }
}

static void guest_clean(const char *why)
{
    if (helper_detached)
        helper_exit(HELPER_FAILED);

    struct helper *self = helper_self();

    if (self) {
        snprintf(self->failure, sizeof(self->failure), "%s", why);
        helper_end(self, HELPER_FAILED);
    }
    helpers_clear();
    for (int i = 0; i < SHARES_MAX; i++)
        if (shares[i].memory)
            unshare(shares[i].memory);
}
