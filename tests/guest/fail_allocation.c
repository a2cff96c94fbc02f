/* Every call with its first, second, third... allocation failing, until it succeeds: each failure is E_NO_MEMORY and leaves
 * nothing behind. */
#include "tests/guest/blob.h"
#include "tests/guest/protocol.h"

#define WALK_MAX 200

enum {
#define NUMBER(number, name)                                            NUMBER_##name = (number)
#define SYSCALL0(number, name, object, rights, meaning)                 NUMBER(number, name),
#define SYSCALL1(number, name, object, rights, t1, n1, meaning)         NUMBER(number, name),
#define SYSCALL2(number, name, object, rights, t1, n1, t2, n2, meaning) NUMBER(number, name),
#define SYSCALL3(number, name, object, rights, t1, n1, t2, n2, t3, n3, meaning) \
    NUMBER(number, name),
#define SYSCALL4(number, name, object, rights, t1, n1, t2, n2, t3, n3, t4, n4, meaning) \
    NUMBER(number, name),
#define SYSCALL5(number, name, object, rights, t1, n1, t2, n2, t3, n3, t4, n4, t5, n5, meaning) \
    NUMBER(number, name),
#define REGISTERS(number, name, object, rights, meaning) NUMBER(number, name),
#include "abi/syscalls.def"
#undef NUMBER
};

static int64_t fork_process(void);

static void fail_at(uint64_t k)
{
    MUST(sys_system_control(root(), SYSTEM_FAIL_ALLOCATION, k));
}

/* attempt: the call, its result. undo: after a success. */
static void walk(const char *name, int64_t (*attempt)(void), void (*undo)(int64_t result))
{
    char lost[256];
    int64_t result = 0;

    for (uint64_t k = 0; k <= WALK_MAX; k++) { /* 0: once without a failure, which warms caches */
        struct abi_system_info before = system_info();

        fail_at(k);
        result = attempt();
        fail_at(0);
        if (result >= 0) {
            undo(result);
            if (k)
                return;
            continue;
        }
        /* A fork leaves the caller's own page shared: the copy of its answer may be what fails. */
        if (result != -E_NO_MEMORY && !(result == -E_FAULT && attempt == fork_process))
            FAIL("%s, allocation %" PRIu64 ": %s", name, k, error_text(result));
        /* Frames are looked at by the test as a whole: caches may fill here. */
        for (int i = 0; i < SETTLE_TRIES; i++) {
            before.frames_free = 0;
            if (!counters_compare(&before, lost, sizeof(lost)))
                break;
            sleep_for(SETTLE_STEP / 2);
        }
        if (lost[0])
            FAIL("%s, allocation %" PRIu64 ": %s", name, k, lost);
    }
    FAIL("%s fails with whatever allocation: %s", name, error_text(result));
}

static void close_result(int64_t handle)
{
    MUST(sys_handle_close((handle_t)handle));
}

static void nothing(int64_t result)
{
    (void)result;
}

/* The numbers of the calls that have been walked. */
static bool walked[256];

