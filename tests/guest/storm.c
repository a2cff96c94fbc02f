/* Services that are killed all the time: 1,000 times under a reader, and at random under 32 callers whose every answer is
 * checked. Services that never return. tests/system/scenarios/survival.py runs this with 8 CPUs, too.
 *
 * The service here is like one of files: a file's bytes depend on its name, and its cookie is worth something only to the
 * instance that gave it, so a cookie, an offset or an answer that goes astray over a restart is seen.
 */
#include "tests/guest/protocol.h"

#define FILES   8
#define CLIENTS 32
#define KILLS   1000

enum {
    TEST_COUNT = OP_PROTOCOL + 8, /* once only: adds 1 to shared->done[args[0]] */
};

struct storm {
    struct protocol protocol;
    uint32_t instance; /* of the service: the high half of its cookies */
    uint32_t stop;
    uint32_t served;         /* by all instances */
    uint32_t done[CLIENTS];  /* by TEST_COUNT */
    uint32_t calls[CLIENTS]; /* that were answered */
};

static uint8_t byte_of(uint32_t file, uint64_t offset)
{
    return (uint8_t)(file * 37 + offset * 11 + (offset >> 8));
}

/* --- The service ---------------------------------------------------------------------------------------------- */

/* "test://3": file 3. */
static int64_t file_named(const char *path, uint32_t length, uint32_t *file)
{
    *file = length == 1 ? (uint32_t)(path[0] - '0') : FILES;
    return *file < FILES ? 0 : -E_NOT_FOUND;
}

static int64_t file_serve(struct storm *storm, uint32_t instance, const struct abi_message *message,
                          const char *path, struct abi_return *result, uint8_t *bytes, size_t size)
{
    uint32_t file = (uint32_t)message->cookie;

    if (message->op == OP_OPEN) {
        int64_t error = file_named(path, message->path_length, &file);

        result->values[0] = (uint64_t)instance << 32 | file;
        result->values[1] = HANDLE_FLAG_SEEKABLE;
        return error;
    }
    if (message->cookie >> 32 != instance || file >= FILES)
        return -E_BAD_HANDLE; /* another instance's file */
    switch (message->op) {
    case OP_READ:
        size = MIN(size, message->out_length);
        for (size_t i = 0; i < size; i++)
            bytes[i] = byte_of(file, message->args[0] + i);
        result->data = (uintptr_t)bytes;
        result->data_length = result->values[0] = size;
        return 0;
    case OP_WRITE:
        result->values[0] = message->in_length;
        return 0;
    case TEST_COUNT:
        __atomic_fetch_add(&storm->done[message->args[0] % CLIENTS], 1, __ATOMIC_SEQ_CST);
        return 0;
    default:
        return -E_NO_CALL;
    }
}

static void serve(void *argument)
{
    struct storm *storm = argument;
    uint32_t instance = __atomic_add_fetch(&storm->instance, 1, __ATOMIC_SEQ_CST);
    struct abi_message message;
    char buffer[64];
    uint8_t bytes[256];

    for (;;) {
        MUST(sys_proto_accept(storm->protocol.port, &message, buffer, sizeof(buffer),
                              DEADLINE_NEVER));
        if (message.kind == MESSAGE_CANCEL)
            sys_ignore(return_status(storm->protocol.port, message.token, -E_CANCELLED, 0));
        if (message.kind != MESSAGE_COMMAND)
            continue;
        struct abi_return result = {.token = message.token};

        if (message.op == TEST_HOLD)
            continue; /* never returned */
        result.status =
            file_serve(storm, instance, &message, buffer, &result, bytes, sizeof(bytes));
        sys_ignore(sys_proto_return(storm->protocol.port, &result));
        word_add(&storm->served, 1);
    }
}

static struct storm *storm_new(void)
{
    struct storm *storm = shared(sizeof(*storm));

    storm->protocol = protocol_new();
    return storm;
}

static void storm_end(struct storm *storm)
{
    protocol_end(&storm->protocol);
    unshare(storm);
}

static handle_t file_open_numbered(const struct storm *storm, uint32_t file)
{
    char uri[] = "test://0";

    uri[sizeof(uri) - 2] = (char)('0' + file);
    return open_uri(&storm->protocol, uri, OPEN_READ | OPEN_WRITE);
}

/* --- A thousand deaths ------------------------------------------------------------------------------------------ */

