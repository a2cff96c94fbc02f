/* Memory a port keeps: found by the next instance of a service, dirty marks included, until the port is gone. */
#include "tests/guest/protocol.h"

static handle_t memory_with(uint64_t pages, uint64_t word)
{
    handle_t memory = (handle_t)MUST(sys_memory_create(pages * PAGE_SIZE, 0));

    MUST(sys_memory_op(memory, MEMORY_OP_WRITE, 0, sizeof(word), &word));
    return memory;
}

static uint64_t first_word(handle_t memory)
{
    uint64_t word;

    MUST(sys_memory_op(memory, MEMORY_OP_READ, 0, sizeof(word), &word));
    return word;
}

static int64_t kept_from(handle_t port, uint64_t key, uint32_t flags, struct abi_kept *kept)
{
    *kept = (struct abi_kept){.key = key, .flags = flags};
    return sys_port_kept(port, kept);
}

TEST(kept_and_found_by_key)
{
    struct protocol protocol = protocol_new();
    struct abi_kept kept;

    CHECK_ERROR(kept_from(protocol.port, 0, 0, &kept), NOT_FOUND);
    for (uint64_t key = 30; key > 0; key -= 10) {
        handle_t memory = memory_with(key, key);

        MUST(sys_port_keep(protocol.port, key, memory));
        handle_drop(memory);
    }
    uint64_t from = 0, expected = 10;

    while (kept_from(protocol.port, from, 0, &kept) != -E_NOT_FOUND) {
        CHECK_EQUAL(kept.key, expected);
        CHECK_EQUAL(kept.size, expected * PAGE_SIZE);
        CHECK_EQUAL(kept.flags, 0);
        CHECK_EQUAL(first_word(kept.handle), expected);
        handle_drop(kept.handle);
        from = kept.key + 1;
        expected += 10;
    }
    CHECK_EQUAL(expected, 40);
    CHECK_ERROR(kept_from(protocol.port, 15, KEPT_EXACT, &kept), NOT_FOUND);
    MUST(kept_from(protocol.port, 20, KEPT_EXACT, &kept));
    handle_t second = kept.handle;

    MUST(kept_from(protocol.port, 20, KEPT_EXACT, &kept));
    CHECK_EQUAL(kept.flags, KEPT_USED);
    CHECK_EQUAL(info_of(second).id, info_of(kept.handle).id);
    handle_drop(second);
    handle_drop(kept.handle);

    MUST(sys_port_keep(protocol.port, 20, HANDLE_NONE));
    CHECK_ERROR(sys_port_keep(protocol.port, 20, HANDLE_NONE), NOT_FOUND);
    MUST(kept_from(protocol.port, 11, 0, &kept));
    CHECK_EQUAL(kept.key, 30);
    handle_drop(kept.handle);
    protocol_end(&protocol); /* and the rest goes */
}

TEST(the_rights_it_was_kept_with)
{
    struct protocol protocol = protocol_new();
    handle_t memory = memory_with(1, 1);
    handle_t narrow = duplicate(memory, RIGHT_READ | RIGHT_DUPLICATE | RIGHT_TRANSFER);
    struct abi_kept kept;

    MUST(sys_port_keep(protocol.port, UINT64_MAX, narrow));
    MUST(kept_from(protocol.port, UINT64_MAX, 0, &kept));
    CHECK_EQUAL(info_of(kept.handle).rights, RIGHT_READ | RIGHT_DUPLICATE | RIGHT_TRANSFER);
    CHECK_ERROR(sys_memory_op(kept.handle, MEMORY_OP_ZERO, 0, 1, NULL), ACCESS);
    handle_drop(kept.handle);
    handle_drop(narrow);
    handle_drop(memory);
    protocol_end(&protocol);
}

