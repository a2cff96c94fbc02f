/* A file in memory by lib/sys/pager.h: a service with a medium that it reads and writes, killed with what it had not written. */
#include "lib/sys/pager.h"

#include "tests/guest/protocol.h"

#define KEY    9u
#define LENGTH (20 * PAGE_SIZE + 100)
#define PAGES  21u

/* What the test and the instances of its service share. The medium has a byte for each page. */
struct disk {
    struct protocol protocol;
    uint32_t instances, reads, writes, broken;
    uint32_t existed, found;
    uint8_t medium[PAGES];
};

static int64_t write_pages(void *context, const struct paged *paged, uint64_t offset,
                           uint64_t length)
{
    struct disk *disk = context;

    if (disk->broken)
        return -E_IO;
    for (uint64_t at = offset; at < offset + length; at += PAGE_SIZE) {
        MUST(sys_memory_op(paged->memory, MEMORY_OP_READ, at, 1, &disk->medium[at / PAGE_SIZE]));
        word_add(&disk->writes, 1);
    }
    return 0;
}

static int64_t read_pages(struct disk *disk, const struct paged *paged, handle_t scratch,
                          const struct page_request *want)
{
    word_add(&disk->reads, 1);
    for (uint64_t at = 0; at < want->length; at += PAGE_SIZE)
        MUST(sys_memory_op(scratch, MEMORY_OP_WRITE, at, 1,
                           &disk->medium[(want->offset + at) / PAGE_SIZE]));
    return paged_supply(paged, want->offset, want->length, scratch, 0, SUPPLY_MOVE);
}

static int64_t count_kept(void *context, const struct abi_kept *kept)
{
    struct disk *disk = context;

    CHECK_EQUAL(kept->key, KEY);
    disk->found++;
    handle_drop(kept->handle);
    return 0;
}

static void serve_file(void *argument)
{
    struct disk *disk = argument;
    handle_t port = disk->protocol.port, scratch = (handle_t)MUST(sys_memory_create(LENGTH, 0));
    struct paged paged;
    bool existed;

    MUST(kept_each(port, count_kept, disk));
    MUST(paged_open(port, KEY, LENGTH, &paged, &existed));
    disk->existed += existed;
    if (existed)
        MUST(paged_write_back(&paged, 0, LENGTH, write_pages, disk));
    word_add(&disk->instances, 1);
    for (;;) {
        struct command command = {.port = port};
        struct abi_return *reply = &command.reply;

        MUST(sys_proto_accept(port, &command.message, NULL, 0, DEADLINE_NEVER));
        if (command.message.kind != MESSAGE_COMMAND)
            continue;
        struct page_request want = page_request(&command);

        reply->token = command.message.token;
        switch (command.message.op) {
        case OP_PAGE_IN:
            CHECK_EQUAL(want.key, KEY);
            reply->status = read_pages(disk, &paged, scratch, &want);
            break;
        case OP_PAGE_OUT:
            CHECK_EQUAL(want.key, KEY);
            reply->status = paged_write_back(&paged, want.offset, want.length, write_pages, disk);
            break;
        case OP_MAP:
            reply->status =
                paged_share(&paged, RIGHT_READ | RIGHT_WRITE | RIGHT_CONTROL, &reply->handles[0]);
            reply->handle_count = reply->status == 0;
            break;
        case OP_SYNC: /* memory is short: what is clean goes */
            reply->values[0] = (uint64_t)MUST(paged_evict(&paged));
            break;
        case OP_UNLINK:
            paged_forget(&paged);
            MUST(paged_open(port, KEY, PAGE_SIZE, &paged, &existed));
            CHECK(!existed);
            paged_forget(&paged);
            break;
        default:
            reply->status = -E_NO_CALL;
        }
        sys_ignore(sys_proto_return(port, reply));
    }
}

static uint64_t ask(struct disk *disk, uint32_t op, handle_t *handle)
{
    struct abi_command command = command_of(op);

    MUST(path_op(disk->protocol.names, "test://file", &command));
    if (handle)
        *handle = command.receive[0];
    return command.values[0];
}

static uint8_t byte_of(const volatile uint8_t *bytes, uint64_t page)
{
    return bytes[page * PAGE_SIZE];
}

