/* Every native call with arguments of every class (fuzz.h), in several processes of several threads at once: whatever comes
 * back, the system lives, nobody else is harmed, and all that was taken is given back.
 *
 *     fuzz_syscalls                             a first walk, then CALLS calls from a few seeds
 *     fuzz_syscalls random_calls SEED CALLS     those of one seed; tests/system/scenarios/fuzz.py does so in the whole system
 *
 * The fuzzing processes know nothing of this one: they are copies of a process that was never run (`model`), with a space, a
 * handle table, a namespace and an account of their own, and end when their share of calls is made. A call may well end its process, stop
 * it or put it to sleep for ever: who stands still is resumed and interrupted, and killed if that does not help. From
 * one seed each thread's calls are the same; how the threads meet is not.
 *
 * Beside them a bystander makes ordinary calls, through a service of its own, and checks each answer.
 */
#include <elf.h>

#include "tests/guest/fuzz.h"

#define CALLS        100000u
#define SEEDS        4
#define WALK         4000u /* warms caches and services */
#define PROCESSES    4
#define THREADS      3
#define SHARE        1500u /* calls of one thread */
#define STACK        0x8000u
#define STEP         (2 * MILLISECOND)
#define STEPS_HELP   2        /* without a call: resumed */
#define STEPS_STILL  60       /* without a call: killed */
#define REPORT       1000000u /* calls: the runner takes silence for death */
#define STEPS_NO_END 10000    /* nobody makes any call: the kernel hangs */

struct slot {
    uint64_t calls; /* of all processes that were here */
    uint32_t bad;
    struct fuzz_record record;
};

struct arena { /* shared with all of them */
    handle_t given[16];
    uint32_t given_count;
    struct slot slots[PROCESSES];
};

#define ARENA_SIZE ALIGN_UP(sizeof(struct arena), (size_t)PAGE_SIZE)

/* --- In a fuzzing process --------------------------------------------------------------------------------------------- */

static struct arena *arena;
static handle_t arena_memory; /* of the test's own */
static uint8_t stacks[THREADS][STACK] ALIGNED(16);
static struct fuzz_pool pool;
static uint64_t token;

struct fuzz_thread {
    struct fuzzer fuzzer;
    struct slot *slot;
};

static struct fuzz_thread threads[THREADS];

NORETURN static void fuzz_calls_make(struct fuzz_thread *thread)
{
    for (uint32_t i = 0; i < SHARE; i++) {
        if (!fuzzer_call(&thread->fuzzer)) {
            thread->slot->record = thread->fuzzer.call;
            __atomic_store_n(&thread->slot->bad, 1, __ATOMIC_SEQ_CST);
        }
        __atomic_fetch_add(&thread->slot->calls, 1, __ATOMIC_RELAXED);
    }
    helper_exit(0);
}

NORETURN static void fuzz_process(uint64_t seed, struct slot *slot)
{
    for (uint64_t i = 0; i < THREADS; i++) {
        threads[i].fuzzer.pool = &pool;
        threads[i].fuzzer.token = &token;
        threads[i].slot = slot;
        fuzzer_begin(&threads[i].fuzzer, seed * THREADS + i);
    }
    for (uint32_t i = 0; i < arena->given_count; i++)
        fuzz_pool_add(&threads[0].fuzzer, arena->given[i]);
    fuzz_world(&threads[0].fuzzer);
    for (int i = 1; i < THREADS; i++) {
        struct abi_thread start = {
            .entry = (uintptr_t)fuzz_calls_make,
            .stack = (uintptr_t)stacks[i] + STACK - 8,
            .argument = (uintptr_t)&threads[i],
            .fs_base = own_fs_base(),
        };

        fuzz_pool_add(&threads[0].fuzzer, (handle_t)sys_thread_create(HANDLE_SELF, &start));
    }
    fuzz_calls_make(&threads[0]);
}

/* --- Beside them -------------------------------------------------------------------------------------------------------- */

struct bystander {
    struct protocol protocol;
    uint32_t stop, rounds;
};