/* Reads all its files on and on: nothing but right data, in order. */
static void read_on(void *argument)
{
    struct storm *storm = argument;
    handle_t files[FILES];
    uint64_t positions[FILES] = {0};
    uint8_t bytes[100];

    for (uint32_t i = 0; i < FILES; i++)
        files[i] = file_open_numbered(storm, i);
    for (uint32_t round = 0; !word_get(&storm->stop); round++) {
        uint32_t file = round % FILES;

        CHECK_EQUAL(read_next(files[file], bytes, sizeof(bytes)), sizeof(bytes));
        for (size_t i = 0; i < sizeof(bytes); i++)
            CHECK_EQUAL(bytes[i], byte_of(file, positions[file] + i));
        positions[file] += sizeof(bytes);
        word_add(&storm->calls[0], 1);
    }
    for (uint32_t i = 0; i < FILES; i++)
        handle_drop(files[i]);
}

/* Each instance lives until it has served something, which may be no more than an opening again, and dies in the middle of the
 * next; each tenth lives until the reader has come on. */
TEST(a_reader_outlives_a_thousand_services)
{
    struct storm *storm = storm_new();
    struct helper *server = helper_process(serve, storm), *reader = helper_process(read_on, storm);

    for (int i = 0; i < KILLS; i++) {
        uint32_t *progress = i % 10 ? &storm->served : &storm->calls[0];

        word_wait(progress, word_get(progress) + 1);
        helper_kill(server);
        server = helper_process(serve, storm);
    }
    word_set(&storm->stop, 1);
    helper_join(reader);
    CHECK(storm->calls[0] >= KILLS / 10);
    helper_kill(server);
    storm_end(storm);
}

/* --- Many callers ------------------------------------------------------------------------------------------------ */

struct caller {
    struct storm *storm;
    uint32_t number;
    uint64_t seed;
};

static uint32_t roll(uint64_t *seed, uint32_t below)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33) % below;
}

static void check_read(const struct storm *storm, uint32_t file, handle_t handle, uint64_t offset)
{
    uint8_t bytes[64];

    (void)storm;
    CHECK_EQUAL(read_at(handle, offset, bytes, sizeof(bytes)), sizeof(bytes));
    for (size_t i = 0; i < sizeof(bytes); i++)
        CHECK_EQUAL(bytes[i], byte_of(file, offset + i));
}

/* Carried out once, or the caller is told that nobody knows. */
static void check_once(struct storm *storm, uint32_t number, handle_t handle)
{
    uint32_t before = word_get(&storm->done[number]);
    struct abi_command command = command_of(TEST_COUNT);

    command.args[0] = number;
    int64_t result = sys_file_call(handle, &command);
    uint32_t times = word_get(&storm->done[number]) - before;

    if (result == -E_RESTARTED) {
        CHECK(times <= 1);
    } else {
        MUST(result);
        CHECK_EQUAL(times, 1);
    }
}

/* A service that does not answer holds nobody past its deadline. */
static void check_held(handle_t handle)
{
    struct abi_command command = command_of(TEST_HOLD);

    command.deadline = after(MILLISECOND);
    int64_t result = sys_file_call(handle, &command);

    CHECK(result == -E_TIMED_OUT || result == -E_RESTARTED);
}

static void call_at_random(void *argument)
{
    struct caller *caller = argument;
    struct storm *storm = caller->storm;
    uint32_t file = caller->number % FILES;
    handle_t mine = file_open_numbered(storm, file);
    uint8_t bytes[32] = {0};

    while (!word_get(&storm->stop)) {
        uint32_t other = roll(&caller->seed, FILES);

        switch (roll(&caller->seed, 16)) {
        case 0: {
            handle_t handle = file_open_numbered(storm, other);

            check_read(storm, other, handle, roll(&caller->seed, 100000));
            handle_drop(handle);
            break;
        }
        case 1:
            check_held(mine);
            break;
        case 2:
        case 3:
            check_once(storm, caller->number, mine);
            break;
        case 4:
            CHECK_EQUAL(write_at(mine, 5, bytes, sizeof(bytes)), sizeof(bytes));
            break;
        default:
            check_read(storm, file, mine, roll(&caller->seed, 100000));
        }
        __atomic_fetch_add(&storm->calls[caller->number], 1, __ATOMIC_RELAXED);
    }
    handle_drop(mine);
}

/* The process that kills and forks has one thread: no other CPU has to hear of its pages. */
struct crowd {
    struct storm *storm;
    uint32_t first;
};