TEST(bad_arguments)
{
    struct protocol protocol = protocol_new();
    handle_t port = protocol.port, memory = memory_with(1, 1);
    handle_t fixed = duplicate(memory, RIGHT_ALL & ~RIGHT_DUPLICATE);
    handle_t stuck = duplicate(memory, RIGHT_ALL & ~RIGHT_TRANSFER);
    handle_t notifier = duplicate(port, RIGHT_SEND);
    struct abi_kept kept = {.flags = KEPT_PAGED};

    CHECK_ERROR(sys_port_keep(notifier, 1, memory), ACCESS);
    CHECK_ERROR(sys_port_keep(memory, 1, memory), WRONG_TYPE);
    CHECK_ERROR(sys_port_keep(port, 1, port), INVALID);
    CHECK_ERROR(sys_port_keep(port, 1, 0x7fff), BAD_HANDLE);
    CHECK_ERROR(sys_port_keep(port, 1, fixed), ACCESS);
    CHECK_ERROR(sys_port_keep(port, 1, stuck), ACCESS);
    MUST(sys_port_keep(port, 1, memory));
    CHECK_ERROR(sys_port_keep(port, 1, memory), EXISTS);
    MUST(sys_port_keep(port, 2, memory)); /* the same under another key */
    CHECK_ERROR(sys_port_kept(notifier, &kept), ACCESS);
    CHECK_ERROR(sys_port_kept(port, &kept), INVALID);
    CHECK_ERROR(sys_port_kept(port, NULL), FAULT);
    uint64_t handles = process_info(HANDLE_SELF).handles;
    struct abi_kept *constant = pages_map(1);

    constant->flags = 0; /* readable, not writable: nothing is handed out */
    MUST(sys_space_protect(HANDLE_SELF, (uintptr_t)constant, PAGE_SIZE, PROT_READ_));
    CHECK_ERROR(sys_port_kept(port, constant), FAULT);
    CHECK_EQUAL(process_info(HANDLE_SELF).handles, handles);
    pages_unmap(constant, 1);
    handle_drop(notifier);
    handle_drop(stuck);
    handle_drop(fixed);
    handle_drop(memory);
    protocol_end(&protocol);
}

#define LIMIT 65536u /* kernel/ipc/port.h: PORT_KEPT_MAX */

TEST(there_is_a_limit)
{
    struct protocol protocol = protocol_new();
    handle_t memory = memory_with(1, 1);

    for (uint64_t key = 0; key < LIMIT; key++)
        MUST(sys_port_keep(protocol.port, key, memory));
    CHECK_ERROR(sys_port_keep(protocol.port, LIMIT, memory), QUOTA);
    MUST(sys_port_keep(protocol.port, 5, HANDLE_NONE));
    MUST(sys_port_keep(protocol.port, LIMIT, memory));
    handle_drop(memory);
    protocol_end(&protocol);
}

/* --- What a dead service leaves ------------------------------------------------------------------------------------ */

#define KEY    5u
#define PAGES  140u
#define ABSENT 100u /* this one nobody supplied */

struct life {
    struct protocol protocol;
    uint32_t step; /* what the service has done */
    uint32_t found;
    char medium[PAGES]; /* a byte of each page */
};

/* The first instance: makes the object with its cache, some of it dirty from the beginning, and takes a page for writing back; there it
 * dies. */
static void first_life(void *argument)
{
    struct life *life = argument;
    handle_t port = life->protocol.port, source = memory_with(PAGES, 0);
    handle_t memory = (handle_t)MUST(sys_memory_paged(port, PAGES * PAGE_SIZE, KEY, 0));
    struct abi_supply supply = {.source = source, .flags = SUPPLY_MOVE};
    struct abi_page_run run;

    MUST(sys_memory_op(memory, MEMORY_OP_SUPPLY, 0, ABSENT * PAGE_SIZE, &supply));
    supply.flags |= SUPPLY_DIRTY;
    supply.offset = (ABSENT + 1) * PAGE_SIZE;
    MUST(sys_memory_op(memory, MEMORY_OP_SUPPLY, supply.offset, PAGES * PAGE_SIZE - supply.offset,
                       &supply));
    char *pages = memory_map(memory, PAGES * PAGE_SIZE, PROT_READ_ | PROT_WRITE_, MAP_SHARED_);

    for (uint64_t i = 7; i < 12; i++)
        pages[i * PAGE_SIZE] = (char)('a' + i);
    pages[30 * PAGE_SIZE] = 'z';
    CHECK_EQUAL(MUST(sys_memory_op(memory, MEMORY_OP_COLLECT, 0, 10 * PAGE_SIZE, &run)), 3);
    word_set(&life->step, 1);
    sleep_for(PATIENCE);
}

