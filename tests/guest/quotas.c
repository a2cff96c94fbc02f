/* Quotas: each is used up to exactly its limit, by a process with an account of its own; what was used comes back, and
 * others do not notice.
 *
 * A limited process runs this program's code in a copy of this process's space, which another one, that never runs, holds
 * for it: so what it uses itself is its own account's, but not that copy. Memory is tested with a process it makes.
 */
#include "tests/guest/protocol.h"

#define UNLIMITED QUOTA_UNLIMITED

/* --- A process with limits ------------------------------------------------------------------------------------------ */

struct limited {
    uint64_t limits[QUOTA_COUNT];
    handle_t names; /* its namespace; HANDLE_SELF: ours */
    handle_t
        holder_of; /* whose account it is of, without limits of its own; HANDLE_SELF: a new one's */
    struct helper *holder, *helper;
};

static void limits_none(uint64_t *limits)
{
    for (int i = 0; i < QUOTA_COUNT; i++)
        limits[i] = UNLIMITED;
}

static struct limited limited_by(enum quota quota, uint64_t limit)
{
    struct limited limited = {.names = HANDLE_SELF};

    limits_none(limited.limits);
    limited.limits[quota] = limit;
    return limited;
}

static void never(void *argument)
{
    (void)argument;
    CHECK(false);
}

/* run(argument) in a process of a new account. It has no handles; what argument points at is shared. */
static void limited_start(struct limited *limited, void (*run)(void *), void *argument)
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

static void space_drop(handle_t space)
{
    MUST(sys_process_kill(space, 0));
    signal_wait(space, SIGNAL_EXITED);
    handle_drop(space);
}

/* Its end; nothing of it is left then. */
static void limited_join(struct limited *limited)
{
    handle_t space = (handle_t)limited->helper->id;

    helper_join(limited->helper);
    space_drop(space);
}

static void run_limited(enum quota quota, uint64_t limit, void (*run)(void *), void *argument)
{
    struct limited limited = limited_by(quota, limit);

    limited_start(&limited, run, argument);
    limited_join(&limited);
}

static struct abi_quota quota_of(handle_t process, enum quota quota)
{
    struct abi_quota quotas[QUOTA_COUNT];

    CHECK_EQUAL(MUST(sys_process_quotas(process, quotas, QUOTA_COUNT)), QUOTA_COUNT);
    return quotas[quota];
}

static uint64_t used(enum quota quota)
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

static handle_t empty_process(void)
{
    struct abi_process_create create = {.space_of = HANDLE_NONE};

    return (handle_t)sys_process_create(HANDLE_SELF, &create);
}

static int64_t sleeper_create(handle_t process)
{
    struct abi_thread thread = {.entry = 0x1000, .flags = THREAD_CREATE_SUSPENDED};

    return sys_thread_create(process, &thread);
}

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
struct bomb {
    uint32_t born, refused;
    uint32_t alive, most; /* fewer than the account counts: an ended one is there a while longer */
};

