/* Commands whose windows lie in memory with a pager: the service's own, the client's, both. */
#include "tests/guest/paged.h"

/* The pager of the client's memory is the service it calls; one thread serves both. */
struct file_server {
    struct paged paged;
    uint32_t reads, writes, others;
    char written[2 * PAGE_SIZE];
    char buffer[4 * PAGE_SIZE];
};

static void serve_both(void *argument)
{
    struct file_server *server = argument;
    handle_t port = server->paged.protocol.port;
    struct abi_message message;

    for (;;) {
        MUST(sys_proto_accept(port, &message, server->buffer, PAGE_SIZE, DEADLINE_NEVER));
        if (message.kind == MESSAGE_NOTIFY && message.args[0] & STOP)
            return;
        if (message.kind != MESSAGE_COMMAND)
            continue;
        struct abi_return result = {.token = message.token};

        switch (message.op) {
        case OP_OPEN:
            result.values[1] = HANDLE_FLAG_SEEKABLE;
            break;
        case OP_PAGE_IN:
            result.status = answer_page_in(&server->paged, &message);
            break;
        case OP_READ:
            word_add(&server->reads, 1);
            memset(server->buffer, 'r', sizeof(server->buffer));
            result.data = (uintptr_t)server->buffer;
            result.data_length = MIN(message.out_length, sizeof(server->buffer));
            result.values[0] = result.data_length;
            break;
        case OP_WRITE: {
            int64_t count = MIN(message.in_length, sizeof(server->written));

            word_add(&server->writes, 1);
            count = sys_cmd_read(port, message.token, 0, server->written, (uint64_t)count);
            if (count == -E_CANCELLED)
                continue;
            result.values[0] = (uint64_t)MUST(count);
            break;
        }
        default: /* must not be carried out twice */
            word_add(&server->others, 1);
            memset(server->buffer, 'o', PAGE_SIZE);
            result.data = (uintptr_t)server->buffer;
            result.data_length = MIN(message.out_length, PAGE_SIZE);
        }
        sys_ignore(sys_proto_return(port, &result));
    }
}

static struct file_server *file_server_new(void)
{
    struct file_server *server = shared(sizeof(*server));

    server->paged.protocol = protocol_new();
    server->paged.memory =
        (handle_t)MUST(sys_memory_paged(server->paged.protocol.port, PAGES * PAGE_SIZE, KEY, 0));
    server->paged.source = (handle_t)MUST(sys_memory_create(PAGES * PAGE_SIZE, 0));
    server->paged.one = 1;
    return server;
}

static void file_server_end(struct file_server *server)
{
    struct paged paged = server->paged;

    unshare(server);
    handle_drop(paged.memory);
    handle_drop(paged.source);
    protocol_end(&paged.protocol);
}

static void check_pattern(const char *bytes, uint64_t index)
{
    for (size_t i = 0; i < PAGE_SIZE / sizeof(uint64_t); i++)
        CHECK_EQUAL(((const uint64_t *)bytes)[i], PATTERN + index);
}

TEST(windows_in_the_services_own_file)
{
    struct file_server *server = file_server_new();
    struct helper *helper = helper_process(serve_both, server);
    uint64_t *pages = paged_map(&server->paged, PROT_READ_ | PROT_WRITE_, MAP_SHARED_);
    uint64_t *private = paged_map(&server->paged, PROT_READ_ | PROT_WRITE_, 0);
    char *bytes = (char *)pages;
    handle_t file = open_uri(&server->paged.protocol, "test://x", OPEN_READ | OPEN_WRITE);

    /* more than the service's buffer: delivered, then fetched by cmd_read */
    CHECK_EQUAL(MUST(write_at(file, 0, bytes + 4 * PAGE_SIZE, 2 * PAGE_SIZE)), 2 * PAGE_SIZE);
    check_pattern(server->written, 4);
    check_pattern(server->written + PAGE_SIZE, 5);
    CHECK_EQUAL(MUST(read_at(file, 0, bytes + 20 * PAGE_SIZE + 8, 3 * PAGE_SIZE)), 3 * PAGE_SIZE);
    CHECK_EQUAL(bytes[20 * PAGE_SIZE + 7], (char)(PATTERN >> 56));
    for (size_t i = 0; i < 3 * PAGE_SIZE; i++)
        CHECK_EQUAL(bytes[20 * PAGE_SIZE + 8 + i], 'r');
    check_run(&server->paged, MEMORY_OP_DIRTY, 0, 20, 4);

    /* private pages, and an operation that must be carried out once */
    struct abi_command command = command_of(TEST_ECHO);

    command.out = (uintptr_t) & private[40 * PAGE_SIZE / 8] + 100;
    command.out_length = PAGE_SIZE;
    MUST(sys_file_call(file, &command));
    CHECK_EQUAL(word_get(&server->others), 1);
    CHECK_EQUAL(word_of(private, 40) & 0xff, (PATTERN + 40) & 0xff);
    CHECK(memcmp((char *)(private + 40 * PAGE_SIZE / 8) + 100, "oooo", 4) == 0);
    CHECK_EQUAL(word_of(pages, 40), PATTERN + 40);
    command.in = (uintptr_t) & private[50 * PAGE_SIZE / 8];
    command.in_length = 10;
    command.out_length = 0;
    MUST(sys_file_call(file, &command));
    CHECK_EQUAL(word_get(&server->others), 2);

    /* what cannot be had is the caller's error, and the service goes on */
    server->paged.status = E_IO;
    CHECK_ERROR(read_at(file, 0, bytes + 60 * PAGE_SIZE, 10), FAULT);
    CHECK_ERROR(write_at(file, 0, bytes + 61 * PAGE_SIZE, 10), FAULT);
    command.in = 0;
    command.in_length = 0;
    command.out = (uintptr_t)bytes + 62 * PAGE_SIZE;
    command.out_length = 10;
    CHECK_ERROR(sys_file_call(file, &command), FAULT);
    server->paged.status = 0;
    CHECK_EQUAL(MUST(read_at(file, 0, bytes + 60 * PAGE_SIZE, 10)), 10);
    handle_drop(file);
    paged_unmap(pages);
    paged_unmap(private);
    helper_kill(helper);
    file_server_end(server);
}