static void stand_by(void *argument)
{
    struct bystander *bystander = argument;
    char bytes[64];
    handle_t file = open_uri(&bystander->protocol, "test://x", OPEN_READ), ends[2];

    MUST(sys_stream_pair(0, ends));
    while (!word_get(&bystander->stop)) {
        struct abi_command echo = command_of(TEST_ECHO);
        uint32_t round = word_get(&bystander->rounds);

        echo.args[0] = round;
        MUST(sys_file_call(file, &echo));
        CHECK_EQUAL(echo.values[0], round);
        CHECK_EQUAL(read_at(file, round, bytes, sizeof(bytes)), sizeof(bytes));
        for (size_t i = 0; i < sizeof(bytes); i++)
            CHECK_EQUAL(bytes[i], 'a' + (round + i) % 26);

        uint32_t back = 0;

        CHECK_EQUAL(MUST(sys_stream_send(ends[0], &round, sizeof(round), 0, after(PATIENCE), NULL)),
                    sizeof(round));
        CHECK_EQUAL(
            MUST(sys_stream_receive(ends[1], &back, sizeof(back), 0, after(PATIENCE), NULL)),
            sizeof(back));
        CHECK_EQUAL(back, round);
        word_add(&bystander->rounds, 1);
        sleep_for(MILLISECOND);
    }
}

/* --- The test ---------------------------------------------------------------------------------------------------------- */

/* Services a stray call must not reach: it may kill processes there, or take the terminal away. */
static const char *const hidden[] = {
    "proc", "tty", "log", "time", "pci", "disk", "usb", "kbd", "mouse", "input", "fb", "fs",
};

struct fuzzing {
    uint64_t seed, calls, next; /* next: process, counted from the seed */
    struct protocol protocol;   /* the fuzzers may open and serve it; so does a service of ours */
    handle_t names, model;
    struct helper *server, *witness, *witness_server;
    struct bystander *bystander;
    struct {
        handle_t process;
        uint64_t calls;
        uint32_t still;
    } slots[PROCESSES];
};

static void give(handle_t *handles, uint32_t *count, int64_t handle)
{
    handles[(*count)++] = (handle_t)MUST(handle);
}

/* What a process cannot make for itself, and what makes them meet: handles to the same objects. */
static uint32_t gifts(const struct fuzzing *fuzzing, handle_t *handles)
{
    handle_t resource = startup_handle("resource"), ends[2];
    uint32_t count = 0;

    give(handles, &count, /* as services have theirs: nobody closes it */
         sys_handle_duplicate(fuzzing->protocol.port, RIGHT_ALL & ~RIGHT_CONTROL));
    give(handles, &count, sys_handle_duplicate(fuzzing->names, RIGHT_ALL));
    give(handles, &count, sys_memory_create(8 * PAGE_SIZE, 0));
    give(handles, &count, sys_proto_create(HANDLE_SELF, NULL, 0));
    give(handles, &count, sys_timer_create());
    MUST(sys_stream_pair(0, ends));
    handles[count++] = ends[0];
    handles[count++] = ends[1];
    if (resource != HANDLE_NONE) { /* of the first process only */
        give(handles, &count, sys_resource_create(resource, RESOURCE_IOPORT, 0x80, 1));
        give(handles, &count, sys_resource_create(resource, RESOURCE_IRQ, 23, 1));
        give(handles, &count, sys_resource_create(resource, RESOURCE_CLOCK, 0, 1));
        give(handles, &count,
             sys_resource_create(resource, RESOURCE_MEMORY, 0xb8000, 8 * PAGE_SIZE));
        give(handles, &count, sys_memory_physical(resource, 0, 4 * PAGE_SIZE, MEMORY_CONTIGUOUS));
        int64_t irq = sys_irq_bind(resource, 22, IRQ_LEVEL, NULL);
        if (irq > 0) /* after a leak it is in use: the counters say more about that */
            give(handles, &count, irq);
    }
    return count;
}

extern const Elf64_Ehdr __ehdr_start; /* the linker's: where this program's ELF header is */

/* What lies there now is there in the process as well; what it writes is its own. */
static void segment_copy(handle_t process, uint64_t start, uint64_t end, uint32_t flags)
{
    handle_t memory = (handle_t)MUST(sys_memory_create(end - start, 0));
    void *view = memory_map(memory, end - start, PROT_READ_ | PROT_WRITE_, MAP_SHARED_);
    struct abi_map map = {
        .address = start,
        .length = end - start,
        .memory = memory,
        .protection = (flags & PF_R ? PROT_READ_ : 0) | (flags & PF_W ? PROT_WRITE_ : 0) |
                      (flags & PF_X ? PROT_EXECUTE_ : 0),
        .flags = MAP_FIXED_ | MAP_NOREPLACE_,
    };

    memcpy(view, (void *)start, end - start);
    pages_unmap(view, (end - start) / PAGE_SIZE);
    MUST(sys_space_map(process, &map));
    handle_drop(memory);
}

/* This program in a space of the process's own, which its account pays for; a fork of this process would be in a copy of
 * ours, on this one's account. */
