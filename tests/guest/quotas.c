/* Quotas: each is used up to exactly its limit, by a process with an account of its own (limited.h); what was used comes back, and
 * others do not notice. Memory is tested with a process that it makes. Trees of accounts are accounts.c's.
 */
#include "tests/guest/limited.h"

/* --- Reading them ---------------------------------------------------------------------------------------------------- */

TEST(reading)
{
    struct abi_quota quotas[QUOTA_COUNT], first = {1, 1};
    handle_t weak, process;
    struct abi_process_create create = {.space_of = HANDLE_NONE};

    CHECK_EQUAL(MUST(sys_process_quotas(HANDLE_SELF, quotas, QUOTA_COUNT)), QUOTA_COUNT);
    CHECK_EQUAL(MUST(sys_process_quotas(HANDLE_SELF, quotas, UINT64_MAX)), QUOTA_COUNT);
    CHECK_EQUAL(MUST(sys_process_quotas(HANDLE_SELF, NULL, 0)), QUOTA_COUNT);
    MUST(sys_process_quotas(HANDLE_SELF, &first, 1));
    CHECK_EQUAL(first.limit, quotas[0].limit);
    CHECK_ERROR(sys_process_quotas(HANDLE_SELF, NULL, 1), FAULT);

    process = (handle_t)MUST(sys_process_create(HANDLE_SELF, &create));
    weak = duplicate(process, RIGHT_CONTROL);
    CHECK_ERROR(sys_process_quotas(weak, quotas, QUOTA_COUNT), ACCESS);
    handle_drop(weak);
    handle_drop(process);
}

TEST(making_accounts)
{
    uint64_t limits[QUOTA_COUNT] = {
        [QUOTA_MEMORY] = 0x100000, [QUOTA_HANDLES] = 7, [QUOTA_PROCESSES] = 2};
    struct abi_process_create create = {
        .space_of = HANDLE_NONE, .limits = (uintptr_t)limits, .limit_count = 3};
    handle_t process = (handle_t)MUST(sys_process_create(HANDLE_SELF, &create));

    CHECK_EQUAL(quota_of(process, QUOTA_MEMORY).limit, 0x100000);
    CHECK(quota_of(process, QUOTA_MEMORY).used > 0);
    CHECK_EQUAL(quota_of(process, QUOTA_HANDLES).limit, 7);
    CHECK_EQUAL(quota_of(process, QUOTA_PROCESSES).used, 1);
    CHECK_EQUAL(quota_of(process, QUOTA_THREADS).limit, quota_of(HANDLE_SELF, QUOTA_THREADS).limit);
    handle_drop(process);

    create.limit_count = QUOTA_COUNT + 1;
    CHECK_ERROR(sys_process_create(HANDLE_SELF, &create), INVALID);
    create.limit_count = 3;
    create.limits = 8;
    CHECK_ERROR(sys_process_create(HANDLE_SELF, &create), FAULT);
    create.limits = (uintptr_t)limits;
    limits[QUOTA_PROCESSES] = 0;
    CHECK_ERROR(sys_process_create(HANDLE_SELF, &create), QUOTA);
    limits[QUOTA_PROCESSES] = 1;
    limits[QUOTA_MEMORY] = 0;
    CHECK_ERROR(sys_process_create(HANDLE_SELF, &create), NO_MEMORY);
}

/* --- Handles --------------------------------------------------------------------------------------------------------- */

#define HANDLES 50u

static void handles_run_out(void *argument)
{
    handle_t handles[HANDLES], ends[2];

    (void)argument;
    for (uint32_t i = 0; i < HANDLES; i++)
        handles[i] = (handle_t)MUST(sys_timer_create());
    CHECK_EQUAL(used(QUOTA_HANDLES), HANDLES);
    CHECK_ERROR(sys_timer_create(), QUOTA);
    CHECK_ERROR(sys_handle_duplicate(handles[0], RIGHT_ALL), QUOTA);
    handle_drop(handles[0]);
    CHECK_ERROR(sys_stream_pair(0, ends), QUOTA);
    handles[0] = (handle_t)MUST(sys_timer_create());
    CHECK_ERROR(sys_timer_create(), QUOTA);
    for (uint32_t i = 0; i < HANDLES; i++)
        handle_drop(handles[i]);
    CHECK(used(QUOTA_HANDLES) < HANDLES);
}

