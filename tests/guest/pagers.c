/* Memory with a pager: pages that come from a service, shared or moved; services that fail, die or do not answer. */
#include "tests/guest/paged.h"

TEST(a_page_comes_from_a_service)
{
    struct paged *paged = paged_new();
    struct helper *server = helper_process(serve_pages, paged);

    paged->one = 1;
    uint64_t *pages = paged_map(paged, PROT_READ_, MAP_SHARED_);

    CHECK_EQUAL(word_of(pages, 3), PATTERN + 3);
    CHECK_EQUAL(word_get(&paged->asked), 1);
    CHECK_EQUAL(paged->offset, 3 * PAGE_SIZE);
    CHECK_EQUAL(paged->length, 13 * PAGE_SIZE);
    CHECK_EQUAL(paged->access, PROT_READ_);
    CHECK_EQUAL(word_of(pages, 3), PATTERN + 3);
    CHECK_EQUAL(word_get(&paged->asked), 1);
    CHECK_EQUAL(word_of(pages, 60), PATTERN + 60);
    CHECK_EQUAL(paged->length, 4 * PAGE_SIZE);
    paged_unmap(pages);
    protocol_stop(&paged->protocol);
    helper_join(server);
    paged_end(paged);
}

TEST(pages_are_moved)
{
    struct paged *paged = paged_new();
    struct helper *server = helper_process(serve_pages, paged);
    uint64_t word;

    paged->flags = SUPPLY_MOVE;
    touch_all(paged);
    CHECK_EQUAL(word_get(&paged->asked), PAGES / 16);
    MUST(sys_memory_op(paged->source, MEMORY_OP_READ, 40, sizeof(word), &word));
    CHECK_EQUAL(word, 0);
    touch_all(paged);
    CHECK_EQUAL(word_get(&paged->asked), PAGES / 16);
    helper_kill(server);
    paged_end(paged);
}

/* The answer itself says where the page is. */
static void serve_places(void *argument)
{
    struct paged *paged = argument;
    struct abi_supply source = {.source = paged->source, .flags = SUPPLY_MOVE};
    struct abi_message message;

    for (uint64_t i = 0; i < PAGES; i++)
        fill_source(paged, i);
    MUST(sys_memory_op(paged->memory, MEMORY_OP_SOURCE, 0, 0, &source));
    for (;;) {
        MUST(sys_proto_accept(paged->protocol.port, &message, NULL, 0, DEADLINE_NEVER));
        if (message.kind != MESSAGE_COMMAND)
            continue;
        struct abi_return result = {.token = message.token,
                                    .values = {message.args[0], message.args[1]}};

        if (paged->status) /* places that are none */
            result.values[0] += paged->status;
        word_add(&paged->asked, 1);
        sys_ignore(sys_proto_return(paged->protocol.port, &result));
    }
}

TEST(answers_name_pages_of_a_source)
{
    struct paged *paged = paged_new();
    struct helper *server = helper_process(serve_places, paged);
    struct abi_supply bad = {.source = paged->memory};
    uint64_t word;

    touch_all(paged);
    CHECK_EQUAL(word_get(&paged->asked), PAGES / 16);
    MUST(sys_memory_op(paged->source, MEMORY_OP_READ, 40, sizeof(word), &word));
    CHECK_EQUAL(word, 0); /* moved */
    MUST(sys_memory_op(paged->memory, MEMORY_OP_EVICT, 0, PAGES * PAGE_SIZE, NULL));
    paged->status = 1;
    CHECK_ERROR(sys_memory_op(paged->memory, MEMORY_OP_COMMIT, 0, 1, NULL), IO);
    paged->status = PAGES * PAGE_SIZE;
    CHECK_ERROR(sys_memory_op(paged->memory, MEMORY_OP_COMMIT, 0, 1, NULL), IO);
    CHECK_ERROR(sys_memory_op(paged->memory, MEMORY_OP_SOURCE, 0, 0, &bad), NOT_SUPPORTED);
    bad.source = paged->source;
    bad.flags = 2;
    CHECK_ERROR(sys_memory_op(paged->memory, MEMORY_OP_SOURCE, 0, 0, &bad), INVALID);
    bad = (struct abi_supply){.source = paged->source, .offset = PAGE_SIZE};
    CHECK_ERROR(sys_memory_op(paged->memory, MEMORY_OP_SOURCE, 0, 0, &bad), INVALID);
    CHECK_ERROR(sys_memory_op(paged->source, MEMORY_OP_SOURCE, 0, 0, &bad), ACCESS);
    bad = (struct abi_supply){.source = HANDLE_NONE};
    MUST(sys_memory_op(paged->memory, MEMORY_OP_SOURCE, 0, 0, &bad));
    paged->status = 0;
    CHECK_ERROR(sys_memory_op(paged->memory, MEMORY_OP_COMMIT, 0, 1, NULL), IO);
    helper_kill(server);
    paged_end(paged);
}