static void bomb_born(struct bomb *bomb)
{
    uint32_t alive = __atomic_add_fetch(&bomb->alive, 1, __ATOMIC_SEQ_CST);
    uint32_t most = __atomic_load_n(&bomb->most, __ATOMIC_SEQ_CST);

    while (alive > most && !__atomic_compare_exchange_n(&bomb->most, &most, alive, false,
                                                        __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        ;
}

static void explode(void *argument)
{
    struct bomb *bomb = argument;

    bomb_born(bomb);
    for (int i = 0; i < 3; i++) {
        struct abi_fork fork = {
            .entry = (uintptr_t)explode,
            .stack = (uintptr_t)pages_map(4) + 4 * PAGE_SIZE - 8,
            .argument = (uintptr_t)bomb,
            .fs_base = own_fs_base(),
        };
        int64_t child = sys_process_fork(HANDLE_SELF, &fork);

        if (child == -E_QUOTA)
            word_add(&bomb->refused, 1);
        else
            MUST(sys_thread_control(fork.thread, THREAD_RESUME, 0, NULL));
    }
    word_wait(&bomb->refused, 1);
    sleep_for(MILLISECOND);
    __atomic_fetch_sub(&bomb->alive, 1, __ATOMIC_SEQ_CST);
    helper_exit(0);
}

static void bomb_light(void *argument)
{
    struct bomb *bomb = argument;

    explode(bomb);
}

TEST(a_fork_bomb_is_one_account)
{
    struct bomb *bomb = shared(PAGE_SIZE);
    struct limited limited = limited_by(QUOTA_PROCESSES, 12);

    limited_start(&limited, bomb_light, bomb);
    word_wait(&bomb->refused, 1);
    handle_drop(empty_process()); /* ours is not used up */
    limited_join(&limited);
    CHECK(bomb->most > 1 && bomb->most <= 12);
    unshare(bomb);
}

/* --- Ports, bindings, kept handles ----------------------------------------------------------------------------------- */

static int64_t port_create(void)
{
    return sys_proto_create(HANDLE_SELF, NULL, 0);
}

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

/* --- Accounts in accounts -------------------------------------------------------------------------------------------- */

static int64_t nested_create(const uint64_t *limits)
{
    struct abi_process_create create = {
        .space_of = HANDLE_NONE, .limits = (uintptr_t)limits, .limit_count = QUOTA_COUNT};

    return sys_process_create(HANDLE_SELF, &create);
}

static void nest(void *argument)
{
    uint64_t limits[QUOTA_COUNT];

    (void)argument;
    limits_none(limits);
    limits[QUOTA_THREADS] = 100;

    handle_t inner = (handle_t)MUST(nested_create(limits));

    CHECK_EQUAL(quota_of(inner, QUOTA_THREADS).limit, 3); /* no more than there is around it */
    CHECK_EQUAL(quota_of(inner, QUOTA_THREADS).used, 0);

    handle_t first = (handle_t)MUST(sleeper_create(inner)),
             second = (handle_t)MUST(sleeper_create(inner));

    CHECK_EQUAL(quota_of(inner, QUOTA_THREADS).used, 2);
    CHECK_EQUAL(used(QUOTA_THREADS), 3);
    CHECK_ERROR(sleeper_create(inner), QUOTA);
    handle_drop(inner);
    handle_drop(first);
    handle_drop(second);
    SOON(used(QUOTA_THREADS) == 1);
}

TEST(accounts_in_accounts)
{
    run_limited(QUOTA_THREADS, 3, nest, NULL);
}

struct depth {
    uint32_t reached;
};

static void go_down(void *argument)
{
    struct depth *depth = argument;
    uint64_t limits[QUOTA_COUNT];

    limits_none(limits);

    int64_t result = nested_create(limits);

    if (result > 0)
        handle_drop((handle_t)result);
    else
        CHECK_ERROR(result, QUOTA);
    depth->reached += result > 0;
}

/* Not for ever: what is taken is looked for in each. */
TEST(depth)
{
    struct depth *depth = shared(PAGE_SIZE);
    uint64_t limits[QUOTA_COUNT];

    limits_none(limits);
    run_limited(QUOTA_THREADS, 10, go_down, depth);
    CHECK_EQUAL(depth->reached, 1);
    unshare(depth);
}

/* --- Accounts that end ----------------------------------------------------------------------------------------------- */

#define BOMB 12u

static handle_t account_hold(void)
{
    uint64_t limits[QUOTA_COUNT];
    struct abi_process_create create = {.space_of = HANDLE_NONE,
                                        .flags = PROCESS_HOLDS_ACCOUNT,
                                        .limits = (uintptr_t)limits,
                                        .limit_count = QUOTA_COUNT};

    limits_none(limits);
    limits[QUOTA_PROCESSES] = BOMB;
    return (handle_t)MUST(sys_process_create(HANDLE_SELF, &create));
}

static int64_t create_within(handle_t account_of, const uint64_t *limits)
{
    struct abi_process_create create = {.space_of = HANDLE_NONE,
                                        .limits = (uintptr_t)limits,
                                        .limit_count = limits ? QUOTA_COUNT : 0,
                                        .account_of = account_of};

    return sys_process_create(HANDLE_SELF, &create);
}

/* Never ends, and comes back wherever one of it was killed. */
static void for_ever(void *argument)
{
    struct bomb *bomb = argument;
    void *stack = pages_map(4);

    for (;;) {
        struct abi_fork fork = {
            .entry = (uintptr_t)for_ever,
            .stack = (uintptr_t)stack + 4 * PAGE_SIZE - 8,
            .argument = (uintptr_t)bomb,
            .fs_base = own_fs_base(),
        };
        int64_t child = sys_process_fork(HANDLE_SELF, &fork);

        if (child < 0) {
            word_add(&bomb->refused, 1);
            sleep_for(MILLISECOND);
            continue;
        }
        word_add(&bomb->born, 1);
        sys_ignore(sys_thread_control(fork.thread, THREAD_RESUME, 0, NULL));
        handle_drop(fork.thread);
        handle_drop((handle_t)child);
    }
}

static void end_by_kill(handle_t holder)
{
    MUST(sys_process_kill(holder, 0));
    SOON(quota_of(holder, QUOTA_PROCESSES).used == 1); /* the one that is named below */
    CHECK_ERROR(create_within(holder, NULL), NO_PROCESS);
    handle_drop(holder);
}

static void end_by_close(handle_t holder)
{
    handle_drop(holder);
}

static void bomb_in_account(void (*end)(handle_t holder))
{
    struct bomb *bomb = shared(PAGE_SIZE);
    handle_t holder = account_hold();
    struct limited limited = {.names = HANDLE_SELF, .holder_of = holder};

    limited_start(&limited, for_ever, bomb);
    word_wait(&bomb->refused, 1);
    CHECK_EQUAL(quota_of(holder, QUOTA_PROCESSES).limit, BOMB);
    CHECK_EQUAL(quota_of(holder, QUOTA_PROCESSES).used, BOMB);
    space_drop((handle_t)limited.helper->id); /* it has copies of our handles */
    end(holder);

    handle_t first = limited.helper->process;

    signal_wait(first, SIGNAL_EXITED);
    CHECK_EQUAL(process_info(first).status, EXIT_ACCOUNT);
    SOON(quota_of(first, QUOTA_PROCESSES).used == 1);
    CHECK_ERROR(create_within(first, NULL), NO_PROCESS);
    CHECK_EQUAL(quota_of(first, QUOTA_THREADS).used, 0);

    uint32_t born = word_get(&bomb->born);

    sleep_for(10 * MILLISECOND);
    CHECK_EQUAL(word_get(&bomb->born), born);
    helper_free(limited.helper);
    unshare(bomb);
}

TEST(a_bomb_ends_with_what_holds_its_account)
{
    bomb_in_account(end_by_kill);
    bomb_in_account(end_by_close);
}

TEST(accounts_inside_end_too)
{
    uint64_t limits[QUOTA_COUNT];
    handle_t holder = account_hold(), inner, innermost, outside = empty_process();

    limits_none(limits);
    inner = (handle_t)MUST(create_within(holder, limits));
    innermost = (handle_t)MUST(create_within(inner, limits));
    CHECK_EQUAL(quota_of(holder, QUOTA_PROCESSES).used, 2);
    CHECK_EQUAL(quota_of(inner, QUOTA_PROCESSES).used, 2);
    CHECK_EQUAL(quota_of(innermost, QUOTA_PROCESSES).used, 1);
    handle_drop(holder);
    CHECK(signals_now(inner, SIGNAL_EXITED));
    CHECK(signals_now(innermost, SIGNAL_EXITED));
    CHECK(!signals_now(outside, SIGNAL_EXITED));
    CHECK_ERROR(create_within(inner, NULL), NO_PROCESS);
    CHECK_ERROR(create_within(innermost, limits), NO_PROCESS);
    handle_drop(inner);
    handle_drop(innermost);
    handle_drop(outside);
}

TEST(holding_errors)
{
    struct abi_process_create create = {.space_of = HANDLE_NONE, .flags = PROCESS_HOLDS_ACCOUNT};
    handle_t port = (handle_t)MUST(port_create()), process = empty_process();
    handle_t weak = duplicate(process, RIGHT_ALL & ~RIGHT_CONTROL);

    CHECK_ERROR(sys_process_create(HANDLE_SELF, &create), INVALID);
    CHECK_ERROR(create_within(HANDLE_NONE, NULL), BAD_HANDLE);
    CHECK_ERROR(create_within(port, NULL), WRONG_TYPE);
    CHECK_ERROR(create_within(weak, NULL), ACCESS);
    handle_drop(weak);
    handle_drop(process);
    handle_drop(port);
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
