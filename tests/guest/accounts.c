/* Accounts in accounts, and accounts that end with everything that is theirs. */
#include "tests/guest/limited.h"

/* --- One account of many processes --- */

struct bomb {
    uint32_t born, refused;
    uint32_t alive, most; /* fewer than the account counts: an ended one is there a while longer */
};

static void bomb_born(struct bomb *bomb)
{
    uint32_t alive = __atomic_add_fetch(&bomb->alive, 1, __ATOMIC_SEQ_CST);
    uint32_t most = __atomic_load_n(&bomb->most, __ATOMIC_SEQ_CST);

    while (alive > most && !__atomic_compare_exchange_n(&bomb->most, &most, alive, false,
                                                        __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        ;
}

static void explode(void *argument)
{
    struct bomb *bomb = argument;

    bomb_born(bomb);
    for (int i = 0; i < 3; i++) {
        struct abi_fork fork = {
            .entry = (uintptr_t)explode,
            .stack = (uintptr_t)pages_map(4) + 4 * PAGE_SIZE - 8,
            .argument = (uintptr_t)bomb,
            .fs_base = own_fs_base(),
        };
        int64_t child = sys_process_fork(HANDLE_SELF, &fork);

        if (child == -E_QUOTA)
            word_add(&bomb->refused, 1);
        else
            MUST(sys_thread_control(fork.thread, THREAD_RESUME, 0, NULL));
    }
    word_wait(&bomb->refused, 1);
    sleep_for(MILLISECOND);
    __atomic_fetch_sub(&bomb->alive, 1, __ATOMIC_SEQ_CST);
    helper_exit(0);
}

static void bomb_light(void *argument)
{
    struct bomb *bomb = argument;

    explode(bomb);
}

TEST(a_fork_bomb_is_one_account)
{
    struct bomb *bomb = shared(PAGE_SIZE);
    struct limited limited = limited_by(QUOTA_PROCESSES, 12);

    limited_start(&limited, bomb_light, bomb);
    word_wait(&bomb->refused, 1);
    handle_drop(empty_process()); /* ours is not used up */
    limited_join(&limited);
    CHECK(bomb->most > 1 && bomb->most <= 12);
    unshare(bomb);
}

/* --- Accounts in accounts -------------------------------------------------------------------------------------------- */

static int64_t nested_create(const uint64_t *limits)
{
    struct abi_process_create create = {
        .space_of = HANDLE_NONE, .limits = (uintptr_t)limits, .limit_count = QUOTA_COUNT};

    return sys_process_create(HANDLE_SELF, &create);
}

static void nest(void *argument)
{
    uint64_t limits[QUOTA_COUNT];

    (void)argument;
    limits_none(limits);
    limits[QUOTA_THREADS] = 100;

    handle_t inner = (handle_t)MUST(nested_create(limits));

    CHECK_EQUAL(quota_of(inner, QUOTA_THREADS).limit, 3); /* no more than there is around it */
    CHECK_EQUAL(quota_of(inner, QUOTA_THREADS).used, 0);

    handle_t first = (handle_t)MUST(sleeper_create(inner)),
             second = (handle_t)MUST(sleeper_create(inner));

    CHECK_EQUAL(quota_of(inner, QUOTA_THREADS).used, 2);
    CHECK_EQUAL(used(QUOTA_THREADS), 3);
    CHECK_ERROR(sleeper_create(inner), QUOTA);
    handle_drop(inner);
    handle_drop(first);
    handle_drop(second);
    SOON(used(QUOTA_THREADS) == 1);
}

TEST(accounts_in_accounts)
{
    run_limited(QUOTA_THREADS, 3, nest, NULL);
}

struct depth {
    uint32_t reached;
};

static void go_down(void *argument)
{
    struct depth *depth = argument;
    uint64_t limits[QUOTA_COUNT];

    limits_none(limits);

    int64_t result = nested_create(limits);

    if (result > 0)
        handle_drop((handle_t)result);
    else
        CHECK_ERROR(result, QUOTA);
    depth->reached += result > 0;
}

/* Not for ever: what is taken is looked for in each. */
TEST(depth)
{
    struct depth *depth = shared(PAGE_SIZE);
    uint64_t limits[QUOTA_COUNT];

    limits_none(limits);
    run_limited(QUOTA_THREADS, 10, go_down, depth);
    CHECK_EQUAL(depth->reached, 1);
    unshare(depth);
}

/* --- Accounts that end ----------------------------------------------------------------------------------------------- */

#define BOMB 12u

static handle_t account_hold(void)
{
    uint64_t limits[QUOTA_COUNT];
    struct abi_process_create create = {.space_of = HANDLE_NONE,
                                        .flags = PROCESS_HOLDS_ACCOUNT,
                                        .limits = (uintptr_t)limits,
                                        .limit_count = QUOTA_COUNT};

    limits_none(limits);
    limits[QUOTA_PROCESSES] = BOMB;
    return (handle_t)MUST(sys_process_create(HANDLE_SELF, &create));
}

static int64_t create_within(handle_t account_of, const uint64_t *limits)
{
    struct abi_process_create create = {.space_of = HANDLE_NONE,
                                        .limits = (uintptr_t)limits,
                                        .limit_count = limits ? QUOTA_COUNT : 0,
                                        .account_of = account_of};

    return sys_process_create(HANDLE_SELF, &create);
}

/* Never ends, and comes back wherever one of it was killed. */
static void for_ever(void *argument)
{
    struct bomb *bomb = argument;
    void *stack = pages_map(4);

    for (;;) {
        struct abi_fork fork = {
            .entry = (uintptr_t)for_ever,
            .stack = (uintptr_t)stack + 4 * PAGE_SIZE - 8,
            .argument = (uintptr_t)bomb,
            .fs_base = own_fs_base(),
        };
        int64_t child = sys_process_fork(HANDLE_SELF, &fork);

        if (child < 0) {
            word_add(&bomb->refused, 1);
            sleep_for(MILLISECOND);
            continue;
        }
        word_add(&bomb->born, 1);
        sys_ignore(sys_thread_control(fork.thread, THREAD_RESUME, 0, NULL));
        handle_drop(fork.thread);
        handle_drop((handle_t)child);
    }
}

static void end_by_kill(handle_t holder)
{
    MUST(sys_process_kill(holder, 0));
    SOON(quota_of(holder, QUOTA_PROCESSES).used == 1); /* the one that is named below */
    CHECK_ERROR(create_within(holder, NULL), NO_PROCESS);
    handle_drop(holder);
}

static void end_by_close(handle_t holder)
{
    handle_drop(holder);
}

static void bomb_in_account(void (*end)(handle_t holder))
{
    struct bomb *bomb = shared(PAGE_SIZE);
    handle_t holder = account_hold();
    struct limited limited = {.names = HANDLE_SELF, .holder_of = holder};

    limited_start(&limited, for_ever, bomb);
    word_wait(&bomb->refused, 1);
    CHECK_EQUAL(quota_of(holder, QUOTA_PROCESSES).limit, BOMB);
    CHECK_EQUAL(quota_of(holder, QUOTA_PROCESSES).used, BOMB);
    space_drop((handle_t)limited.helper->id); /* it has copies of our handles */
    end(holder);

    handle_t first = limited.helper->process;

    signal_wait(first, SIGNAL_EXITED);
    CHECK_EQUAL(process_info(first).status, EXIT_ACCOUNT);
    SOON(quota_of(first, QUOTA_PROCESSES).used == 1);
    CHECK_ERROR(create_within(first, NULL), NO_PROCESS);
    CHECK_EQUAL(quota_of(first, QUOTA_THREADS).used, 0);

    uint32_t born = word_get(&bomb->born);

    sleep_for(10 * MILLISECOND);
    CHECK_EQUAL(word_get(&bomb->born), born);
    helper_free(limited.helper);
    unshare(bomb);
}

TEST(a_bomb_ends_with_what_holds_its_account)
{
    bomb_in_account(end_by_kill);
    bomb_in_account(end_by_close);
}

TEST(accounts_inside_end_too)
{
    uint64_t limits[QUOTA_COUNT];
    handle_t holder = account_hold(), inner, innermost, outside = empty_process();

    limits_none(limits);
    inner = (handle_t)MUST(create_within(holder, limits));
    innermost = (handle_t)MUST(create_within(inner, limits));
    CHECK_EQUAL(quota_of(holder, QUOTA_PROCESSES).used, 2);
    CHECK_EQUAL(quota_of(inner, QUOTA_PROCESSES).used, 2);
    CHECK_EQUAL(quota_of(innermost, QUOTA_PROCESSES).used, 1);
    handle_drop(holder);
    CHECK(signals_now(inner, SIGNAL_EXITED));
    CHECK(signals_now(innermost, SIGNAL_EXITED));
    CHECK(!signals_now(outside, SIGNAL_EXITED));
    CHECK_ERROR(create_within(inner, NULL), NO_PROCESS);
    CHECK_ERROR(create_within(innermost, limits), NO_PROCESS);
    handle_drop(inner);
    handle_drop(innermost);
    handle_drop(outside);
}

TEST(holding_errors)
{
    struct abi_process_create create = {.space_of = HANDLE_NONE, .flags = PROCESS_HOLDS_ACCOUNT};
    handle_t port = (handle_t)MUST(port_create()), process = empty_process();
    handle_t weak = duplicate(process, RIGHT_ALL & ~RIGHT_CONTROL);

    CHECK_ERROR(sys_process_create(HANDLE_SELF, &create), INVALID);
    CHECK_ERROR(create_within(HANDLE_NONE, NULL), BAD_HANDLE);
    CHECK_ERROR(create_within(port, NULL), WRONG_TYPE);
    CHECK_ERROR(create_within(weak, NULL), ACCESS);
    handle_drop(weak);
    handle_drop(process);
    handle_drop(port);
}