/* --- Several who want one page ----------------------------------------------------------------------------------- */

struct reader {
    struct paged *paged;
    uint64_t *pages; /* NULL: maps them itself */
    uint64_t first, count;
    uint64_t sum;
    uint32_t done;
};

static void read_pages(void *argument)
{
    struct reader *reader = argument;
    uint64_t *pages = reader->pages;

    if (!pages)
        pages = paged_map(reader->paged, PROT_READ_, MAP_SHARED_);
    for (uint64_t i = reader->first; i < reader->first + reader->count; i++)
        reader->sum += word_of(pages, i);
    word_set(&reader->done, 1);
}

#define READERS 6u

TEST(several_wait_for_one_question)
{
    struct paged *paged = paged_new();
    struct helper *server = helper_process(serve_pages, paged), *helpers_[READERS];
    struct reader *readers = shared(sizeof(*readers) * READERS);

    word_set(&paged->hold, 1);
    for (uint32_t i = 0; i < READERS; i++) {
        readers[i] = (struct reader){.paged = paged, .first = 2, .count = 1};
        helpers_[i] = i % 2 ? helper_process(read_pages, &readers[i]) : NULL;
        if (!helpers_[i]) {
            readers[i].pages = paged_map(paged, PROT_READ_, MAP_SHARED_);
            helpers_[i] = helper_thread(read_pages, &readers[i]);
        }
    }
    word_wait(&paged->asked, 1);
    sleep_for(50 * MILLISECOND);
    for (uint32_t i = 0; i < READERS; i++)
        CHECK_EQUAL(word_get(&readers[i].done), 0);
    word_set(&paged->hold, 0);
    for (uint32_t i = 0; i < READERS; i++) {
        helper_join(helpers_[i]);
        CHECK_EQUAL(readers[i].sum, PATTERN + 2);
        if (readers[i].pages)
            paged_unmap(readers[i].pages);
    }
    CHECK_EQUAL(word_get(&paged->asked), 1);
    unshare(readers);
    helper_kill(server);
    paged_end(paged);
}

/* The one who asked is killed: the others are not forgotten. Neither is one who only waited. */
TEST(who_asked_is_killed)
{
    struct paged *paged = paged_new();
    struct helper *server = helper_process(serve_pages, paged);
    struct reader *readers = shared(sizeof(*readers) * 3);
    struct helper *clients[3];

    word_set(&paged->hold, 1);
    for (uint32_t i = 0; i < 3; i++) {
        readers[i] = (struct reader){.paged = paged, .first = 1, .count = 1};
        clients[i] = helper_process(read_pages, &readers[i]);
        if (i == 0)
            word_wait(&paged->asked, 1);
    }
    sleep_for(20 * MILLISECOND);
    helper_kill(clients[0]);
    helper_kill(clients[1]);
    CHECK(!helper_ended(clients[2]));
    word_set(&paged->hold, 0);
    helper_join(clients[2]);
    CHECK_EQUAL(readers[2].sum, PATTERN + 1);
    CHECK(word_get(&paged->asked) <= 2);
    unshare(readers);
    helper_kill(server);
    paged_end(paged);
}

/* --- Errors ------------------------------------------------------------------------------------------------------ */

#define PAGE_FAULT (EXIT_EXCEPTION | 14)

static uint32_t reader_status(struct paged *paged, uint64_t index)
{
    struct reader *reader = shared(sizeof(*reader));

    *reader = (struct reader){.paged = paged, .first = index, .count = 1};
    uint32_t status = helper_status(helper_process(read_pages, reader));

    unshare(reader);
    return status;
}