static void program_copy(handle_t process)
{
    const Elf64_Phdr *header = (const void *)((uintptr_t)&__ehdr_start + __ehdr_start.e_phoff);

    for (int i = 0; i < __ehdr_start.e_phnum; i++, header++)
        if (header->p_type == PT_LOAD)
            segment_copy(process, ALIGN_DOWN(header->p_vaddr, (uint64_t)PAGE_SIZE),
                         ALIGN_UP(header->p_vaddr + header->p_memsz, (uint64_t)PAGE_SIZE),
                         header->p_flags);
}

static void arena_make(void)
{
    arena_memory = (handle_t)MUST(sys_memory_create(ARENA_SIZE, 0));
    arena = memory_map(arena_memory, ARENA_SIZE, PROT_READ_ | PROT_WRITE_, MAP_SHARED_);
}

static void arena_share(handle_t process)
{
    struct abi_map map = {
        .address = (uintptr_t)arena,
        .length = ARENA_SIZE,
        .memory = arena_memory,
        .protection = PROT_READ_ | PROT_WRITE_,
        .flags = MAP_SHARED_ | MAP_FIXED_ | MAP_NOREPLACE_,
    };

    MUST(sys_space_map(process, &map));
}

static void model_make(struct fuzzing *fuzzing)
{
    handle_t handles[16];
    struct abi_exec exec = {
        .entry = 0x1000,
        .handles = (uintptr_t)handles,
        .handle_values = (uintptr_t)arena->given,
        .flags = EXEC_SUSPENDED,
    };

    struct abi_system_info info;
    uint64_t limits[] = {[QUOTA_MEMORY] = 0};
    struct abi_process_create create = {
        .space_of = HANDLE_NONE,
        .limits = (uintptr_t)limits,
        .limit_count = ARRAY_SIZE(limits),
        .name = (uintptr_t) "fuzzer",
        .name_length = 6,
        /* Or they would not let this one run, or leave it no memory. */
        .flags = PROCESS_PRIORITY_LIMIT | PROCESS_ORDINARY,
    };

    MUST(sys_system_info(&info, sizeof(info)));
    limits[QUOTA_MEMORY] = info.frames_total * PAGE_SIZE / 4;
    fuzzing->model = (handle_t)MUST(sys_process_create(fuzzing->names, &create));
    program_copy(fuzzing->model);
    arena_share(fuzzing->model);
    exec.handle_count = arena->given_count = gifts(fuzzing, handles);
    handle_drop((handle_t)MUST(sys_process_exec(fuzzing->model, &exec)));
}

static void fuzzing_begin(struct fuzzing *fuzzing)
{
    struct bystander *bystander = shared(sizeof(*bystander));

    arena_make();
    fuzzing->names = (handle_t)MUST(sys_namespace_create(HANDLE_SELF, 0));
    for (size_t i = 0; i < ARRAY_SIZE(hidden); i++)
        sys_ignore(sys_namespace_bind(fuzzing->names, hidden[i], strlen(hidden[i]), HANDLE_NONE));
    fuzzing->protocol.port = (handle_t)MUST(sys_proto_create(fuzzing->names, "test", 4));
    fuzzing->server = helper_process(serve_protocol, &fuzzing->protocol);
    model_make(fuzzing);
    bystander->protocol = protocol_new();
    fuzzing->bystander = bystander;
    fuzzing->witness_server = helper_process(serve_protocol, &bystander->protocol);
    fuzzing->witness = helper_process(stand_by, bystander);
}

static void fuzzing_end(struct fuzzing *fuzzing)
{
    word_set(&fuzzing->bystander->stop, 1);
    helper_join(fuzzing->witness);
    CHECK(word_get(&fuzzing->bystander->rounds) > 0);
    helper_kill(fuzzing->witness_server);
    protocol_end(&fuzzing->bystander->protocol);
    unshare(fuzzing->bystander);
    helper_kill(fuzzing->server); /* it may have been stopped by anybody */
    MUST(sys_process_kill(fuzzing->model, 0));
    signal_wait(fuzzing->model, SIGNAL_EXITED);
    MUST(sys_handle_close(fuzzing->model));
    MUST(sys_handle_close(fuzzing->protocol.port));
    MUST(sys_handle_close(fuzzing->names));
    pages_unmap(arena, ARENA_SIZE / PAGE_SIZE);
    handle_drop(arena_memory);
}

