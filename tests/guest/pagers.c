/* Memory with a pager: pages that come from a service, shared or moved; services that fail, die or do not answer; writing
 * back what is dirty. */
#include "tests/guest/protocol.h"

#define KEY   77u
#define PAGES 64u

/* What the test and its service share. Page i of the object is full of words PATTERN + i. */
struct paged {
    struct protocol protocol;
    handle_t memory;                 /* with RIGHT_CONTROL */
    handle_t source;                 /* where the service makes pages */
    uint32_t flags;                  /* SUPPLY_* */
    uint32_t status;                 /* E_*: what to answer instead of a page */
    uint32_t one;                    /* supply one page, however many were asked for */
    uint32_t asked;                  /* questions so far */
    uint32_t hold;                   /* not to be answered before this becomes 0 */
    uint64_t offset, length, access; /* of the last question */
};

#define PATTERN UINT64_C(0x1122334400000000)

static void fill_source(struct paged *paged, uint64_t index)
{
    static uint64_t page[PAGE_SIZE / sizeof(uint64_t)];

    for (size_t i = 0; i < ARRAY_SIZE(page); i++)
        page[i] = PATTERN + index;
    MUST(sys_memory_op(paged->source, MEMORY_OP_WRITE, index * PAGE_SIZE, PAGE_SIZE, page));
}

static int64_t supply(handle_t memory, uint64_t offset, uint64_t length, handle_t source,
                      uint64_t source_offset, uint32_t flags)
{
    struct abi_supply supply = {.offset = source_offset, .source = source, .flags = flags};

    return sys_memory_op(memory, MEMORY_OP_SUPPLY, offset, length, &supply);
}

static int64_t answer_page_in(struct paged *paged, const struct abi_message *message)
{
    uint64_t offset = message->args[0], length = paged->one ? PAGE_SIZE : message->args[1];

    paged->offset = offset;
    paged->length = message->args[1];
    paged->access = message->args[2];
    CHECK_EQUAL(message->args[3], KEY);
    word_add(&paged->asked, 1);
    for (uint32_t held; (held = word_get(&paged->hold)) != 0;)
        sys_ignore(sys_futex_wait(&paged->hold, held, FUTEX_SHARED_, DEADLINE_NEVER, FUTEX_ANY));
    if (paged->status)
        return -(int64_t)paged->status;
    for (uint64_t at = offset; at < offset + length; at += PAGE_SIZE)
        fill_source(paged, at / PAGE_SIZE);
    MUST(supply(paged->memory, offset, length, paged->source, offset, paged->flags));
    return 0;
}

static void serve_pages(void *argument)
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

static struct paged *paged_new(void)
{
    struct paged *paged = shared(sizeof(*paged));

    paged->protocol = protocol_new();
    paged->memory =
        (handle_t)MUST(sys_memory_paged(paged->protocol.port, PAGES * PAGE_SIZE, KEY, 0));
    paged->source = (handle_t)MUST(sys_memory_create(PAGES * PAGE_SIZE, 0));
    return paged;
}

static void paged_end(struct paged *paged)
{
    handle_drop(paged->memory);
    handle_drop(paged->source);
    protocol_end(&paged->protocol);
    unshare(paged);
}

static uint64_t *paged_map(struct paged *paged, uint32_t protection, uint32_t flags)
{
    return memory_map(paged->memory, PAGES * PAGE_SIZE, protection, flags);
}

static void paged_unmap(uint64_t *pages)
{
    pages_unmap(pages, PAGES);
}

static uint64_t word_of(const uint64_t *pages, uint64_t index)
{
    return *(const volatile uint64_t *)&pages[index * PAGE_SIZE / sizeof(uint64_t) + 5];
}

static inline void word_put(uint64_t *pages, uint64_t index, uint64_t value)
{
    *(volatile uint64_t *)&pages[index * PAGE_SIZE / sizeof(uint64_t) + 5] = value;
}

static void touch_all(struct paged *paged)
{
    uint64_t *pages = paged_map(paged, PROT_READ_, MAP_SHARED_);

    for (uint64_t i = 0; i < PAGES; i++)
        CHECK_EQUAL(word_of(pages, i), PATTERN + i);
    paged_unmap(pages);
}

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