TEST(handles)
{
    run_limited(QUOTA_HANDLES, HANDLES, handles_run_out, NULL);
}

/* --- Threads and processes ------------------------------------------------------------------------------------------- */

static void threads_run_out(void *argument)
{
    handle_t process = empty_process(), first = (handle_t)MUST(sleeper_create(process));
    handle_t second = (handle_t)MUST(sleeper_create(process));
    struct abi_fork fork = {.entry = 0x1000};

    (void)argument;
    CHECK_EQUAL(used(QUOTA_THREADS), 3);
    CHECK_ERROR(sleeper_create(process), QUOTA);
    CHECK_ERROR(sleeper_create(HANDLE_SELF), QUOTA);
    CHECK_ERROR(sys_process_fork(process, &fork), QUOTA);
    MUST(sys_process_kill(process, 0));
    signal_wait(process, SIGNAL_EXITED);
    SOON(used(QUOTA_THREADS) == 1); /* an ended one is none, whoever still names it */
    handle_drop(first);
    handle_drop(second);
    handle_drop(process);
}

TEST(threads)
{
    run_limited(QUOTA_THREADS, 3, threads_run_out, NULL);
}

static void processes_run_out(void *argument)
{
    handle_t first = empty_process(), second = empty_process();
    struct abi_fork fork = {.entry = 0x1000};

    (void)argument;
    CHECK(first > 0 && second > 0);
    CHECK_EQUAL(used(QUOTA_PROCESSES), 3);
    CHECK_ERROR(empty_process(), QUOTA);
    CHECK_ERROR(sys_process_fork(HANDLE_SELF, &fork), QUOTA);
    MUST(sys_process_kill(first, 0));
    CHECK_ERROR(empty_process(), QUOTA); /* it is still there to be asked */
    handle_drop(first);
    first = empty_process();
    CHECK(first > 0);
    handle_drop(first);
    handle_drop(second);
}

TEST(processes)
{
    run_limited(QUOTA_PROCESSES, 3, processes_run_out, NULL);
}

/* Each child forks on, and none gets more for it. */
/* --- Ports, bindings, kept handles ----------------------------------------------------------------------------------- */

static void ports_run_out(void *argument)
{
    handle_t first = (handle_t)MUST(port_create()), second = (handle_t)MUST(port_create());

    (void)argument;
    CHECK_EQUAL(used(QUOTA_PORTS), 2);
    CHECK_ERROR(port_create(), QUOTA);
    handle_drop(first);
    first = (handle_t)MUST(port_create());
    CHECK_ERROR(port_create(), QUOTA);
    handle_drop(first);
    handle_drop(second);
    CHECK_EQUAL(used(QUOTA_PORTS), 0);
}

TEST(ports)
{
    run_limited(QUOTA_PORTS, 2, ports_run_out, NULL);
}

static void bindings_run_out(void *argument)
{
    handle_t port = (handle_t)MUST(port_create()), timer = (handle_t)MUST(sys_timer_create());

    (void)argument;
    for (uint64_t key = 1; key <= 5; key++)
        MUST(sys_port_bind(port, timer, SIGNAL_READABLE, key, BIND_ONCE));
    CHECK_EQUAL(used(QUOTA_BINDINGS), 5);
    CHECK_ERROR(sys_port_bind(port, timer, SIGNAL_READABLE, 6, 0), QUOTA);
    MUST(sys_port_bind(port, timer, 0, 0, 0)); /* one goes */
    MUST(sys_port_bind(port, timer, SIGNAL_READABLE, 6, 0));
    CHECK_ERROR(sys_port_bind(port, timer, SIGNAL_READABLE, 7, 0), QUOTA);
    MUST(sys_timer_set(timer, 1, 0));
    for (int i = 0; i < 5; i++)
        accept_kind(port, MESSAGE_NOTIFY);
    CHECK_EQUAL(used(QUOTA_BINDINGS), 1); /* those that were for once are gone */
    handle_drop(port);
    handle_drop(timer);
    CHECK_EQUAL(used(QUOTA_BINDINGS), 0);
}

TEST(bindings)
{
    run_limited(QUOTA_BINDINGS, 5, bindings_run_out, NULL);
}