TEST(a_page_that_cannot_be_had)
{
    struct paged *paged = paged_new();
    struct helper *server = helper_process(serve_pages, paged);
    uint64_t word, *pages = paged_map(paged, PROT_READ_ | PROT_WRITE_, MAP_SHARED_);

    paged->status = E_IO;
    CHECK_EQUAL(reader_status(paged, 1), PAGE_FAULT);
    CHECK_ERROR(sys_memory_op(paged->memory, MEMORY_OP_READ, PAGE_SIZE, 8, &word), IO);
    CHECK_ERROR(sys_memory_op(paged->memory, MEMORY_OP_WRITE, PAGE_SIZE, 8, &word), IO);
    CHECK_ERROR(sys_memory_op(paged->memory, MEMORY_OP_COMMIT, PAGE_SIZE, 8, NULL), IO);
    CHECK_ERROR(sys_memory_op(paged->memory, MEMORY_OP_ZERO, PAGE_SIZE, 8, NULL), IO);
    CHECK_ERROR(
        sys_system_info((void *)((char *)pages + PAGE_SIZE), sizeof(struct abi_system_info)),
        FAULT);
    CHECK_ERROR(sys_log_write((const char *)pages + PAGE_SIZE, 10), FAULT);
    paged->status = E_NO_SPACE;
    CHECK_ERROR(sys_memory_op(paged->memory, MEMORY_OP_COMMIT, PAGE_SIZE, 8, NULL), NO_SPACE);
    paged->status = E_AGAIN; /* means something else to the kernel */
    CHECK_ERROR(sys_memory_op(paged->memory, MEMORY_OP_COMMIT, PAGE_SIZE, 8, NULL), IO);
    paged->status = E_INTERRUPTED;
    CHECK_ERROR(sys_memory_op(paged->memory, MEMORY_OP_COMMIT, PAGE_SIZE, 8, NULL), IO);
    CHECK_EQUAL(reader_status(paged, 1), PAGE_FAULT);
    paged->status = 0;
    CHECK_EQUAL(word_of(pages, 1), PATTERN + 1);
    paged_unmap(pages);
    helper_kill(server);
    paged_end(paged);
}

/* Says it did and does nothing. */
static void serve_nothing(void *argument)
{
    struct paged *paged = argument;
    struct abi_message message;

    for (;;) {
        MUST(sys_proto_accept(paged->protocol.port, &message, NULL, 0, DEADLINE_NEVER));
        if (message.kind == MESSAGE_COMMAND)
            sys_ignore(return_status(paged->protocol.port, message.token, 0, 0));
    }
}

TEST(an_empty_answer_is_an_error)
{
    struct paged *paged = paged_new();
    struct helper *server = helper_process(serve_nothing, paged);

    CHECK_ERROR(sys_memory_op(paged->memory, MEMORY_OP_COMMIT, 0, 1, NULL), IO);
    CHECK_EQUAL(reader_status(paged, 3), PAGE_FAULT);
    helper_kill(server);
    paged_end(paged);
}

static int64_t paged_create(handle_t port, uint64_t size, uint32_t flags)
{
    return sys_memory_paged(port, size, 1, flags);
}