/* HANDLE_NONE: the others have all memory just now, the machine's or their account's. */
static handle_t fuzzer_start(struct fuzzing *fuzzing, int slot)
{
    struct abi_fork fork = {
        .entry = (uintptr_t)fuzz_process,
        .stack = (uintptr_t)stacks[0] + STACK - 8,
        .argument = fuzzing->seed * 1000000 + fuzzing->next++,
        .argument2 = (uintptr_t)&arena->slots[slot],
        .fs_base = own_fs_base(),
    };
    int64_t process = sys_process_fork(fuzzing->model, &fork);

    if (process == -E_NO_MEMORY)
        return HANDLE_NONE;
    MUST(process);
    MUST(sys_thread_control(fork.thread, THREAD_RESUME, 0, NULL));
    MUST(sys_handle_close(fork.thread));
    return (handle_t)process;
}

static void fuzzer_stop(handle_t process)
{
    if (process == HANDLE_NONE)
        return;
    MUST(sys_process_kill(process, 0));
    signal_wait(process, SIGNAL_EXITED);
    MUST(sys_handle_close(process));
}

static void check_answer(const struct fuzzing *fuzzing, const struct slot *slot)
{
    const uint64_t *a = slot->record.arguments;
    const char *name = fuzz_calls[slot->record.number].name;

    if (__atomic_load_n(&slot->bad, __ATOMIC_SEQ_CST))
        FAIL("seed %" PRIu64 ": %s(%" PRIx64 ", %" PRIx64 ", %" PRIx64 ", %" PRIx64 ", %" PRIx64
             ", %" PRIx64 ") is %" PRId64,
             fuzzing->seed, name ? name : "no call", a[0], a[1], a[2], a[3], a[4], a[5],
             slot->record.result);
}

/* One look at one of them: a new one in place of one that ended, help for one that stands still. */
static void fuzzer_look(struct fuzzing *fuzzing, int slot)
{
    handle_t process = fuzzing->slots[slot].process;
    uint64_t calls = __atomic_load_n(&arena->slots[slot].calls, __ATOMIC_RELAXED);

    check_answer(fuzzing, &arena->slots[slot]);
    if (process != HANDLE_NONE && signals_now(process, SIGNAL_EXITED)) {
        MUST(sys_handle_close(process));
        process = HANDLE_NONE;
    }
    if (process == HANDLE_NONE) {
        fuzzing->slots[slot].process = fuzzer_start(fuzzing, slot);
        fuzzing->slots[slot].still = 0;
        return;
    }
    if (calls != fuzzing->slots[slot].calls)
        fuzzing->slots[slot].still = 0;
    else if (++fuzzing->slots[slot].still > STEPS_STILL)
        MUST(sys_process_kill(process, 0));
    fuzzing->slots[slot].calls = calls;
    sys_ignore(sys_process_control(process, PROCESS_INTERRUPT, 0));
    if (fuzzing->slots[slot].still > STEPS_HELP)
        sys_ignore(sys_process_control(process, PROCESS_RESUME, 0));
}

static void fuzz(uint64_t seed, uint64_t calls)
{
    struct fuzzing fuzzing = {.seed = seed, .calls = calls};
    uint64_t total = 0, last = 0;
    uint32_t still = 0;

    fuzzing_begin(&fuzzing);
    for (int i = 0; i < PROCESSES; i++)
        fuzzing.slots[i].process = HANDLE_NONE;
    while (total < calls) {
        total = 0;
        for (int i = 0; i < PROCESSES; i++) {
            fuzzer_look(&fuzzing, i);
            total += fuzzing.slots[i].calls;
        }
        if (total / REPORT != last / REPORT)
            printf("%" PRIu64 " calls of seed %" PRIu64 "\n", total, seed);
        still = total == last ? still + 1 : 0;
        last = total;
        if (still > STEPS_NO_END)
            FAIL("seed %" PRIu64 ": no call in %d steps after %" PRIu64, seed, STEPS_NO_END, total);
        sleep_for(STEP);
    }
    for (int i = 0; i < PROCESSES; i++)
        fuzzer_stop(fuzzing.slots[i].process);
    fuzzing_end(&fuzzing);
}

TEST(walk)
{
    fuzz(1000, WALK);
}

#define SEED(seed)                 \
    TEST(seed_##seed)              \
    {                              \
        fuzz(seed, CALLS / SEEDS); \
    }
SEED(1)
SEED(2)
SEED(3)
SEED(4)

/* As many of a seed as are asked for; without a number there is nothing left to do. */
TEST(random_calls)
{
    if (test_argument_count == 2)
        fuzz(strtoull(test_arguments[0], NULL, 0), strtoull(test_arguments[1], NULL, 0));
}