static void kept_run_out(void *argument)
{
    handle_t port = (handle_t)MUST(port_create()), timer = (handle_t)MUST(sys_timer_create());

    (void)argument;
    for (uint64_t key = 1; key <= 4; key++)
        MUST(sys_port_keep(port, key, timer));
    CHECK_EQUAL(used(QUOTA_KEPT), 4);
    CHECK_ERROR(sys_port_keep(port, 5, timer), QUOTA);
    CHECK_ERROR(sys_memory_paged(port, PAGE_SIZE, 6, 0), QUOTA);
    MUST(sys_port_keep(port, 1, HANDLE_NONE));
    MUST(sys_port_keep(port, 5, timer));
    CHECK_ERROR(sys_port_keep(port, 1, timer), QUOTA);
    handle_drop(timer);
    handle_drop(port);
    CHECK_EQUAL(used(QUOTA_KEPT), 0);
}

TEST(kept_handles)
{
    run_limited(QUOTA_KEPT, 4, kept_run_out, NULL);
}

/* --- Commands -------------------------------------------------------------------------------------------------------- */

#define WAITING 3u

struct callers {
    uint32_t answered, refused, sent;
    uint32_t go_on;
    struct {
        _Alignas(16) uint8_t stacks[WAITING][0x4000];
    } threads;
};

static int64_t echo(handle_t names)
{
    struct abi_command command = command_of(TEST_ECHO);

    return path_op(names, "test://name", &command);
}

static void caller(struct callers *callers)
{
    word_add(&callers->sent, 1);
    if (echo(HANDLE_SELF) == 0)
        word_add(&callers->answered, 1);
    for (;;)
        sys_ignore(sys_thread_exit(0));
}

/* Nobody serves: what is sent waits. */
static void commands_run_out(void *argument)
{
    struct callers *callers = argument;

    for (uint32_t i = 0; i < WAITING; i++) {
        struct abi_thread thread = {
            .entry = (uintptr_t)caller,
            .stack = (uintptr_t)callers->threads.stacks[i + 1] - 8,
            .argument = (uintptr_t)callers,
            .fs_base = own_fs_base(),
        };

        handle_drop((handle_t)MUST(sys_thread_create(HANDLE_SELF, &thread)));
    }
    SOON(used(QUOTA_COMMANDS) == WAITING);
    CHECK_ERROR(echo(HANDLE_SELF), QUOTA);
    CHECK_EQUAL(used(QUOTA_COMMANDS), WAITING);
    word_set(&callers->refused, 1);
    word_wait(&callers->answered, WAITING);
    CHECK_EQUAL(used(QUOTA_COMMANDS), 0);
    MUST(echo(HANDLE_SELF));
}

TEST(commands)
{
    struct callers *callers = shared(sizeof(*callers));
    struct protocol protocol = protocol_new();
    struct limited limited = limited_by(QUOTA_COMMANDS, WAITING);

    limited.names = protocol.names;
    limited_start(&limited, commands_run_out, callers);
    word_wait(&callers->refused, 1);

    struct helper *server = helper_process(serve_protocol, &protocol);

    MUST(echo(protocol.names)); /* who has not used up his own waits his turn and is served */
    limited_join(&limited);
    protocol_stop(&protocol);
    helper_join(server);
    protocol_end(&protocol);
    unshare(callers);
}

/* --- Memory ---------------------------------------------------------------------------------------------------------- */

#define MEMORY 0x200000u
#define NEAR   0x10000u /* what batches, page tables and trees may leave of it */

static uint64_t left(void)
{
    struct abi_quota quota = quota_of(HANDLE_SELF, QUOTA_MEMORY);

    CHECK(quota.used <= quota.limit);
    return quota.limit - quota.used;
}