TEST(bad_arguments)
{
    struct paged *paged = paged_new();
    handle_t port = paged->protocol.port, memory = paged->memory, source = paged->source;
    handle_t weak = duplicate(memory, RIGHT_READ | RIGHT_WRITE);
    handle_t readable = duplicate(source, RIGHT_READ);
    handle_t notifier = duplicate(port, RIGHT_SEND);
    struct abi_page_run run;
    struct abi_supply good = {.source = source};

    CHECK_ERROR(paged_create(notifier, PAGE_SIZE, 0), ACCESS);
    CHECK_ERROR(paged_create(source, PAGE_SIZE, 0), WRONG_TYPE);
    CHECK_ERROR(paged_create(port, PAGE_SIZE, 1), INVALID);
    CHECK_ERROR(paged_create(port, UINT64_MAX, 0), RANGE);
    CHECK_ERROR(sys_memory_paged(port, PAGE_SIZE, KEY, 0), EXISTS);

    CHECK_ERROR(supply(memory, 1, PAGE_SIZE, source, 0, 0), INVALID);
    CHECK_ERROR(supply(memory, 0, 1, source, 0, 0), INVALID);
    CHECK_ERROR(supply(memory, 0, PAGE_SIZE, source, 1, 0), INVALID);
    CHECK_ERROR(supply(memory, 0, PAGE_SIZE, source, 0, 4), INVALID);
    CHECK_ERROR(supply(memory, 0, PAGE_SIZE, memory, 0, 0), INVALID);
    CHECK_ERROR(supply(memory, PAGES * PAGE_SIZE, PAGE_SIZE, source, 0, 0), RANGE);
    CHECK_ERROR(supply(memory, 0, PAGE_SIZE, source, PAGES * PAGE_SIZE, 0), RANGE);
    CHECK_ERROR(supply(memory, 0, PAGE_SIZE, source, UINT64_MAX - PAGE_SIZE + 1, 0), RANGE);
    CHECK_ERROR(supply(source, 0, PAGE_SIZE, memory, 0, 0),
                ACCESS); /* ordinary memory has no RIGHT_CONTROL */
    CHECK_ERROR(supply(weak, 0, PAGE_SIZE, source, 0, 0), ACCESS);
    CHECK_ERROR(supply(memory, 0, PAGE_SIZE, readable, 0, SUPPLY_MOVE), ACCESS);
    CHECK_ERROR(supply(memory, 0, PAGE_SIZE, HANDLE_NONE, 0, 0), BAD_HANDLE);
    CHECK_ERROR(supply(memory, 0, PAGE_SIZE, port, 0, 0), WRONG_TYPE);
    CHECK_ERROR(sys_memory_op(memory, MEMORY_OP_SUPPLY, 0, PAGE_SIZE, NULL), FAULT);
    good.source = readable;
    CHECK_EQUAL(MUST(sys_memory_op(memory, MEMORY_OP_SUPPLY, 0, PAGE_SIZE, &good)), 1);
    CHECK_EQUAL(MUST(sys_memory_op(memory, MEMORY_OP_SUPPLY, 0, 2 * PAGE_SIZE, &good)), 1);

    static const uint32_t ops[] = {MEMORY_OP_DIRTY,   MEMORY_OP_COLLECT, MEMORY_OP_WRITTEN,
                                   MEMORY_OP_REDIRTY, MEMORY_OP_EVICT,   MEMORY_OP_PRESENT};

    for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
        CHECK_ERROR(sys_memory_op(weak, ops[i], 0, PAGE_SIZE, &run), ACCESS);
        CHECK_ERROR(sys_memory_op(memory, ops[i], 1, PAGE_SIZE, &run), INVALID);
        CHECK_ERROR(sys_memory_op(memory, ops[i], 0, 1, &run), INVALID);
        CHECK_ERROR(sys_memory_op(memory, ops[i], PAGE_SIZE, PAGES * PAGE_SIZE, &run), RANGE);
    }
    CHECK_ERROR(sys_memory_op(source, MEMORY_OP_SYNC, 0, PAGE_SIZE, NULL), NOT_SUPPORTED);
    CHECK_ERROR(sys_memory_op(memory, MEMORY_OP_DIRTY, 0, PAGE_SIZE, NULL), FAULT);
    CHECK_ERROR(sys_memory_op(memory, MEMORY_OP_PRESENT, 0, PAGE_SIZE, NULL), FAULT);
    CHECK_ERROR(sys_memory_op(source, MEMORY_OP_PRESENT, 0, 0, NULL), ACCESS);
    CHECK_ERROR(sys_memory_op(weak, MEMORY_OP_DECOMMIT, 0, PAGE_SIZE, NULL), ACCESS);
    CHECK_ERROR(sys_memory_resize(weak, PAGE_SIZE), ACCESS);
    handle_drop(weak);
    handle_drop(readable);
    handle_drop(notifier);
    paged_end(paged);
}

/* Only the kernel asks for pages. */
TEST(clients_do_not_ask)
{
    struct protocol protocol = protocol_new();
    struct helper *server = helper_process(serve_protocol, &protocol);
    handle_t file = open_uri(&protocol, "test://x", OPEN_READ);
    struct abi_command command = command_of(OP_PAGE_IN);

    CHECK_ERROR(call_op(file, OP_PAGE_IN), INVALID);
    CHECK_ERROR(call_op(file, OP_PAGE_OUT), INVALID);
    CHECK_ERROR(path_op(protocol.names, "test://x", &command), INVALID);
    handle_drop(file);
    protocol_stop(&protocol);
    helper_join(server);
    protocol_end(&protocol);
}

