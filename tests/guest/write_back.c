/* Memory with a pager, the service's side: which pages are dirty, which can go, and who is asked to write them back. */
#include "tests/guest/paged.h"

TEST(dirty_pages)
{
    struct paged *paged = paged_new();
    struct helper *server = helper_process(serve_pages, paged);
    uint64_t word = 3;

    paged->flags = SUPPLY_MOVE;
    touch_all(paged);
    check_run(paged, MEMORY_OP_DIRTY, 0, 0, 0);
    uint64_t *pages = paged_map(paged, PROT_READ_ | PROT_WRITE_, MAP_SHARED_);

    CHECK_EQUAL(word_of(pages, 10), PATTERN + 10);
    word_put(pages, 10, 1);
    word_put(pages, 11, 1);
    MUST(sys_memory_op(paged->memory, MEMORY_OP_WRITE, 12 * PAGE_SIZE, 8, &word));
    MUST(sys_memory_op(paged->memory, MEMORY_OP_ZERO, 30 * PAGE_SIZE, 8, NULL));
    MUST(sys_system_info((void *)((char *)pages + 50 * PAGE_SIZE), sizeof(struct abi_system_info)));
    check_run(paged, MEMORY_OP_DIRTY, 0, 10, 3);
    check_run(paged, MEMORY_OP_DIRTY, 13, 30, 1);
    check_run(paged, MEMORY_OP_DIRTY, 31, 50, 1);
    check_run(paged, MEMORY_OP_DIRTY, 51, 0, 0);

    check_run(paged, MEMORY_OP_COLLECT, 0, 10, 3);
    check_run(paged, MEMORY_OP_DIRTY, 0, 30, 1);
    word_put(pages, 11, 2); /* written to while it is on its way */
    check_run(paged, MEMORY_OP_DIRTY, 0, 11, 1);
    CHECK_EQUAL(MUST(run_op(paged, MEMORY_OP_WRITTEN, 10, 3, NULL)), 0);
    check_run(paged, MEMORY_OP_DIRTY, 0, 11, 1);
    CHECK_EQUAL(word_of(pages, 10), 1);

    check_run(paged, MEMORY_OP_COLLECT, 12, 30, 1);
    MUST(run_op(paged, MEMORY_OP_REDIRTY, 0, PAGES, NULL));
    check_run(paged, MEMORY_OP_DIRTY, 12, 30, 1);
    paged_unmap(pages);
    helper_kill(server);
    paged_end(paged);
}

/* Clean pages go and come back from the service; dirty ones and those being written stay. */
TEST(eviction)
{
    struct paged *paged = paged_new();
    struct helper *server = helper_process(serve_pages, paged);

    paged->flags = SUPPLY_MOVE;
    touch_all(paged);
    uint64_t *pages = paged_map(paged, PROT_READ_ | PROT_WRITE_, MAP_SHARED_);

    for (uint64_t i = 0; i < PAGES; i++)
        CHECK_EQUAL(word_of(pages, i), PATTERN + i);
    word_put(pages, 0, 100);
    word_put(pages, 5, 105);
    word_put(pages, 6, 106);
    check_run(paged, MEMORY_OP_COLLECT, 5, 5, 2);
    CHECK_EQUAL(MUST(run_op(paged, MEMORY_OP_EVICT, 0, PAGES, NULL)), PAGES - 3);
    CHECK_EQUAL(MUST(run_op(paged, MEMORY_OP_EVICT, 0, PAGES, NULL)), 0);
    uint32_t asked = word_get(&paged->asked);

    CHECK_EQUAL(word_of(pages, 0), 100);
    CHECK_EQUAL(word_of(pages, 5), 105);
    CHECK_EQUAL(word_of(pages, 6), 106);
    CHECK_EQUAL(word_get(&paged->asked), asked);
    CHECK_EQUAL(word_of(pages, 4), PATTERN + 4);
    CHECK_EQUAL(word_get(&paged->asked), asked + 1);
    CHECK_EQUAL(paged->length, PAGE_SIZE); /* page 5 is there */
    CHECK_EQUAL(word_of(pages, 40), PATTERN + 40);
    MUST(run_op(paged, MEMORY_OP_DECOMMIT, 0, PAGES, NULL));
    CHECK_EQUAL(word_of(pages, 0), PATTERN);
    check_run(paged, MEMORY_OP_DIRTY, 0, 0, 0);
    paged_unmap(pages);
    helper_kill(server);
    paged_end(paged);
}

/* A client asks for what it wrote to be on the medium. */
static void serve_sync(void *argument)
{
    struct paged *paged = argument;
    struct abi_message message = accept_op(paged->protocol.port, OP_PAGE_OUT);
    uint64_t at = message.args[0], end = at + message.args[1];
    struct abi_page_run run;

    CHECK_EQUAL(message.args[3], KEY);
    while (MUST(sys_memory_op(paged->memory, MEMORY_OP_COLLECT, at, end - at, &run))) {
        word_add(&paged->asked, (uint32_t)(run.length / PAGE_SIZE));
        MUST(sys_memory_op(paged->memory, MEMORY_OP_WRITTEN, run.offset, run.length, NULL));
        at = run.offset + run.length;
    }
    MUST(return_status(paged->protocol.port, message.token,
                       paged->status ? -(int64_t)paged->status : 0, 0));
}

TEST(sync_asks_the_service)
{
    struct paged *paged = paged_new();
    handle_t client = duplicate(paged->memory, RIGHT_READ | RIGHT_WRITE);
    uint64_t *pages = paged_map(paged, PROT_READ_ | PROT_WRITE_, MAP_SHARED_);

    MUST(supply(paged->memory, 0, PAGES * PAGE_SIZE, paged->source, 0, 0));
    MUST(sys_memory_op(client, MEMORY_OP_SYNC, 0, PAGES * PAGE_SIZE, NULL)); /* nothing to ask */
    word_put(pages, 1, 1);
    word_put(pages, 2, 1);
    word_put(pages, 9, 1);
    MUST(sys_memory_op(client, MEMORY_OP_SYNC, 3 * PAGE_SIZE, PAGE_SIZE, NULL));
    struct helper *server = helper_process(serve_sync, paged);

    MUST(sys_memory_op(client, MEMORY_OP_SYNC, 2 * PAGE_SIZE, 8 * PAGE_SIZE, NULL));
    helper_join(server);
    CHECK_EQUAL(paged->asked, 2);
    check_run(paged, MEMORY_OP_DIRTY, 0, 1, 1);
    paged->status = E_NO_SPACE;
    server = helper_process(serve_sync, paged);
    CHECK_ERROR(sys_memory_op(client, MEMORY_OP_SYNC, 0, PAGES * PAGE_SIZE, NULL), NO_SPACE);
    helper_join(server);
    paged_unmap(pages);
    handle_drop(client);
    paged_end(paged);
}
