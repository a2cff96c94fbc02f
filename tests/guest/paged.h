/* For tests of memory with a pager: an object of PAGES pages, and the service in another process that supplies them.
 *
 *     struct paged *paged = paged_new();
 *     struct helper *server = helper_process(serve_pages, paged);
 *     uint64_t *pages = paged_map(paged, PROT_READ_, MAP_SHARED_);       word_of(pages, i) is PATTERN + i
 *     ...
 *     protocol_stop(&paged->protocol);  helper_join(server);  paged_end(paged);
 */
#pragma once

#include "tests/guest/protocol.h"

#define KEY   77u
#define PAGES 64u

/* What the test and its service share. Page i of the object is full of words PATTERN + i. */
struct paged {
    struct protocol protocol;
    handle_t memory; /* with RIGHT_CONTROL */
    handle_t source; /* where the service makes pages */
    uint32_t flags;  /* SUPPLY_* */
    uint32_t status; /* E_*: what to answer instead of a page */
    uint32_t one;    /* supply one page, however many were asked for */
    uint32_t asked;  /* questions so far */
    uint32_t limit;  /* answers of each instance of the service, then it hangs; 0: no limit */
    uint32_t hold;   /* not to be answered before this becomes 0 */
    uint64_t offset, length, access; /* of the last question */
};

#define PATTERN UINT64_C(0x1122334400000000)

static inline void fill_source(struct paged *paged, uint64_t index)
{
    static uint64_t page[PAGE_SIZE / sizeof(uint64_t)];

    for (size_t i = 0; i < ARRAY_SIZE(page); i++)
        page[i] = PATTERN + index;
    MUST(sys_memory_op(paged->source, MEMORY_OP_WRITE, index * PAGE_SIZE, PAGE_SIZE, page));
}

static inline int64_t supply(handle_t memory, uint64_t offset, uint64_t length, handle_t source,
                             uint64_t source_offset, uint32_t flags)
{
    struct abi_supply supply = {.offset = source_offset, .source = source, .flags = flags};

    return sys_memory_op(memory, MEMORY_OP_SUPPLY, offset, length, &supply);
}

static inline int64_t answer_page_in(struct paged *paged, const struct abi_message *message)
{
    uint64_t offset = message->args[0], length = paged->one ? PAGE_SIZE : message->args[1];

    paged->offset = offset;
    paged->length = message->args[1];
    paged->access = message->args[2];
    CHECK_EQUAL(message->args[3], KEY);
    word_add(&paged->asked, 1);
    static uint32_t answers;

    if (paged->limit && answers++ == paged->limit)
        sleep_for(PATIENCE);
    for (uint32_t held; (held = word_get(&paged->hold)) != 0;)
        sys_ignore(sys_futex_wait(&paged->hold, held, FUTEX_SHARED_, DEADLINE_NEVER, FUTEX_ANY));
    if (paged->status)
        return -(int64_t)paged->status;
    for (uint64_t at = offset; at < offset + length; at += PAGE_SIZE)
        fill_source(paged, at / PAGE_SIZE);
    MUST(supply(paged->memory, offset, length, paged->source, offset, paged->flags));
    return 0;
}

static inline void serve_pages(void *argument)
{
    struct paged *paged = argument;
    struct abi_message message;

    for (;;) {
        MUST(sys_proto_accept(paged->protocol.port, &message, NULL, 0, DEADLINE_NEVER));
        if (message.kind == MESSAGE_NOTIFY && message.args[0] & STOP)
            return;
        if (message.kind != MESSAGE_COMMAND)
            continue;
        int64_t status = message.op == OP_PAGE_IN ? answer_page_in(paged, &message) : -E_NO_CALL;

        sys_ignore(return_status(paged->protocol.port, message.token, status, 0));
    }
}

static inline struct paged *paged_new(void)
{
    struct paged *paged = shared(sizeof(*paged));

    paged->protocol = protocol_new();
    paged->memory =
        (handle_t)MUST(sys_memory_paged(paged->protocol.port, PAGES * PAGE_SIZE, KEY, 0));
    paged->source = (handle_t)MUST(sys_memory_create(PAGES * PAGE_SIZE, 0));
    return paged;
}

static inline void paged_end(struct paged *paged)
{
    handle_drop(paged->memory);
    handle_drop(paged->source);
    protocol_end(&paged->protocol);
    unshare(paged);
}

static inline uint64_t *paged_map(struct paged *paged, uint32_t protection, uint32_t flags)
{
    return memory_map(paged->memory, PAGES * PAGE_SIZE, protection, flags);
}

static inline void paged_unmap(uint64_t *pages)
{
    pages_unmap(pages, PAGES);
}

static inline uint64_t word_of(const uint64_t *pages, uint64_t index)
{
    return *(const volatile uint64_t *)&pages[index * PAGE_SIZE / sizeof(uint64_t) + 5];
}

static inline void word_put(uint64_t *pages, uint64_t index, uint64_t value)
{
    *(volatile uint64_t *)&pages[index * PAGE_SIZE / sizeof(uint64_t) + 5] = value;
}

static inline void touch_all(struct paged *paged)
{
    uint64_t *pages = paged_map(paged, PROT_READ_, MAP_SHARED_);

    for (uint64_t i = 0; i < PAGES; i++)
        CHECK_EQUAL(word_of(pages, i), PATTERN + i);
    paged_unmap(pages);
}

/* MEMORY_OP_DIRTY, ... of count pages from `first` on; and that it answers one run. */
static inline int64_t run_op(struct paged *paged, uint32_t op, uint64_t first, uint64_t count,
                             struct abi_page_run *run)
{
    return sys_memory_op(paged->memory, op, first * PAGE_SIZE, count * PAGE_SIZE, run);
}

static inline void check_run(struct paged *paged, uint32_t op, uint64_t from, uint64_t first,
                             uint64_t count)
{
    struct abi_page_run run;

    CHECK_EQUAL(MUST(run_op(paged, op, from, PAGES - from, &run)), count);
    CHECK_EQUAL(run.length, count * PAGE_SIZE);
    if (count)
        CHECK_EQUAL(run.offset, first * PAGE_SIZE);
}