#define CROWD 8

static void call_in_threads(void *argument)
{
    const struct crowd *crowd = argument;
    struct caller callers[CROWD];
    struct helper *clients[CROWD];

    for (uint32_t i = 0; i < CROWD; i++) {
        callers[i] = (struct caller){
            .storm = crowd->storm, .number = crowd->first + i, .seed = 1000 + crowd->first + i};
        clients[i] = helper_thread(call_at_random, &callers[i]);
    }
    for (int i = 0; i < CROWD; i++)
        helper_join(clients[i]);
}

#define SERVERS      3
#define RANDOM_KILLS 100

TEST(callers_of_services_killed_at_random)
{
    struct storm *storm = storm_new();
    struct crowd crowds[CLIENTS / CROWD];
    struct helper *clients[CLIENTS / CROWD], *servers[SERVERS];
    uint64_t seed = 42;

    for (int i = 0; i < SERVERS; i++)
        servers[i] = helper_process(serve, storm);
    for (uint32_t i = 0; i < CLIENTS / CROWD; i++) {
        crowds[i] = (struct crowd){storm, i * CROWD};
        clients[i] = helper_process(call_in_threads, &crowds[i]);
    }
    for (int kills = 0; kills < RANDOM_KILLS; kills++) {
        uint32_t victim = roll(&seed, SERVERS);

        sleep_for(1 + roll(&seed, 5) * MILLISECOND);
        helper_kill(servers[victim]);
        if (roll(&seed, 8) == 0) /* now and then nobody serves for a while */
            for (uint32_t i = 0; i < SERVERS; i++)
                if (i != victim) {
                    helper_kill(servers[i]);
                    servers[i] = helper_process(serve, storm);
                }
        servers[victim] = helper_process(serve, storm);
    }
    word_set(&storm->stop, 1);
    for (int i = 0; i < CLIENTS / CROWD; i++)
        helper_join(clients[i]);
    for (int i = 0; i < CLIENTS; i++)
        CHECK(storm->calls[i] > 0);
    for (int i = 0; i < SERVERS; i++)
        helper_kill(servers[i]);
    storm_end(storm);
}

/* --- A service that never returns ---------------------------------------------------------------------------------- */

struct prisoner {
    handle_t file;
    int64_t deadline, result, took;
};

static void hold_on(void *argument)
{
    struct prisoner *prisoner = argument;
    struct abi_command command = {.op = TEST_HOLD, .deadline = prisoner->deadline};
    int64_t start = now();

    prisoner->result = sys_file_call(prisoner->file, &command);
    prisoner->took = now() - start;
}

static void accept_only(void *argument)
{
    struct storm *storm = argument;

    serve_open(storm->protocol.port, 1);
    for (;;) { /* not even cancellations are answered */
        accept_with(storm->protocol.port, NULL, 0);
        word_add(&storm->served, 1);
    }
}

/* Its callers time out, are kicked out after the grace, or are killed at once; nobody else notices. */
TEST(a_service_that_never_returns)
{
    struct storm *storm = storm_new();
    struct helper *server = helper_process(accept_only, storm);
    struct prisoner *prisoners = shared(sizeof(*prisoners) * 3);
    handle_t file = open_uri(&storm->protocol, "test://x", OPEN_READ);

    for (int i = 0; i < 3; i++)
        prisoners[i] = (struct prisoner){.file = file, .deadline = i ? 0 : after(50 * MILLISECOND)};
    struct helper *timed = helper_thread(hold_on, &prisoners[0]);
    struct helper *kicked = helper_thread(hold_on, &prisoners[1]);
    struct helper *killed = helper_process(hold_on, &prisoners[2]);

    word_wait(&storm->served, 3);
    int64_t start = now();
    MUST(sys_process_kill(killed->process, 0));
    signal_wait(killed->process, SIGNAL_EXITED);
    CHECK(now() - start < SECOND); /* no grace for it */
    helper_status(killed);
    MUST(sys_thread_control(kicked->thread, THREAD_INTERRUPT, 0, NULL));
    helper_join(timed);
    CHECK_EQUAL(prisoners[0].result, -E_TIMED_OUT);
    helper_join(kicked);
    CHECK_EQUAL(prisoners[1].result, -E_INTERRUPTED);
    CHECK(prisoners[1].took < PATIENCE);
    handle_drop(file);
    helper_kill(server);
    unshare(prisoners);
    storm_end(storm);
}