/* --- Services that fault, die or hang ------------------------------------------------------------------------------ */

static void fault_on_own(void *argument)
{
    struct paged *paged = argument;
    struct abi_message message;
    uint64_t word;

    CHECK_ERROR(sys_proto_accept(paged->protocol.port, &message, NULL, 0, DEADLINE_NOW), AGAIN);
    CHECK_ERROR(sys_memory_op(paged->memory, MEMORY_OP_READ, 0, 8, &word), DEADLOCK);
    CHECK_ERROR(sys_memory_op(paged->memory, MEMORY_OP_COMMIT, 0, 8, NULL), DEADLOCK);
    uint64_t *pages = paged_map(paged, PROT_READ_ | PROT_WRITE_, MAP_SHARED_);

    CHECK_ERROR(sys_log_write((const char *)pages, 10), FAULT);
    fill_source(paged, 0);
    MUST(supply(paged->memory, 0, PAGE_SIZE, paged->source, 0, SUPPLY_MOVE));
    CHECK_EQUAL(word_of(pages, 0), PATTERN);
    word_put(pages, 0, 5);
    CHECK_ERROR(sys_memory_op(paged->memory, MEMORY_OP_SYNC, 0, PAGE_SIZE, NULL), DEADLOCK);
    word_of(pages, 1);
}

TEST(a_service_does_not_wait_for_itself)
{
    struct paged *paged = paged_new();

    CHECK_EQUAL(helper_status(helper_process(fault_on_own, paged)), PAGE_FAULT);
    paged_end(paged);
}

/* Killed while its clients wait for pages, again and again; they see only right pages, late. */
TEST(services_die_in_the_middle)
{
    struct paged *paged = paged_new();
    struct reader *readers = shared(sizeof(*readers) * 3);
    struct helper *clients[3];

    paged->one = 1;
    for (uint32_t i = 0; i < 3; i++) {
        readers[i] = (struct reader){.paged = paged, .first = i * 16, .count = 16};
        clients[i] = helper_process(read_pages, &readers[i]);
    }
    for (uint32_t round = 0; round < 10; round++) {
        uint32_t asked = word_get(&paged->asked);

        paged->limit = round % 3 + 1;
        struct helper *server = helper_process(serve_pages, paged);

        word_wait(&paged->asked, asked + paged->limit + 1);
        helper_kill(server);
    }
    paged->limit = 0;
    struct helper *server = helper_process(serve_pages, paged);

    for (uint64_t i = 0; i < 3; i++) {
        helper_join(clients[i]);
        CHECK_EQUAL(readers[i].sum, 16 * PATTERN + 16 * 16 * i + 120);
    }
    helper_kill(server);
    unshare(readers);
    paged_end(paged);
}

/* One that never answers holds nobody who is killed, be it the asker, a waiter, or one in a system call. */
static void log_pages(void *argument)
{
    struct reader *reader = argument;
    uint64_t *pages = paged_map(reader->paged, PROT_READ_, MAP_SHARED_);

    sys_ignore(sys_log_write((const char *)pages, 10));
}

TEST(a_service_that_hangs)
{
    struct paged *paged = paged_new();
    struct reader *reader = shared(sizeof(*reader));
    struct helper *server = helper_process(serve_pages, paged), *clients[4];

    *reader = (struct reader){.paged = paged, .first = 0, .count = 1};
    word_set(&paged->hold, 1);
    for (uint32_t i = 0; i < 4; i++)
        clients[i] = helper_process(i % 2 ? log_pages : read_pages, reader);
    word_wait(&paged->asked, 1);
    sleep_for(20 * MILLISECOND);
    int64_t start = now();

    for (uint32_t i = 0; i < 4; i++)
        helper_kill(clients[i]);
    CHECK(now() - start < 5 * SECOND);
    helper_kill(server);
    unshare(reader);
    paged_end(paged);
}

TEST(no_service_any_more)
{
    struct paged *paged = paged_new();
    uint64_t word;

    MUST(sys_handle_close(paged->protocol.port));
    MUST(sys_handle_close(paged->protocol.names));
    CHECK_ERROR(sys_memory_op(paged->memory, MEMORY_OP_READ, 0, 8, &word), SERVICE_DOWN);
    CHECK_EQUAL(reader_status(paged, 3), PAGE_FAULT);
    handle_drop(paged->memory);
    handle_drop(paged->source);
    unshare(paged);
}