/* The service's own buffers are in memory of another pager: it waits for that between two commands' copies, and one that
 * hangs holds the service, but not its client. */
struct two {
    struct paged paged;
    struct protocol protocol;
    uint32_t served;
};

static void serve_from_paged(void *argument)
{
    struct two *two = argument;
    uint64_t *pages = paged_map(&two->paged, PROT_READ_ | PROT_WRITE_, MAP_SHARED_);
    char *bytes = (char *)pages;
    struct abi_message *message = (struct abi_message *)(bytes + 40 * PAGE_SIZE);

    for (uint64_t i = 0;; i++) {
        MUST(sys_proto_accept(two->protocol.port, message, bytes + (i % 4 + 1) * PAGE_SIZE - 16, 64,
                              DEADLINE_NEVER));
        if (message->kind != MESSAGE_COMMAND)
            continue;
        struct abi_return result = {.token = message->token};

        if (message->op == OP_OPEN)
            result.values[1] = HANDLE_FLAG_SEEKABLE;
        if (message->op == OP_READ) {
            result.data = (uintptr_t)(bytes + (20 + i % 4) * PAGE_SIZE - 8);
            result.data_length = MIN(message->out_length, UINT64_C(16));
            result.values[0] = result.data_length;
        }
        if (message->op == OP_WRITE)
            result.values[0] = (uint64_t)MUST(sys_cmd_read(
                two->protocol.port, message->token, 0, bytes + (30 + i % 4) * PAGE_SIZE - 4, 8));
        word_add(&two->served, 1);
        MUST(sys_proto_return(two->protocol.port, &result));
    }
}

static void call_two(void *argument)
{
    struct two *two = argument;
    handle_t file = open_uri(&two->protocol, "test://y", OPEN_READ);
    char byte;

    sys_ignore(read_at(file, 0, &byte, 1));
}

TEST(buffers_in_memory_with_a_pager)
{
    struct two *two = shared(sizeof(*two));
    struct paged *paged = paged_new();

    two->paged = *paged;
    two->paged.one = 1;
    two->protocol = protocol_new();
    struct helper *pager = helper_process(serve_pages, &two->paged);
    struct helper *service = helper_process(serve_from_paged, two);
    handle_t file = open_uri(&two->protocol, "test://x", OPEN_READ | OPEN_WRITE);
    uint64_t words[2];

    for (uint32_t i = 0; i < 6; i++) {
        CHECK_EQUAL(MUST(write_at(file, i, "12345678", 8)), 8);
        CHECK_EQUAL(MUST(read_at(file, 0, words, sizeof(words))), sizeof(words));
        CHECK(words[0] >> 32 == PATTERN >> 32 && words[1] == words[0] + 1);
    }
    MUST(sys_memory_op(two->paged.memory, MEMORY_OP_DECOMMIT, 0, PAGES * PAGE_SIZE, NULL));
    uint32_t asked = word_get(&two->paged.asked);

    word_set(&two->paged.hold, 1);
    struct helper *client = helper_process(call_two, two);

    word_wait(&two->paged.asked, asked + 1);
    int64_t start = now();

    helper_kill(client);
    CHECK(now() - start < 5 * SECOND);
    word_set(&two->paged.hold, 0);
    CHECK_EQUAL(MUST(write_at(file, 9, "12345678", 8)), 8);
    handle_drop(file);
    helper_kill(service);
    helper_kill(pager);
    protocol_end(&two->protocol);
    unshare(two);
    paged_end(paged);
}

/* A client whose memory's pager hangs does not hold the service it calls. */
static void read_to_paged(void *argument)
{
    struct two *two = argument;
    uint64_t *pages = paged_map(&two->paged, PROT_READ_ | PROT_WRITE_, MAP_SHARED_);
    handle_t file = open_uri(&two->protocol, "test://y", OPEN_READ);

    sys_ignore(read_at(file, 0, pages, 100));
}

TEST(a_service_does_not_wait_for_its_clients)
{
    struct two *two = shared(sizeof(*two));
    struct paged *paged = paged_new();

    two->paged = *paged;
    two->protocol = protocol_new();
    word_set(&two->paged.hold, 1);
    struct helper *pager = helper_process(serve_pages, &two->paged);
    struct helper *service = helper_process(serve_protocol, &two->protocol);
    struct helper *evil = helper_process(read_to_paged, two);
    handle_t file = open_uri(&two->protocol, "test://x", OPEN_READ);
    char bytes[5];

    word_wait(&two->paged.asked, 1);
    for (uint32_t i = 0; i < 10; i++)
        CHECK_EQUAL(MUST(read_at(file, 0, bytes, sizeof(bytes))), 5);
    CHECK(!helper_ended(evil));
    helper_kill(evil);
    handle_drop(file);
    helper_kill(service);
    helper_kill(pager);
    protocol_end(&two->protocol);
    unshare(two);
    paged_end(paged);
}
