/* The model, and the comparison with it: see space_model.h. */
#include "tests/host/space_model.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/host/fake_process.h"

#define SPACES  4u
#define OBJECTS 3u
#define PAGES   48u                                     /* of a space that the model watches */
#define BASE    (UINT64_C(0x40000000) - 20 * PAGE_SIZE) /* a page table ends among them */
#define LENGTH  32u                                     /* pages an object has at most */

#define REQUIRE(condition)                                                               \
    do {                                                                                 \
        if (!(condition)) {                                                              \
            fprintf(stderr, "%s:%d: operation %lu: %s\n", __FILE__, __LINE__, operation, \
                    #condition);                                                         \
            abort();                                                                     \
        }                                                                                \
    } while (0)

struct page {
    bool mapped, shared, has_own;
    int object; /* -1: anonymous */
    unsigned index, protection;
    uint64_t own; /* the private page's word */
};

static struct {
    struct space *space; /* NULL: not there */
    struct page pages[PAGES];
} spaces[SPACES];

static struct {
    struct memory *memory;
    unsigned pages;
    bool pinned; /* contiguous: in huge pages where it lies so */
    uint64_t words[LENGTH];
} objects[OBJECTS];

uint64_t model_huge_most;

static unsigned long operation;
static uint64_t stamp; /* what is written: never the same twice */
static model_next *take;
static void *take_context;
static bool over;

static uint32_t number(uint32_t limit)
{
    uint32_t value = 0;

    if (!over && !take(take_context, &value))
        over = true;
    return over ? 0 : value % limit;
}

/* --- Accesses ------------------------------------------------------------------------------------------------ */

static bool backed(const struct page *page)
{
    return page->object < 0 || page->has_own || page->index < objects[page->object].pages;
}

static bool may(const struct page *page, unsigned access)
{
    if (!page->mapped || !backed(page))
        return false;
    if (access & FAULT_WRITE)
        return page->protection & PROT_WRITE_;
    if (access & FAULT_EXECUTE)
        return page->protection & PROT_EXECUTE_;
    return page->protection != 0;
}

static uint64_t expected(const struct page *page)
{
    if (page->has_own)
        return page->own;
    return page->object < 0 ? 0 : objects[page->object].words[page->index];
}

static void write_model(struct page *page, uint64_t value)
{
    if (page->shared) {
        objects[page->object].words[page->index] = value;
    } else {
        page->has_own = true;
        page->own = value;
    }
}

/* The word lies anywhere in the page: its place depends on the page only. */
static uint64_t address_of(unsigned page)
{
    return BASE + page * (uint64_t)PAGE_SIZE;
}

static void access_page(unsigned s, unsigned p, unsigned access)
{
    struct page *page = &spaces[s].pages[p];
    uint64_t value = ++stamp;
    bool got;

    fake_process_enter(spaces[s].space);
    got = fake_user_access(address_of(p) + 8 * 77, access, &value, sizeof(value));
    if (got != may(page, access))
        fprintf(stderr,
                "space %u page %u access %u: got %d; mapped %d shared %d own %d object %d index %u "
                "protection %u\n",
                s, p, access, got, page->mapped, page->shared, page->has_own, page->object,
                page->index, page->protection);
    REQUIRE(got == may(page, access));
    if (got && access & FAULT_WRITE)
        write_model(page, value);
    else if (got)
        REQUIRE(value == expected(page));
}

static void check_all(void)
{
    for (unsigned s = 0; s < SPACES; s++)
        for (unsigned p = 0; spaces[s].space && p < PAGES; p++)
            access_page(s, p, 0);
    for (unsigned o = 0; o < OBJECTS; o++)
        for (unsigned i = 0; objects[o].memory && i < objects[o].pages; i++) {
            uint64_t value;

            REQUIRE(memory_read_kernel(objects[o].memory, i * PAGE_SIZE + 8 * 77, &value,
                                       sizeof(value)) == 0);
            REQUIRE(value == objects[o].words[i]);
        }
}

/* --- Operations -------------------------------------------------------------------------------------------------- */

struct range {
    unsigned first, count;
};

static struct range some_range(unsigned pages)
{
    unsigned first = number(pages);

    return (struct range){first, 1 + number(number(3) ? 6 : pages) % (pages - first)};
}

static unsigned some_protection(void)
{
    static const unsigned all[] = {PROT_READ_ | PROT_WRITE_, PROT_READ_ | PROT_WRITE_, PROT_READ_,
                                   PROT_READ_ | PROT_EXECUTE_, 0};

    return all[number(ARRAY_SIZE(all))];
}

/* Sometimes the k-th allocation of what follows fails. */
/* What pays for all of it. */
static struct account *account;

static void limit_set(uint64_t limit)
{
    uint64_t used = account_quota(account, QUOTA_MEMORY).used;

    account->quotas[QUOTA_MEMORY].limit = (int64_t)limit;
    account->quotas[QUOTA_MEMORY].left = (int64_t)(limit - used);
}

/* Some of the allocations that follow fail, or there is little left in the account. */
static void arm(void)
{
    fail_set(number(4) ? 0 : 1 + number(12));
    if (number(4) == 0)
        limit_set(account_quota(account, QUOTA_MEMORY).used + number(8) * 2048);
}

static void calm(void)
{
    fail_set(0);
    limit_set(INT64_MAX);
}

static bool done(int result)
{
    calm();
    REQUIRE(result == 0 || result == -E_NO_MEMORY);
    return result == 0;
}

static void op_map(unsigned s)
{
    struct range range = some_range(PAGES);
    int o = (int)number(OBJECTS + 2) - 2;
    struct map_request request = {.address = address_of(range.first),
                                  .length = range.count * PAGE_SIZE,
                                  .protection = some_protection(),
                                  .maximum = 7,
                                  .flags = MAP_FIXED_};
    unsigned index = number(LENGTH - 1);
    uint64_t address;

    if (o >= 0 && objects[o].memory) {
        request.memory = objects[o].memory;
        request.offset = index * PAGE_SIZE;
        request.flags |= number(2) ? MAP_SHARED_ : 0;
    } else {
        o = -1;
    }
    if (number(8) == 0)
        request.flags |= MAP_POPULATE_;

    bool taken = false;

    for (unsigned i = 0; i < range.count; i++)
        taken = taken || spaces[s].pages[range.first + i].mapped;
    if (number(6) == 0)
        request.flags |= MAP_NOREPLACE_;
    arm();

    if (request.memory)
        object_get(&request.memory->object);

    int result = space_map_region(spaces[s].space, &request, &address);

    if (result != 0 && request.memory)
        object_put(&request.memory->object);

    if (request.flags & MAP_NOREPLACE_ && taken) {
        calm();
        REQUIRE(result == -E_EXISTS || result == -E_NO_MEMORY);
        return;
    }
    if (!done(result))
        return;
    REQUIRE(address == request.address);
    for (unsigned i = 0; i < range.count; i++)
        spaces[s].pages[range.first + i] = (struct page){.mapped = true,
                                                         .shared = request.flags & MAP_SHARED_,
                                                         .object = o,
                                                         .index = index + i,
                                                         .protection = request.protection};
    /* What populating wrote to is a private page now, if it was got. The model cannot know: write all. */
    if (request.flags & MAP_POPULATE_ && request.protection & PROT_WRITE_)
        for (unsigned i = 0; i < range.count; i++)
            access_page(s, range.first + i, FAULT_WRITE);
}

static void op_unmap(unsigned s)
{
    struct range range = some_range(PAGES);

    arm();
    if (!done(space_unmap_range(spaces[s].space, address_of(range.first), range.count * PAGE_SIZE)))
        return;
    for (unsigned i = 0; i < range.count; i++)
        spaces[s].pages[range.first + i] = (struct page){.object = -1};
}

static void op_protect(unsigned s)
{
    struct range range = some_range(PAGES);
    unsigned protection = some_protection();
    bool whole = true;

    for (unsigned i = 0; i < range.count; i++)
        whole = whole && spaces[s].pages[range.first + i].mapped;
    arm();

    int result = space_protect_range(spaces[s].space, address_of(range.first),
                                     range.count * PAGE_SIZE, protection);

    if (!whole) {
        calm();
        REQUIRE(result == -E_FAULT);
        return;
    }
    if (!done(result))
        return;
    for (unsigned i = 0; i < range.count; i++)
        spaces[s].pages[range.first + i].protection = protection;
}

/* Nothing the model knows of changes. */
static void op_advise(unsigned s)
{
    struct range range = some_range(PAGES);
    bool whole = true;

    for (unsigned i = 0; i < range.count; i++)
        whole = whole && spaces[s].pages[range.first + i].mapped;
    arm();

    int result = space_advise_huge(spaces[s].space, address_of(range.first),
                                   range.count * PAGE_SIZE, number(4) ? HUGE_ALWAYS : number(3));

    calm();
    REQUIRE(result == (whole ? 0 : -E_FAULT) || (whole && result == -E_NO_MEMORY));
}

static uint64_t huge_pages(void)
{
    int64_t count = 0;

    for (unsigned i = 0; i < FAKE_CPUS; i++)
        count += cpus[i]->huge_pages;
    REQUIRE(count >= 0);
    return (uint64_t)count;
}

static void op_discard(unsigned s)
{
    struct range range = some_range(PAGES);
    bool whole = true;

    for (unsigned i = 0; i < range.count; i++)
        whole = whole && spaces[s].pages[range.first + i].mapped;

    int result = space_discard(spaces[s].space, address_of(range.first), range.count * PAGE_SIZE);

    REQUIRE(result == (whole ? 0 : -E_FAULT));
    for (unsigned i = 0; i < range.count; i++)
        spaces[s].pages[range.first + i].has_own = false;
}

static void op_move(unsigned s)
{
    struct range range = some_range(PAGES / 2);
    unsigned to = number(PAGES);
    struct page *pages = spaces[s].pages;
    bool whole = true, taken = false;

    if (to + range.count > PAGES)
        return;
    for (unsigned i = 0; i < range.count; i++) {
        whole = whole && pages[range.first + i].mapped;
        taken = taken || pages[to + i].mapped;
    }
    arm();

    int result = space_move(spaces[s].space, address_of(range.first), range.count * PAGE_SIZE,
                            address_of(to));

    if (to < range.first + range.count && range.first < to + range.count) {
        calm();
        REQUIRE(result == -E_INVALID);
    } else if (!whole || taken) {
        calm();
        REQUIRE(result == (whole ? -E_EXISTS : -E_FAULT));
    } else if (done(result)) {
        for (unsigned i = 0; i < range.count; i++) {
            pages[to + i] = pages[range.first + i];
            pages[range.first + i] = (struct page){.object = -1};
        }
    }
}

static void end_space(unsigned s)
{
    if (number(2))
        space_leave(spaces[s].space);
    fake_process_enter(NULL);
    space_put(spaces[s].space);
    spaces[s].space = NULL;
}

static void op_fork(unsigned s)
{
    unsigned child = number(SPACES);
    struct space *space;

    if (child == s)
        return;
    if (spaces[child].space)
        end_space(child);
    arm();
    if (!done(space_fork(spaces[s].space, true, &space)))
        return;
    spaces[child] = spaces[s];
    spaces[child].space = space;
}

static void op_new_space(unsigned s)
{
    arm();
    if (!done(space_new(account, &spaces[s].space)))
        return;
    for (unsigned p = 0; p < PAGES; p++)
        spaces[s].pages[p] = (struct page){.object = -1};
}

/* An object is left by everybody who maps it before the model forgets it. */
static void end_object(unsigned o)
{
    for (unsigned s = 0; s < SPACES; s++)
        for (unsigned p = 0; spaces[s].space && p < PAGES; p++)
            if (spaces[s].pages[p].mapped && spaces[s].pages[p].object == (int)o) {
                REQUIRE(space_unmap_range(spaces[s].space, address_of(p), PAGE_SIZE) == 0);
                spaces[s].pages[p] = (struct page){.object = -1};
            }
    object_put(&objects[o].memory->object);
    objects[o].memory = NULL;
}

static void op_new_object(unsigned o)
{
    unsigned pages = 1 + number(LENGTH);
    bool pinned = number(3) == 0;

    if (objects[o].memory)
        end_object(o);
    arm();
    if (!done(memory_new(pages * PAGE_SIZE, pinned ? MEMORY_CONTIGUOUS : 0, &objects[o].memory)))
        return;
    objects[o].pinned = pinned;
    objects[o].pages = pages;
    for (unsigned i = 0; i < LENGTH; i++)
        objects[o].words[i] = 0;
}

static void op_clone(unsigned o)
{
    unsigned to = number(OBJECTS);
    struct memory *clone;

    if (to == o || !objects[o].memory || objects[o].pages == 0)
        return;
    if (objects[to].memory)
        end_object(to);

    struct range range = some_range(objects[o].pages);

    arm();
    if (!done(memory_clone_range(objects[o].memory, range.first * PAGE_SIZE,
                                 range.count * PAGE_SIZE, &clone)))
        return;
    objects[to].memory = clone;
    objects[to].pages = range.count;
    objects[to].pinned = false;
    for (unsigned i = 0; i < LENGTH; i++)
        objects[to].words[i] = i < range.count ? objects[o].words[range.first + i] : 0;
}

static void op_object(unsigned o)
{
    struct memory *memory = objects[o].memory;
    uint64_t value = ++stamp;

    if (!memory)
        return;
    if (number(3) == 0) {
        unsigned pages = number(LENGTH + 1);

        if (objects[o].pinned) {
            REQUIRE(memory_resize_to(memory, pages * PAGE_SIZE) == -E_NOT_SUPPORTED);
            return;
        }
        REQUIRE(memory_resize_to(memory, pages * PAGE_SIZE) == 0);
        for (unsigned i = pages; i < LENGTH; i++)
            objects[o].words[i] = 0;
        for (unsigned s = 0; s < SPACES; s++)
            for (unsigned p = 0; p < PAGES; p++)
                if (spaces[s].pages[p].object == (int)o && spaces[s].pages[p].index >= pages &&
                    spaces[s].pages[p].index < objects[o].pages)
                    spaces[s].pages[p].has_own = false;
        objects[o].pages = pages;
    } else if (objects[o].pages == 0) {
        return;
    } else if (number(2)) {
        struct range range = some_range(objects[o].pages);

        if (objects[o].pinned) {
            REQUIRE(memory_decommit(memory, 0, PAGE_SIZE) == -E_NOT_SUPPORTED);
            return;
        }
        REQUIRE(memory_decommit(memory, range.first * PAGE_SIZE, range.count * PAGE_SIZE) == 0);
        for (unsigned i = 0; i < range.count; i++)
            objects[o].words[range.first + i] = 0;
    } else {
        unsigned page = number(objects[o].pages);

        arm();
        if (done(memory_write_kernel(memory, page * PAGE_SIZE + 8 * 77, &value, sizeof(value))))
            objects[o].words[page] = value;
    }
}

/* Two pages of one space copied into another, as commands do. */
static void op_copy(unsigned s)
{
    unsigned other = number(SPACES), from = number(PAGES), to = number(PAGES);
    uint64_t copied;

    if (!spaces[other].space)
        return;

    struct page *source = &spaces[other].pages[from], *target = &spaces[s].pages[to];
    bool fine = may(source, 0) && may(target, FAULT_WRITE);

    fake_process_enter(spaces[s].space);

    int result = space_copy_from(spaces[other].space, UADDR(address_of(from) + 8 * 77),
                                 UADDR(address_of(to) + 8 * 77), 8, &copied);

    REQUIRE(result == (fine ? 0 : -E_FAULT) && copied == (fine ? 8 : 0));
    if (fine)
        write_model(target, expected(source));
}

static void step(void)
{
    unsigned s = number(SPACES), o = number(OBJECTS), what = number(32);

    if (!spaces[s].space) {
        op_new_space(s);
        return;
    }
    switch (what) {
    case 0:
    case 1:
    case 2:
    case 3:
        op_map(s);
        break;
    case 4:
    case 5:
        op_unmap(s);
        break;
    case 6:
    case 7:
        op_protect(s);
        break;
    case 8:
        op_discard(s);
        break;
    case 9:
        op_move(s);
        break;
    case 10:
    case 11:
        op_fork(s);
        break;
    case 12:
        if (number(4) == 0)
            end_space(s);
        break;
    case 13:
        if (!objects[o].memory || number(4) == 0)
            op_new_object(o);
        break;
    case 14:
        op_clone(o);
        break;
    case 15:
    case 16:
        op_object(o);
        break;
    case 17:
    case 18:
        op_copy(s);
        break;
    case 19:
        access_page(s, number(PAGES), FAULT_EXECUTE);
        break;
    case 20:
        op_advise(s);
        break;
    default:
        access_page(s, number(PAGES), what < 26 ? 0 : FAULT_WRITE);
        break;
    }
}

void model_run(model_next *next, void *context)
{
    fake_machine(64);

    uint64_t frames = fake_frames(), bytes = heap_bytes();

    REQUIRE(account_new(NULL, NULL, 0, &account) == 0);
    fake_process_account(account);
    take = next;
    take_context = context;
    over = false;
    stamp = 0;
    for (operation = 0; !over; operation++) {
        step();
        model_huge_most = MAX(model_huge_most, huge_pages());
        if (operation % 64 == 0)
            check_all();
    }
    check_all();
    for (unsigned s = 0; s < SPACES; s++)
        if (spaces[s].space)
            end_space(s);
    for (unsigned o = 0; o < OBJECTS; o++)
        if (objects[o].memory)
            end_object(o);
    REQUIRE(account_quota(account, QUOTA_MEMORY).used == sizeof(struct account) &&
            account->references == 1);
    fake_process_account(NULL);
    account_put(account);
    REQUIRE(heap_bytes() == bytes);
    REQUIRE(fake_frames() == frames);
    REQUIRE(huge_pages() == 0);
}