static void objects_run_out(void *argument)
{
    handle_t memory = (handle_t)MUST(sys_memory_create(4 * MEMORY, 0));
    uint64_t before = left(), pages = 0;
    int64_t result;

    (void)argument;
    while ((result = sys_memory_op(memory, MEMORY_OP_COMMIT, pages * PAGE_SIZE, PAGE_SIZE, NULL)) ==
           0)
        pages++;
    CHECK_EQUAL(result, -E_NO_MEMORY);
    CHECK(left() < NEAR);
    CHECK(pages * PAGE_SIZE > before - NEAR && pages * PAGE_SIZE <= before);
    CHECK_ERROR(sys_memory_clone(memory, 0, 64 * PAGE_SIZE, 0), NO_MEMORY);
    CHECK_ERROR(empty_process(), NO_MEMORY);
    MUST(sys_memory_op(memory, MEMORY_OP_DECOMMIT, 0, 4 * MEMORY, NULL));
    CHECK(left() > before - 2 * NEAR - NEAR);

    handle_t clone = (handle_t)MUST(sys_memory_clone(memory, 0, 4 * MEMORY, 0));

    handle_drop(clone);
    handle_drop(memory);
    CHECK(left() >= before);
}

TEST(memory_objects)
{
    run_limited(QUOTA_MEMORY, MEMORY, objects_run_out, NULL);
}

/* A mapping in another process's space, all pages fetched as far as that is possible. */
static int64_t map_in(handle_t process, uint64_t address, uint64_t length, uint32_t flags)
{
    struct abi_map map = {
        .address = address,
        .length = length,
        .memory = HANDLE_NONE,
        .protection = PROT_READ_ | PROT_WRITE_,
        .flags = flags,
    };

    return sys_space_map(process, &map);
}

static void pages_run_out(void *argument)
{
    uint64_t before = left();
    handle_t process = empty_process();

    (void)argument;
    CHECK_ERROR(map_in(process, 0, MEMORY + PAGE_SIZE, 0), NO_MEMORY); /* it could never be had */
    for (int i = 0; i < 4; i++)
        MUST(map_in(process, 0, MEMORY, MAP_POPULATE_));
    CHECK_EQUAL(process_info(process).mapped, 4 * MEMORY);

    uint64_t pages = process_info(process).pages;

    CHECK(left() < NEAR);
    CHECK(pages * PAGE_SIZE > before - 2 * NEAR && pages * PAGE_SIZE <= before);
    handle_drop(process);
    CHECK(left() >= before);
}

TEST(private_pages)
{
    run_limited(QUOTA_MEMORY, MEMORY, pages_run_out, NULL);
}

/* One page each, far apart: most of it is page tables. */
static void tables_run_out(void *argument)
{
    uint64_t before = left(), at = 0x10000000;
    handle_t process = empty_process();
    struct abi_process_info info;

    (void)argument;
    do {
        at += UINT64_C(1) << 30;
        MUST(map_in(process, at, PAGE_SIZE, MAP_FIXED_ | MAP_POPULATE_));
        info = process_info(process);
    } while (info.pages == (at - 0x10000000) >> 30);
    CHECK(info.pages * 3 * PAGE_SIZE > before - 2 * NEAR && info.pages * 3 * PAGE_SIZE <= before);
    MUST(sys_space_unmap(process, 0x10000000, at));
    CHECK(left() > before - 4 * NEAR);
    handle_drop(process);
    CHECK(left() >= before);
}

TEST(page_tables)
{
    run_limited(QUOTA_MEMORY, MEMORY, tables_run_out, NULL);
}

static void regions_run_out(void *argument)
{
    uint64_t before = left(), count = 0;
    handle_t process = empty_process();
    int64_t result;

    (void)argument;
    while ((result = map_in(process, 0x10000000 + 2 * count * PAGE_SIZE, PAGE_SIZE, MAP_FIXED_)) >
           0)
        count++;
    CHECK_EQUAL(result, -E_NO_MEMORY);
    CHECK(left() < NEAR);
    CHECK(count > 1000 && count < MEMORY / 64);
    MUST(sys_space_unmap(process, 0x10000000, 2 * count * PAGE_SIZE));
    CHECK(left() > before - 4 * NEAR);
    handle_drop(process);
    CHECK(left() >= before);
}

TEST(regions)
{
    run_limited(QUOTA_MEMORY, MEMORY, regions_run_out, NULL);
}