#define WALK(call, attempt, undo)      \
    do {                               \
        walked[NUMBER_##call] = true;  \
        walk(#attempt, attempt, undo); \
    } while (0)

/* --- Memory ---------------------------------------------------------------------------------------------------------- */

static handle_t memory;
static uint8_t *pages;

static int64_t create_memory(void)
{
    return sys_memory_create(PAGE_SIZE, 0);
}

static int64_t create_contiguous(void)
{
    return sys_memory_physical(root(), 0, 5 * PAGE_SIZE, MEMORY_CONTIGUOUS);
}

static int64_t create_dma32(void)
{
    return sys_memory_physical(root(), 0, 5 * PAGE_SIZE, MEMORY_DMA32);
}

static int64_t clone_memory(void)
{
    return sys_memory_clone(memory, 0, 8 * PAGE_SIZE, 0);
}

static int64_t physical_memory(void)
{
    return sys_memory_physical(root(), 0xb8000, PAGE_SIZE, CACHE_NONE);
}

TEST(memory_objects)
{
    memory = (handle_t)MUST(sys_memory_create(8 * PAGE_SIZE, 0));
    MUST(sys_memory_op(memory, MEMORY_OP_COMMIT, 0, 8 * PAGE_SIZE, NULL));
    WALK(memory_create, create_memory, close_result);
    WALK(memory_physical, create_contiguous, close_result);
    WALK(memory_physical, create_dma32, close_result);
    WALK(memory_clone, clone_memory, close_result);
    WALK(memory_physical, physical_memory, close_result);
    handle_drop(memory);
}

/* What an operation has done before it failed stays: pages are committed. So each try begins anew. */
static int64_t with_fresh(int64_t (*use)(handle_t fresh))
{
    int64_t fresh = sys_memory_create(4 * PAGE_SIZE, 0);

    if (fresh < 0)
        return fresh;
    int64_t result = use((handle_t)fresh);

    MUST(sys_handle_close((handle_t)fresh));
    return result;
}

static int64_t use_commit(handle_t fresh)
{
    return sys_memory_op(fresh, MEMORY_OP_COMMIT, 0, 4 * PAGE_SIZE, NULL);
}

static int64_t use_write(handle_t fresh)
{
    return sys_memory_op(fresh, MEMORY_OP_WRITE, 100, 2 * PAGE_SIZE, pages);
}

static int64_t commit_memory(void)
{
    return with_fresh(use_commit);
}

static int64_t write_memory(void)
{
    return with_fresh(use_write);
}

/* Writing to a page that a clone shares copies it. */
static int64_t write_to_clone(void)
{
    int64_t clone = sys_memory_clone(memory, 0, PAGE_SIZE, 0);

    if (clone < 0)
        return clone;
    int64_t result = sys_memory_op((handle_t)clone, MEMORY_OP_WRITE, 0, 1, pages);

    MUST(sys_handle_close((handle_t)clone));
    return result;
}

TEST(memory_operations)
{
    pages = pages_map(4);
    memset(pages, 1, 4 * PAGE_SIZE);
    memory = (handle_t)MUST(sys_memory_create(8 * PAGE_SIZE, 0));
    MUST(sys_memory_op(memory, MEMORY_OP_COMMIT, 0, 8 * PAGE_SIZE, NULL));
    WALK(memory_op, commit_memory, nothing);
    WALK(memory_op, write_memory, nothing);
    WALK(memory_op, write_to_clone, nothing);
    handle_drop(memory);
    pages_unmap(pages, 4);
}

/* --- Spaces ------------------------------------------------------------------------------------------------------------ */

#define AREA UINT64_C(0x300000000000)

static int64_t map_pages(void)
{
    struct abi_map map = {.address = AREA,
                          .length = 4 * PAGE_SIZE,
                          .memory = HANDLE_NONE,
                          .protection = PROT_READ_ | PROT_WRITE_,
                          .flags = MAP_FIXED_};

    return sys_space_map(HANDLE_SELF, &map);
}

static void unmap_pages(int64_t address)
{
    MUST(sys_space_unmap(HANDLE_SELF, (uint64_t)address, 4 * PAGE_SIZE));
}

/* All four pages as they were, or the change as a whole. */
static int64_t protections(void)
{
    int64_t seen = 0;

    for (uint64_t i = 0; i < 4; i++) {
        int64_t protection = sys_space_op(HANDLE_SELF, SPACE_OP_QUERY, AREA + i * PAGE_SIZE, 0, 0);

        seen = seen << 4 | (protection < 0 ? 15 : protection);
    }
    return seen;
}

static int64_t unmap_middle(void)
{
    int64_t result = sys_space_unmap(HANDLE_SELF, AREA + PAGE_SIZE, 2 * PAGE_SIZE);

    CHECK_EQUAL(protections(), result < 0 ? 0x3333 : 0x3ff3);
    return result;
}

static int64_t protect_middle(void)
{
    int64_t result = sys_space_protect(HANDLE_SELF, AREA + PAGE_SIZE, 2 * PAGE_SIZE, PROT_READ_);

    CHECK_EQUAL(protections(), result < 0 ? 0x3333 : 0x3113);
    return result;
}

static int64_t move_middle(void)
{
    int64_t result = sys_space_op(HANDLE_SELF, SPACE_OP_MOVE, AREA + PAGE_SIZE, 2 * PAGE_SIZE,
                                  AREA + (UINT64_C(1) << 40));

    CHECK_EQUAL(protections(), result < 0 ? 0x3333 : 0x3ff3);
    return result;
}

static int64_t replace_middle(void)
{
    struct abi_map map = {.address = AREA + PAGE_SIZE,
                          .length = 2 * PAGE_SIZE,
                          .memory = memory,
                          .protection = PROT_READ_,
                          .flags = MAP_FIXED_};
    int64_t result = sys_space_map(HANDLE_SELF, &map);

    CHECK_EQUAL(protections(), result < 0 ? 0x3333 : 0x3113);
    return result;
}

static void map_again(int64_t result)
{
    (void)result;
    MUST(sys_space_unmap(HANDLE_SELF, AREA + (UINT64_C(1) << 40), 2 * PAGE_SIZE));
    memset((void *)MUST(map_pages()), 1, 4 * PAGE_SIZE);
}

/* The kernel touches a page for the caller: a page of memory, and tables for it. */
static int64_t touch_page(void)
{
    struct abi_map map = {.address = AREA + (UINT64_C(1) << 41),
                          .length = PAGE_SIZE,
                          .memory = HANDLE_NONE,
                          .protection = PROT_READ_ | PROT_WRITE_,
                          .flags = MAP_FIXED_};
    int64_t result = sys_space_map(HANDLE_SELF, &map);

    if (result < 0)
        return result;
    result = sys_memory_op(memory, MEMORY_OP_READ, 0, PAGE_SIZE, (void *)map.address);
    MUST(sys_space_unmap(HANDLE_SELF, map.address, PAGE_SIZE));
    return result == -E_FAULT ? -E_NO_MEMORY : result; /* the copy cannot tell */
}

TEST(spaces)
{
    memory = (handle_t)MUST(sys_memory_create(2 * PAGE_SIZE, 0));
    WALK(space_map, map_pages, unmap_pages);
    map_again(0);
    WALK(space_unmap, unmap_middle, map_again);
    WALK(space_protect, protect_middle, map_again);
    WALK(space_op, move_middle, map_again);
    WALK(space_map, replace_middle, map_again);
    unmap_pages(AREA);
    WALK(memory_op, touch_page, nothing);
    handle_drop(memory);
}

/* --- Processes and threads ------------------------------------------------------------------------------------------------ */

static int64_t create_process(void)
{
    struct abi_process_create create = {
        .name = (uintptr_t) "x", .name_length = 1, .space_of = HANDLE_NONE};

    return sys_process_create(HANDLE_SELF, &create);
}

static int64_t create_account(void)
{
    static const uint64_t limits[] = {1 << 30, 100, 100, 100};
    struct abi_process_create create = {
        .space_of = HANDLE_NONE, .limits = (uintptr_t)limits, .limit_count = ARRAY_SIZE(limits)};

    return sys_process_create(HANDLE_SELF, &create);
}

static int64_t create_holder(void)
{
    static const uint64_t limits[] = {1 << 30, 100, 100, 100};
    struct abi_process_create create = {.space_of = HANDLE_NONE,
                                        .flags = PROCESS_HOLDS_ACCOUNT,
                                        .limits = (uintptr_t)limits,
                                        .limit_count = ARRAY_SIZE(limits)};

    return sys_process_create(HANDLE_SELF, &create);
}

static struct abi_fork fork_made;

static int64_t fork_process(void)
{
    fork_made = (struct abi_fork){.entry = 0x1000};
    return sys_process_fork(HANDLE_SELF, &fork_made);
}

static int64_t fork_sharing(void)
{
    fork_made = (struct abi_fork){.entry = 0x1000, .flags = FORK_SHARE_SPACE};
    return sys_process_fork(HANDLE_SELF, &fork_made);
}

static void end_process(int64_t process)
{
    MUST(sys_process_kill((handle_t)process, 0));
    signal_wait((handle_t)process, SIGNAL_EXITED);
    MUST(sys_handle_close((handle_t)process));
}

static void end_fork(int64_t process)
{
    MUST(sys_handle_close(fork_made.thread));
    end_process(process);
}

static int64_t create_thread(void)
{
    struct abi_thread thread = {.entry = (uintptr_t)helper_main, .flags = THREAD_CREATE_SUSPENDED};
    struct abi_process_create create = {.space_of = HANDLE_NONE};
    int64_t process = sys_process_create(HANDLE_SELF, &create);

    if (process < 0)
        return process;
    int64_t result = sys_thread_create((handle_t)process, &thread);

    if (result > 0)
        MUST(sys_handle_close((handle_t)result));
    end_process(process);
    return result;
}

BLOB(nothing, BLOB_EXIT(0));

/* A failed exec ends the process; a handle it did not move is still here. */
static int64_t exec_process(void)
{
    int64_t process = create_process();

    if (process < 0)
        return process;
    handle_t timer = HANDLE_NONE, value;
    struct abi_map map = {.address = BLOB_DATA,
                          .length = PAGE_SIZE,
                          .memory = memory,
                          .protection = PROT_READ_ | PROT_WRITE_};
    struct abi_exec exec = {.maps = (uintptr_t)&map,
                            .map_count = 1,
                            .entry = BLOB_TEXT,
                            .handles = (uintptr_t)&timer,
                            .handle_count = 1,
                            .handle_values = (uintptr_t)&value,
                            .flags = EXEC_SUSPENDED};
    int64_t result = sys_timer_create();

    timer = (handle_t)result;
    if (result > 0)
        result = sys_process_exec((handle_t)process, &exec);
    if (result > 0)
        MUST(sys_handle_close((handle_t)result));
    if (timer > 0)
        sys_ignore(sys_handle_close(timer));
    end_process(process);
    return result;
}

TEST(processes)
{
    memory = (handle_t)MUST(sys_memory_create(2 * PAGE_SIZE, 0));
    WALK(process_create, create_process, close_result);
    WALK(process_create, create_account, close_result);
    WALK(process_create, create_holder, close_result);
    WALK(process_fork, fork_process, end_fork);
    WALK(process_fork, fork_sharing, end_fork);
    WALK(thread_create, create_thread, nothing);
    WALK(process_exec, exec_process, nothing);
    handle_drop(memory);
}

/* --- Protocols, streams, the rest -------------------------------------------------------------------------------------------- */

static struct protocol protocol;
static handle_t ends[2], port;

static int64_t create_port(void)
{
    return sys_proto_create(protocol.names, "other", 5);
}

static void remove_port(int64_t handle)
{
    MUST(sys_namespace_bind(protocol.names, "other", 5, HANDLE_NONE));
    close_result(handle);
}

static int64_t copy_namespace(void)
{
    return sys_namespace_create(protocol.names, 0);
}

static int64_t bind_name(void)
{
    return sys_namespace_bind(protocol.names, "third", 5, protocol.port);
}

static void unbind_name(int64_t result)
{
    (void)result;
    MUST(sys_namespace_bind(protocol.names, "third", 5, HANDLE_NONE));
}

/* The first accept of a process makes it a server of the port. */
static int64_t first_accept(void)
{
    struct abi_message message;
    int64_t fresh = sys_proto_create(HANDLE_SELF, NULL, 0);

    if (fresh < 0)
        return fresh;
    int64_t result = sys_proto_accept((handle_t)fresh, &message, NULL, 0, DEADLINE_NOW);

    MUST(sys_handle_close((handle_t)fresh));
    return result == -E_AGAIN ? 0 : result;
}

static int64_t bind_port(void)
{
    return sys_port_bind(port, ends[0], SIGNAL_READABLE, 1, 0);
}

static void unbind_port(int64_t result)
{
    (void)result;
    MUST(sys_port_bind(port, ends[0], 0, 0, 0));
}

static int64_t open_file(void)
{
    return open_raw(protocol.names, "test://x", OPEN_READ, after(PATIENCE));
}

static int64_t call_path(void)
{
    struct abi_command command = command_of(TEST_ECHO);

    return path_op(protocol.names, "test://x", &command);
}

TEST(protocols)
{
    protocol = protocol_new();
    MUST(sys_stream_pair(0, ends));
    port = (handle_t)MUST(sys_proto_create(HANDLE_SELF, NULL, 0));
    struct helper *server = helper_process(serve_protocol, &protocol);

    handle_drop((handle_t)MUST(open_file())); /* it serves */
    WALK(proto_create, create_port, remove_port);
    WALK(namespace_create, copy_namespace, close_result);
    WALK(namespace_bind, bind_name, unbind_name);
    WALK(proto_accept, first_accept, nothing);
    WALK(port_bind, bind_port, unbind_port);
    WALK(open, open_file, close_result);
    WALK(path_call, call_path, nothing);
    helper_kill(server);
    handle_drop(port);
    handle_drop(ends[0]);
    handle_drop(ends[1]);
    protocol_end(&protocol);
}

static int64_t make_stream(void)
{
    return sys_stream_pair(0, ends);
}

static void drop_stream(int64_t result)
{
    (void)result;
    MUST(sys_handle_close(ends[0]));
    MUST(sys_handle_close(ends[1]));
}

/* Bytes over several pages, and a handle, which stays where it is when the send fails. */
static int64_t send_much(void)
{
    static uint8_t bytes[20000];
    int64_t result = make_stream();

    if (result < 0)
        return result;
    int64_t timer = sys_timer_create();
    handle_t handles[1] = {(handle_t)timer};
    struct abi_stream_message message = {.handles = (uintptr_t)handles, .handle_count = 1};

    result = timer;
    if (timer > 0)
        result = sys_stream_send(ends[0], bytes, 4096, 0, after(PATIENCE), &message);
    if (timer > 0 && result < 0)
        MUST(sys_handle_close((handle_t)timer));
    if (result >= 0) {
        result = sys_stream_send(ends[0], bytes, sizeof(bytes), 0, after(PATIENCE), NULL);
        if (result > 0 && result < (int64_t)sizeof(bytes))
            result = -E_NO_MEMORY; /* what went through counts */
    }
    drop_stream(0);
    return result;
}

static int64_t make_listener(void)
{
    return sys_stream_listen(0, 4, ends);
}

/* A connection that waits, and the end that takes it. */
static int64_t connect_stream(void)
{
    int64_t result = make_listener();

    if (result < 0)
        return result;
    result = sys_stream_connect(ends[1], after(PATIENCE));
    if (result > 0) {
        int64_t accepted = sys_stream_accept(ends[0], after(PATIENCE));

        MUST(sys_handle_close((handle_t)result));
        result = accepted;
    }
    if (result > 0)
        MUST(sys_handle_close((handle_t)result));
    drop_stream(0);
    return result;
}

TEST(streams)
{
    WALK(stream_pair, make_stream, drop_stream);
    WALK(stream_send, send_much, nothing);
    WALK(stream_listen, make_listener, drop_stream);
    WALK(stream_connect, connect_stream, nothing);
}

static int64_t keep_handle(void)
{
    return sys_port_keep(port, 5, memory);
}

static void keep_no_more(int64_t result)
{
    (void)result;
    MUST(sys_port_keep(port, 5, HANDLE_NONE));
}

static int64_t make_paged(void)
{
    return sys_memory_paged(port, 4 * PAGE_SIZE, 7, 0);
}

static void drop_paged(int64_t handle)
{
    MUST(sys_port_keep(port, 7, HANDLE_NONE));
    close_result(handle);
}

TEST(kept_memory)
{
    memory = (handle_t)MUST(sys_memory_create(PAGE_SIZE, 0));
    port = (handle_t)MUST(sys_proto_create(HANDLE_SELF, NULL, 0));
    WALK(port_keep, keep_handle, keep_no_more);
    WALK(memory_paged, make_paged, drop_paged);
    handle_drop(port);
    handle_drop(memory);
}

static int64_t make_timer(void)
{
    return sys_timer_create();
}

static int64_t make_resource(void)
{
    return sys_resource_create(root(), RESOURCE_IOPORT, 0x80, 1);
}

static int64_t bind_interrupt(void)
{
    return sys_irq_bind(root(), 22, IRQ_LEVEL, NULL);
}

static int64_t wait_for_many(void)
{
    static struct abi_wait waits[64];
    int64_t result;

    for (size_t i = 0; i < ARRAY_SIZE(waits); i++)
        waits[i] = (struct abi_wait){.handle = ends[0], .signals = SIGNAL_READABLE};
    result = sys_wait_many(waits, ARRAY_SIZE(waits), DEADLINE_NOW);
    return result == -E_TIMED_OUT ? 0 : result;
}

static int64_t read_log(void)
{
    static char text[256];
    struct abi_log_read read = {.buffer = (uintptr_t)text, .length = sizeof(text)};

    return sys_log_read(root(), &read, 0);
}

TEST(the_rest)
{
    MUST(sys_stream_pair(0, ends));
    WALK(timer_create, make_timer, close_result);
    WALK(resource_create, make_resource, close_result);
    WALK(irq_bind, bind_interrupt, close_result);
    WALK(wait_many, wait_for_many, nothing);
    WALK(log_read, read_log, nothing);
    drop_stream(0);
}

/* The handle table grows: every 128th handle needs memory of its own. */
static void grow_table(void *argument)
{
    handle_t first = (handle_t)MUST(sys_timer_create());

    (void)argument;
    for (int i = 0; i < 2000; i++) {
        struct abi_system_info before = system_info();

        fail_at(1);
        int64_t result = sys_handle_duplicate(first, RIGHT_DUPLICATE);

        fail_at(0);
        if (result < 0) {
            CHECK_EQUAL(result, -E_NO_MEMORY);
            CHECK_EQUAL(system_info().handles, before.handles);
            MUST(sys_handle_duplicate(first, RIGHT_DUPLICATE));
        }
    }
}

TEST(handle_tables)
{
    helper_join(helper_process(grow_table, NULL));
}

/* Off again, nothing fails. */
TEST(switched_off)
{
    fail_at(1);
    CHECK_ERROR(sys_timer_create(), NO_MEMORY);
    handle_drop((handle_t)MUST(sys_timer_create())); /* only the k-th fails */
    fail_at(1);
    fail_at(0);
    handle_drop((handle_t)MUST(sys_timer_create()));
}

/* The bitmap of a process's ports comes with its first grant and stays: each try is a process of its own. */
static void grant_ports(void *argument)
{
    handle_t ports = *(handle_t *)argument;

    fail_at(1);
    CHECK_ERROR(sys_ioport_grant(ports), NO_MEMORY);
    fail_at(0);
    MUST(sys_ioport_grant(ports));
}

TEST(port_bitmaps)
{
    handle_t ports = (handle_t)MUST(sys_resource_create(root(), RESOURCE_IOPORT, 0x80, 1));

    walked[NUMBER_ioport_grant] = true;
    helper_join(helper_process(grant_ports, &ports));
    handle_drop(ports);
}

/* What the calls that are not walked above allocate: nothing; or one of these walks has it too. */
static const struct {
    uint32_t number;
    const char *why;
} others[] = {
    {NUMBER_handle_close, "gives back"},
    {NUMBER_handle_duplicate, "handle_tables"},
    {NUMBER_handle_info, "reads"},
    {NUMBER_handle_flags, "a word of the object's"},
    {NUMBER_memory_resize, "gives back, or is a number"},
    {NUMBER_process_kill, "gives back"},
    {NUMBER_process_info, "reads"},
    {NUMBER_process_rename, "the process has the room"},
    {NUMBER_process_quotas, "reads"},
    {NUMBER_process_control, "flags of its threads; a word of its own"},
    {NUMBER_thread_exit, "gives back"},
    {NUMBER_thread_control, "words of the thread's"},
    {NUMBER_thread_resume, "registers"},
    {NUMBER_proto_return, "handle_tables: the caller's, for handles that come with it"},
    {NUMBER_proto_return_accept, "first_accept"},
    {NUMBER_cmd_read, "copies"},
    {NUMBER_cmd_write, "copies"},
    {NUMBER_port_notify, "bits of the port's"},
    {NUMBER_file_call, "a thread has its command from the start"},
    {NUMBER_file_call_short, "likewise"},
    {NUMBER_file_ready, "bits of the file's"},
    {NUMBER_file_seek, "a number"},
    {NUMBER_namespace_lookup, "handle_tables"},
    {NUMBER_port_kept, "handle_tables"},
    {NUMBER_port_close, "gives back"},
    {NUMBER_stream_receive, "handle_tables"},
    {NUMBER_stream_accept, "handle_tables; the stream came with its connection"},
    {NUMBER_stream_control, "flags of the stream's"},
    {NUMBER_futex_wait, "sleeps on its own stack"},
    {NUMBER_futex_wake, "nothing"},
    {NUMBER_futex_requeue, "nothing"},
    {NUMBER_clock_get, "reads"},
    {NUMBER_clock_set, "words of the time page"},
    {NUMBER_timer_set, "the timer has the room"},
    {NUMBER_timer_add, "a word of the timer's"},
    {NUMBER_timer_take, "a word of the timer's"},
    {NUMBER_log_write, "the log has the room"},
    {NUMBER_irq_ack, "nothing"},
    {NUMBER_system_info, "reads"},
    {NUMBER_system_control, "nothing, SYSTEM_KEEP apart: a fork"},
};

static const char *scenario_of(uint32_t number)
{
    if (walked[number])
        return "walked";
    for (size_t i = 0; i < ARRAY_SIZE(others); i++)
        if (others[i].number == number)
            return others[i].why;
    return NULL;
}

TEST(every_call_has_a_scenario)
{
    bool all =
        walked[NUMBER_memory_create] && walked[NUMBER_irq_bind]; /* else this test runs alone */

#define SCENARIO(number, name)       \
    if (all && !scenario_of(number)) \
        FAIL("no scenario for %s", #name);
#undef SYSCALL0
#undef SYSCALL1
#undef SYSCALL2
#undef SYSCALL3
#undef SYSCALL4
#undef SYSCALL5
#undef REGISTERS
#define SYSCALL0(number, name, object, rights, meaning)                 SCENARIO(number, name)
#define SYSCALL1(number, name, object, rights, t1, n1, meaning)         SCENARIO(number, name)
#define SYSCALL2(number, name, object, rights, t1, n1, t2, n2, meaning) SCENARIO(number, name)
#define SYSCALL3(number, name, object, rights, t1, n1, t2, n2, t3, n3, meaning) \
    SCENARIO(number, name)
#define SYSCALL4(number, name, object, rights, t1, n1, t2, n2, t3, n3, t4, n4, meaning) \
    SCENARIO(number, name)
#define SYSCALL5(number, name, object, rights, t1, n1, t2, n2, t3, n3, t4, n4, t5, n5, meaning) \
    SCENARIO(number, name)
#define REGISTERS(number, name, object, rights, meaning) SCENARIO(number, name)
#include "abi/syscalls.def"
}
