/* What it costs in interrupts to wake a CPU: a client and a service that are kept on two CPUs (kernel/sched/idle.h). */
#include "tests/guest/protocol.h"

#define CLIENT_CPU  1
#define SERVICE_CPU 2
#define CPUS        4 /* so that there are two more, who have nothing to do with it */

struct pair {
    struct protocol protocol;
    struct helper *service;
    handle_t file;
    uint64_t poll; /* as it was */
};

static int64_t set_poll(uint64_t ns)
{
    return sys_system_control(root(), SYSTEM_IDLE_POLL, ns);
}

static void set_cpu(handle_t thread, unsigned cpu)
{
    MUST(sys_thread_control(thread, THREAD_AFFINITY, UINT64_C(1) << cpu, NULL));
}

static void pair_begin(struct pair *pair, uint64_t poll)
{
    pair->protocol = protocol_new();
    pair->service = helper_process(serve_protocol, &pair->protocol);
    set_cpu(pair->service->thread, SERVICE_CPU);
    set_cpu(HANDLE_SELF, CLIENT_CPU);
    pair->file = open_uri(&pair->protocol, "test://x", OPEN_READ);
    pair->poll = (uint64_t)MUST(set_poll(poll));
}

static void pair_end(struct pair *pair)
{
    MUST(set_poll(pair->poll));
    handle_drop(pair->file);
    protocol_stop(&pair->protocol);
    helper_join(pair->service);
    protocol_end(&pair->protocol);
    MUST(sys_thread_control(HANDLE_SELF, THREAD_AFFINITY, 0, NULL));
}

/* That many commands, one after the other; the interrupts that CPUs sent each other meanwhile. */
static uint64_t interrupts_of(const struct pair *pair, unsigned count)
{
    uint64_t before = system_info().reschedule_interrupts;
    struct short_completion completion;

    for (unsigned i = 0; i < count; i++)
        MUST(sys_file_call_short(pair->file, TEST_ECHO, 0, 1, 2, 3, 4, &completion));
    return system_info().reschedule_interrupts - before;
}

#define COMMANDS 100
#define ROUNDS   50 /* others wake CPUs, too: the quietest counts */

TEST(a_command_is_one_interrupt_and_so_is_its_answer)
{
    struct pair pair;
    uint64_t least = UINT64_MAX;

    if (system_info().cpus < CPUS)
        return;
    pair_begin(&pair, 0);
    for (unsigned round = 0; round < ROUNDS && least > 2 * COMMANDS; round++)
        least = MIN(least, interrupts_of(&pair, COMMANDS));
    pair_end(&pair);
    CHECK(least <= 2 * COMMANDS);
    CHECK(least > 0);
}

static void busy(unsigned turns)
{
    for (volatile unsigned i = 0; i < turns; i++)
        ;
}

/* Both sides have to poll when they are needed: the service's CPU is given time to begin, the client's has as much as the service
 * takes. */
TEST(a_polling_cpu_is_not_interrupted)
{
    struct pair pair;
    uint64_t least = UINT64_MAX;

    if (system_info().cpus < CPUS)
        return;
    pair_begin(&pair, (uint64_t)SECOND);
    for (unsigned turns = 1000; turns < 1000000 && least; turns += 1000) {
        busy(turns);
        least = MIN(least, interrupts_of(&pair, 1));
    }
    pair_end(&pair);
    CHECK_EQUAL(least, 0);
}

TEST(how_long_to_poll)
{
    int64_t usual = MUST(set_poll(1));

    CHECK_ERROR(set_poll(UINT64_C(1) << 63), INVALID);
    CHECK_EQUAL(set_poll(INT64_MAX), 1);
    CHECK_EQUAL(set_poll((uint64_t)usual), INT64_MAX);
}