/* What has no limit of its own is limited by the memory it takes. */
static void small_objects_run_out(void *argument)
{
    uint64_t before = left(), count = 0;
    handle_t names = (handle_t)MUST(sys_namespace_create(HANDLE_SELF, NAMESPACE_EMPTY));
    handle_t port = (handle_t)MUST(port_create());
    char name[16];
    int64_t result;

    (void)argument;
    do {
        for (uint64_t i = 0, rest = count++; i < 8; i++, rest /= 26)
            name[i] = (char)('a' + rest % 26);
        result = sys_namespace_bind(names, name, 8, port);
    } while (result == 0 && count < 3000); /* they are looked up one by one */
    CHECK(result == 0 || result == -E_NO_MEMORY);
    CHECK(before - left() >= count * 40);
    handle_drop(names);

    handle_t ends[2], first[2];

    MUST(sys_stream_pair(0, first));
    MUST(sys_stream_send(first[0], (void *)(uintptr_t)small_objects_run_out, 1000, 0, DEADLINE_NOW,
                         NULL));
    for (count = 0; (result = sys_stream_pair(0, ends)) == 0;) {
        sys_ignore(sys_stream_send(ends[0], name, sizeof(name), 0, DEADLINE_NOW, NULL));
        count++;
    }
    CHECK_EQUAL(result, -E_NO_MEMORY);
    CHECK(left() < 2 * NEAR);
    CHECK(count > 100 && count < MEMORY / PAGE_SIZE);
    CHECK_ERROR(sys_stream_pair(0, ends), NO_MEMORY);
}

TEST(small_objects)
{
    run_limited(QUOTA_MEMORY, MEMORY, small_objects_run_out, NULL);
}

/* A copy costs what it does not share, and both sides pay together. */
static void forks_share(void *argument)
{
    handle_t process = empty_process();
    handle_t thread = (handle_t)MUST(sleeper_create(process));
    uint64_t pages = MEMORY / PAGE_SIZE * 3 / 4;
    struct abi_fork fork = {.entry = 0x1000};

    (void)argument;
    MUST(map_in(process, 0, pages * PAGE_SIZE, MAP_POPULATE_));
    CHECK_EQUAL(process_info(process).pages, pages);

    uint64_t before = left();
    handle_t child = (handle_t)MUST(sys_process_fork(process, &fork));

    CHECK_EQUAL(process_info(child).pages, pages);
    CHECK(left() > before - 3 * NEAR);
    MUST(sys_process_kill(process, 0));
    signal_wait(process, SIGNAL_EXITED);
    handle_drop(process); /* the child's now, all of them */
    handle_drop(thread);
    CHECK(left() < MEMORY - pages * PAGE_SIZE);
    handle_drop(fork.thread);
    handle_drop(child);
    SOON(left() > MEMORY - 3 * NEAR);
}

TEST(forks)
{
    run_limited(QUOTA_MEMORY, MEMORY, forks_share, NULL);
}

/* --- Everything comes back ------------------------------------------------------------------------------------------- */

static void use_a_bit_of_everything(void *argument)
{
    handle_t port = (handle_t)MUST(port_create()), timer = (handle_t)MUST(sys_timer_create());
    handle_t memory = (handle_t)MUST(sys_memory_create(MEMORY, 0)), ends[2],
             process = empty_process();

    (void)argument;
    MUST(sys_port_bind(port, timer, SIGNAL_READABLE, 1, 0));
    MUST(sys_port_keep(port, 1, memory));
    MUST(sys_memory_op(memory, MEMORY_OP_COMMIT, 0, MEMORY, NULL));
    MUST(sys_stream_pair(0, ends));
    MUST(map_in(process, 0, MEMORY, MAP_POPULATE_));
    MUST(sleeper_create(process));
    helper_exit(0);
}

TEST(everything_comes_back)
{
    struct abi_quota before[QUOTA_COUNT], after[QUOTA_COUNT];

    run_limited(QUOTA_THREADS, 100, use_a_bit_of_everything, NULL);
    MUST(sys_process_quotas(HANDLE_SELF, before, QUOTA_COUNT));
    for (int i = 0; i < 10; i++)
        run_limited(QUOTA_THREADS, 100, use_a_bit_of_everything, NULL);
    MUST(sys_process_quotas(HANDLE_SELF, after, QUOTA_COUNT));
    for (int i = 0; i < QUOTA_COUNT; i++)
        if (i == QUOTA_MEMORY) /* purses may be fuller */
            CHECK(after[i].used < before[i].used + 0x40000);
        else
            CHECK(after[i].used <= before[i].used + 16);
}