TEST(a_file_that_outlives_its_service)
{
    struct disk *disk = shared(sizeof(*disk));

    disk->protocol = protocol_new();
    for (uint32_t i = 0; i < PAGES; i++)
        disk->medium[i] = (uint8_t)(i + 1);
    struct helper *server = helper_process(serve_file, disk);
    handle_t memory;

    ask(disk, OP_MAP, &memory);
    CHECK_EQUAL(info_of(memory).rights & RIGHT_CONTROL, 0);
    CHECK_EQUAL(MUST(sys_memory_op(memory, MEMORY_OP_SIZE, 0, 0, NULL)), PAGES * PAGE_SIZE);
    volatile uint8_t *bytes =
        memory_map(memory, PAGES * PAGE_SIZE, PROT_READ_ | PROT_WRITE_, MAP_SHARED_);

    for (uint64_t i = 0; i < PAGES; i++)
        CHECK_EQUAL(byte_of(bytes, i), i + 1);
    CHECK_EQUAL(disk->reads, 2);
    bytes[3 * PAGE_SIZE] = 103;
    bytes[4 * PAGE_SIZE] = 104;
    MUST(sys_memory_op(memory, MEMORY_OP_SYNC, 0, 4 * PAGE_SIZE, NULL));
    CHECK_EQUAL(disk->medium[3], 103);
    CHECK_EQUAL(disk->medium[4], 5);
    CHECK_EQUAL(disk->writes, 1);
    bytes[3 * PAGE_SIZE] =
        203; /* the same by where it is mapped, with what has no pager beside it */
    MUST(sys_space_op(HANDLE_SELF, SPACE_OP_SYNC, (uintptr_t)bytes, 4 * PAGE_SIZE, 0));
    CHECK_EQUAL(disk->medium[3], 203);
    CHECK_EQUAL(disk->medium[4], 5);
    bytes[3 * PAGE_SIZE] = 103;
    MUST(sys_space_op(HANDLE_SELF, SPACE_OP_SYNC, (uintptr_t)bytes + 3 * PAGE_SIZE, 1, 0));
    CHECK_EQUAL(disk->medium[3], 103);
    CHECK_EQUAL(disk->writes, 3);
    CHECK_EQUAL(ask(disk, OP_SYNC, NULL), PAGES - 1); /* all but page 4 */
    CHECK_EQUAL(byte_of(bytes, 3), 103);
    CHECK_EQUAL(byte_of(bytes, 4), 104);
    CHECK_EQUAL(disk->reads, 3);

    disk->broken = 1; /* it stays dirty, and the next instance writes it */
    CHECK_ERROR(sys_memory_op(memory, MEMORY_OP_SYNC, 0, PAGES * PAGE_SIZE, NULL), IO);
    CHECK_ERROR(sys_space_op(HANDLE_SELF, SPACE_OP_SYNC, (uintptr_t)bytes, PAGES * PAGE_SIZE, 0),
                IO);
    disk->broken = 0;
    helper_kill(server);
    server = helper_process(serve_file, disk);
    word_wait(&disk->instances, 2);
    CHECK_EQUAL(disk->existed, 1);
    CHECK_EQUAL(disk->found, 1);
    CHECK_EQUAL(disk->medium[4], 104);
    CHECK_EQUAL(disk->writes, 4);
    CHECK_EQUAL(byte_of(bytes, 4), 104);
    CHECK_EQUAL(byte_of(bytes, 20), 21);
    ask(disk, OP_UNLINK, NULL);
    CHECK_EQUAL(byte_of(bytes, 4), 104); /* who has it keeps it */
    pages_unmap((void *)bytes, PAGES);
    handle_drop(memory);
    helper_kill(server);
    protocol_end(&disk->protocol);
    unshare(disk);
}

TEST(syncing_a_range)
{
    uint8_t *pages = pages_map(3);

    MUST(sys_space_op(HANDLE_SELF, SPACE_OP_SYNC, (uintptr_t)pages, 3 * PAGE_SIZE, 0));
    pages_unmap(pages + PAGE_SIZE, 1);
    CHECK_ERROR(sys_space_op(HANDLE_SELF, SPACE_OP_SYNC, (uintptr_t)pages, 3 * PAGE_SIZE, 0),
                FAULT);
    CHECK_ERROR(sys_space_op(HANDLE_SELF, SPACE_OP_SYNC, (uintptr_t)pages + 1, 1, 0), INVALID);
    CHECK_ERROR(sys_space_op(HANDLE_SELF, SPACE_OP_SYNC, (uintptr_t)pages, 0, 0), INVALID);
    CHECK_ERROR(sys_space_op(HANDLE_SELF, SPACE_OP_SYNC, 0, UINT64_MAX, 0), RANGE);
    pages_unmap(pages, 1);
    pages_unmap(pages + 2 * PAGE_SIZE, 1);
}