/* The next one sees what there is, and writes to the medium what is dirty. */
static void second_life(void *argument)
{
    struct life *life = argument;
    handle_t port = life->protocol.port;
    struct abi_kept kept;
    struct abi_page_run run;
    uint64_t present[3];

    MUST(kept_from(port, 0, 0, &kept));
    CHECK_EQUAL(kept.key, KEY);
    CHECK_EQUAL(kept.flags, KEPT_PAGED);
    CHECK_EQUAL(info_of(kept.handle).rights & RIGHT_CONTROL, RIGHT_CONTROL);
    MUST(sys_memory_op(kept.handle, MEMORY_OP_PRESENT, 0, kept.size, present));
    CHECK_EQUAL(present[0], UINT64_MAX);
    CHECK_EQUAL(present[1], ~(UINT64_C(1) << (ABSENT - 64)));
    CHECK_EQUAL(present[2], (UINT64_C(1) << (PAGES - 128)) - 1);
    MUST(sys_memory_op(kept.handle, MEMORY_OP_PRESENT, 90 * PAGE_SIZE, 13 * PAGE_SIZE, present));
    CHECK_EQUAL(present[0], 0x1bff);
    for (uint64_t at = 0; at < kept.size; at = run.offset + run.length) {
        life->found +=
            (uint32_t)MUST(sys_memory_op(kept.handle, MEMORY_OP_COLLECT, at, kept.size - at, &run));
        for (uint64_t i = run.offset; i < run.offset + run.length; i += PAGE_SIZE)
            MUST(sys_memory_op(kept.handle, MEMORY_OP_READ, i, 1, &life->medium[i / PAGE_SIZE]));
        MUST(sys_memory_op(kept.handle, MEMORY_OP_WRITTEN, run.offset, run.length, NULL));
    }
    CHECK_EQUAL(MUST(sys_memory_op(kept.handle, MEMORY_OP_EVICT, 0, kept.size, NULL)), PAGES - 1);
    MUST(sys_port_keep(port, KEY, HANDLE_NONE));
}

TEST(the_next_writes_back)
{
    struct life *life = shared(sizeof(*life));

    life->protocol = protocol_new();
    struct helper *first = helper_process(first_life, life);

    word_wait(&life->step, 1);
    helper_kill(first);
    helper_join(helper_process(second_life, life));
    CHECK_EQUAL(life->found, 6 + PAGES - ABSENT - 1);
    for (uint64_t i = 7; i < 12; i++)
        CHECK_EQUAL(life->medium[i], (char)('a' + i));
    CHECK_EQUAL(life->medium[30], 'z');
    CHECK_EQUAL(life->medium[12], 0);
    protocol_end(&life->protocol);
    unshare(life);
}

/* A client's mapping lives through it: what it wrote before the death it reads after, and new pages come from the
 * next instance. */
static void serve_marked(void *argument)
{
    struct life *life = argument;
    handle_t port = life->protocol.port, source = memory_with(1, 'A' + word_get(&life->step));
    struct abi_supply supply = {.source = source};
    struct abi_kept kept;

    if (kept_from(port, KEY, KEPT_EXACT, &kept) < 0)
        kept.handle = (handle_t)MUST(sys_memory_paged(port, PAGES * PAGE_SIZE, KEY, 0));
    word_add(&life->step, 1);
    for (;;) {
        struct abi_message message = accept_op(port, OP_PAGE_IN);

        CHECK_EQUAL(message.args[3], KEY);
        MUST(sys_memory_op(kept.handle, MEMORY_OP_SUPPLY, message.args[0], PAGE_SIZE, &supply));
        MUST(return_status(port, message.token, 0, 0));
    }
}

TEST(mappings_outlive_services)
{
    struct life *life = shared(sizeof(*life));
    struct abi_kept kept;

    life->protocol = protocol_new();
    struct helper *server = helper_process(serve_marked, life);

    word_wait(&life->step, 1);
    MUST(kept_from(life->protocol.port, KEY, KEPT_EXACT, &kept));
    volatile char *pages =
        memory_map(kept.handle, PAGES * PAGE_SIZE, PROT_READ_ | PROT_WRITE_, MAP_SHARED_);

    CHECK_EQUAL(pages[0], 'A');
    pages[3 * PAGE_SIZE] = 'w';
    for (uint32_t round = 1; round < 4; round++) {
        helper_kill(server);
        server = helper_process(serve_marked, life);
        CHECK_EQUAL(pages[0], 'A');
        CHECK_EQUAL(pages[3 * PAGE_SIZE], 'w');
        CHECK_EQUAL(pages[(10 + round) * PAGE_SIZE], (char)('A' + round));
        word_wait(&life->step, round + 1);
    }
    pages_unmap((void *)pages, PAGES);
    handle_drop(kept.handle);
    helper_kill(server);
    protocol_end(&life->protocol);
    unshare(life);
}