/* --- What can be done with the pages ------------------------------------------------------------------------------- */

TEST(shared_pages_part_when_written)
{
    struct paged *paged = paged_new();
    struct helper *server = helper_process(serve_pages, paged);
    uint64_t *pages = paged_map(paged, PROT_READ_ | PROT_WRITE_, MAP_SHARED_), word;

    word_put(pages, 2, 7);
    CHECK_EQUAL(paged->access, PROT_READ_ | PROT_WRITE_);
    CHECK_EQUAL(word_of(pages, 2), 7);
    MUST(sys_memory_op(paged->source, MEMORY_OP_READ, 2 * PAGE_SIZE + 40, 8, &word));
    CHECK_EQUAL(word, PATTERN + 2);
    word = 9;
    MUST(sys_memory_op(paged->source, MEMORY_OP_WRITE, 3 * PAGE_SIZE + 40, 8, &word));
    CHECK_EQUAL(word_of(pages, 3), PATTERN + 3);
    paged_unmap(pages);
    helper_kill(server);
    paged_end(paged);
}

/* MAP_PRIVATE of a file, and a fork of it. */
TEST(private_mappings)
{
    struct paged *paged = paged_new();
    struct helper *server = helper_process(serve_pages, paged);
    struct reader *reader = shared(sizeof(*reader));
    uint64_t *pages = paged_map(paged, PROT_READ_ | PROT_WRITE_, 0), word;
    struct abi_page_run run;

    CHECK_EQUAL(word_of(pages, 20), PATTERN + 20);
    word_put(pages, 20, 5);
    word_put(pages, 40, 6);
    *reader = (struct reader){.paged = paged, .pages = pages, .first = 40, .count = 3};
    helper_join(helper_process(read_pages, reader));
    CHECK_EQUAL(reader->sum, 6 + 2 * PATTERN + 41 + 42);
    MUST(sys_memory_op(paged->memory, MEMORY_OP_READ, 20 * PAGE_SIZE + 40, 8, &word));
    CHECK_EQUAL(word, PATTERN + 20);
    CHECK_EQUAL(MUST(sys_memory_op(paged->memory, MEMORY_OP_DIRTY, 0, PAGES * PAGE_SIZE, &run)), 0);
    CHECK_EQUAL(word_of(pages, 20), 5);
    paged_unmap(pages);
    unshare(reader);
    helper_kill(server);
    paged_end(paged);
}

TEST(clones_fetch_what_they_lack)
{
    struct paged *paged = paged_new();
    struct helper *server = helper_process(serve_pages, paged);
    uint64_t word;

    MUST(sys_memory_op(paged->memory, MEMORY_OP_COMMIT, 5 * PAGE_SIZE, 1, NULL));
    handle_t clone =
        (handle_t)MUST(sys_memory_clone(paged->memory, 2 * PAGE_SIZE, 30 * PAGE_SIZE, 0));

    helper_kill(server);
    for (uint64_t i = 0; i < 30; i++) {
        MUST(sys_memory_op(clone, MEMORY_OP_READ, i * PAGE_SIZE, 8, &word));
        CHECK_EQUAL(word, PATTERN + i + 2);
    }
    handle_drop(clone);
    paged_end(paged);
}

TEST(past_the_end)
{
    struct paged *paged = paged_new();
    struct helper *server = helper_process(serve_pages, paged);

    touch_all(paged);
    MUST(sys_memory_resize(paged->memory, 10 * PAGE_SIZE));
    CHECK_EQUAL(reader_status(paged, 9), 0);
    CHECK_EQUAL(reader_status(paged, 10), PAGE_FAULT);
    uint32_t asked = word_get(&paged->asked);

    MUST(sys_memory_resize(paged->memory, PAGES * PAGE_SIZE));
    CHECK_EQUAL(reader_status(paged, 9), 0);
    CHECK_EQUAL(word_get(&paged->asked), asked);
    CHECK_EQUAL(reader_status(paged, 10), 0); /* asked for again */
    CHECK_EQUAL(word_get(&paged->asked), asked + 1);
    CHECK_EQUAL(paged->offset, 10 * PAGE_SIZE);
    helper_kill(server);
    paged_end(paged);
}
