/* Interrupts, with real devices: QEMU's edu, twice, and the PC's timer and clock. */
#include "tests/guest/pci.h"

/* --- Level lines ------------------------------------------------------------------------------------------------- */

TEST(a_level_line_waits_for_its_driver)
{
    struct edu edu = edu_open(0);
    handle_t irq = line_bind(edu_line(&edu), PCI_WIRED);
    uint64_t before;

    CHECK(!fired(irq));
    edu_raise(&edu);
    signal_wait(irq, SIGNAL_READABLE);
    before = system_info().interrupts;
    sleep_for(20 * MILLISECOND); /* the device goes on asking all that time */
    CHECK(system_info().interrupts - before < 1000);
    ack(irq); /* too early: it still asks */
    signal_wait(irq, SIGNAL_READABLE);
    edu_quiet(&edu);
    ack(irq);
    settle();
    CHECK(!fired(irq));
    edu_raise(&edu);
    signal_wait(irq, SIGNAL_READABLE);
    edu_quiet(&edu);
    ack(irq);
    ack(irq); /* nothing to acknowledge */
    handle_drop(irq);
    edu_close(&edu);
}

/* Asking before anybody is bound is not lost: it is a level. */
TEST(a_level_line_that_asks_already)
{
    struct edu edu = edu_open(0);
    uint32_t line = edu_line(&edu);

    edu_raise(&edu);
    handle_t irq = line_bind(line, PCI_WIRED);

    signal_wait(irq, SIGNAL_READABLE);
    handle_drop(irq); /* while it asks: the line is masked */
    settle();
    irq = line_bind(line, PCI_WIRED);
    signal_wait(irq, SIGNAL_READABLE);
    edu_quiet(&edu);
    ack(irq);
    handle_drop(irq);
    edu_close(&edu);
}

TEST(who_may_share_a_line)
{
    struct edu edu = edu_open(0);
    uint32_t line = edu_line(&edu);
    handle_t irq = line_bind(line, PCI_WIRED), other = line_bind(line, PCI_WIRED);

    CHECK_ERROR(sys_irq_bind(root(), line, IRQ_LEVEL, NULL), BUSY);
    CHECK_ERROR(sys_irq_bind(root(), line, IRQ_EDGE, NULL), BUSY);
    handle_drop(irq);
    CHECK_ERROR(sys_irq_bind(root(), line, IRQ_EDGE, NULL), BUSY);
    handle_drop(other);
    irq = line_bind(line, IRQ_EDGE);
    CHECK_ERROR(sys_irq_bind(root(), line, IRQ_EDGE, NULL), BUSY);
    CHECK_ERROR(sys_irq_bind(root(), line, PCI_WIRED, NULL), BUSY);
    handle_drop(irq);
    edu_close(&edu);
}

/* Two devices, two drivers, one line: it opens when both have looked. */
TEST(shared_line)
{
    struct edu a = edu_open(0), b = edu_open(1);
    uint32_t line = edu_line(&a);
    handle_t of_a = line_bind(line, PCI_WIRED), of_b = line_bind(line, PCI_WIRED);

    edu_raise(&b);
    signal_wait(of_a, SIGNAL_READABLE);
    signal_wait(of_b, SIGNAL_READABLE);
    MUST(sys_irq_ack(of_a, IRQ_NOT_MINE));
    settle();
    CHECK(!fired(of_a)); /* b's driver has not looked yet: the line is masked */
    CHECK(fired(of_b));
    edu_raise(&a);
    edu_quiet(&b);
    ack(of_b);
    signal_wait(of_a, SIGNAL_READABLE); /* now it tells of a's */
    signal_wait(of_b, SIGNAL_READABLE);
    edu_quiet(&a);
    ack(of_a);
    MUST(sys_irq_ack(of_b, IRQ_NOT_MINE));
    settle();
    CHECK(!fired(of_a) && !fired(of_b));
    handle_drop(of_a);
    handle_drop(of_b);
    edu_close(&a);
    edu_close(&b);
}

/* A driver for the life of a process: acknowledges what comes, quietens its device. */
struct driving {
    struct edu edu;
    uint32_t line, count, stop;
    handle_t irq;
};

static void drive(void *argument)
{
    struct driving *driving = argument;

    for (;;) {
        signal_wait(driving->irq, SIGNAL_READABLE);
        if (edu_read(&driving->edu, EDU_IRQ_STATUS)) {
            edu_quiet(&driving->edu);
            word_add(&driving->count, 1);
            MUST(sys_irq_ack(driving->irq, 0));
        } else {
            MUST(sys_irq_ack(driving->irq, IRQ_NOT_MINE));
        }
    }
}

/* Raise, wait for its driver to count it: so many times. */
static void raise_often(struct driving *driving, int times)
{
    for (int i = 0; i < times; i++) {
        uint32_t count = word_get(&driving->count);

        edu_raise(&driving->edu);
        word_wait(&driving->count, count + 1);
    }
}

static void raise_from_thread(void *argument)
{
    raise_often(argument, 300);
}

TEST(shared_line_two_drivers_at_once)
{
    struct driving *state = shared(2 * sizeof(*state));
    struct helper *drivers[2], *raisers[2];

    for (unsigned i = 0; i < 2; i++) {
        state[i].edu = edu_open(i);
        state[i].irq = line_bind(edu_line(&state[0].edu), PCI_WIRED);
    }
    for (unsigned i = 0; i < 2; i++)
        drivers[i] = helper_process(drive, &state[i]);
    for (unsigned i = 0; i < 2; i++)
        raisers[i] = helper_thread(raise_from_thread, &state[i]);
    for (unsigned i = 0; i < 2; i++)
        helper_join(raisers[i]);
    for (unsigned i = 0; i < 2; i++) {
        CHECK(state[i].count >= 300);
        helper_kill(drivers[i]);
        handle_drop(state[i].irq);
        edu_close(&state[i].edu);
    }
    unshare(state);
}

/* One that holds the line's only handle, is told, and never acknowledges. */
static void bind_and_hang(void *argument)
{
    struct driving *driving = argument;
    handle_t irq = line_bind(driving->line, PCI_WIRED);

    word_set(&driving->count, 1);
    signal_wait(irq, SIGNAL_READABLE);
    word_set(&driving->count, 2);
    sleep_for(PATIENCE);
}

TEST(a_dead_driver_holds_up_nobody)
{
    struct driving *state = shared(sizeof(*state));
    struct edu edu = edu_open(0);

    state->line = edu_line(&edu);
    struct helper *dying = helper_process(bind_and_hang, state);

    word_wait(&state->count, 1);
    handle_t irq = line_bind(state->line, PCI_WIRED);

    edu_raise(&edu);
    signal_wait(irq, SIGNAL_READABLE);
    word_wait(&state->count, 2);
    edu_quiet(&edu);
    ack(irq);
    edu_raise(&edu);
    settle();
    CHECK(!fired(irq));
    helper_kill(dying);
    signal_wait(irq, SIGNAL_READABLE);
    edu_quiet(&edu);
    ack(irq);
    handle_drop(irq);
    edu_close(&edu);
    unshare(state);
}

/* What asks for ever and is nobody's is masked and reported; a driver that knows better opens the line again. */
TEST(a_stuck_line)
{
    struct edu edu = edu_open(0);
    uint32_t line = edu_line(&edu), rounds = 0;
    handle_t irq = line_bind(line, PCI_WIRED), other = line_bind(line, PCI_WIRED);

    edu_raise(&edu);
    for (;;) {
        if (signal_wait(irq, SIGNAL_READABLE) & SIGNAL_ERROR)
            break;
        MUST(sys_irq_ack(irq, IRQ_NOT_MINE));
        MUST(sys_irq_ack(other, IRQ_NOT_MINE));
        CHECK(++rounds < 100000);
    }
    CHECK_EQUAL(signals_now(other, SIGNAL_READABLE), SIGNAL_ERROR);
    MUST(sys_irq_ack(irq, IRQ_NOT_MINE));
    settle();
    CHECK(!fired(irq));
    ack(irq);
    CHECK_EQUAL(signal_wait(irq, SIGNAL_READABLE), SIGNAL_READABLE);
    signal_wait(other, SIGNAL_READABLE);
    edu_quiet(&edu);
    ack(irq);
    ack(other);
    settle();
    CHECK_EQUAL(signals_now(irq, SIGNAL_READABLE), 0);
    handle_drop(irq);
    handle_drop(other);
    edu_close(&edu);
}

/* --- Messages ---------------------------------------------------------------------------------------------------- */

TEST(messages)
{
    struct edu edu = edu_open(0);
    struct abi_irq_message message;
    handle_t irq = message_bind(IRQ_ANY_CPU, &message);

    CHECK_EQUAL(message.address >> 20, 0xfee);
    CHECK_EQUAL(message.reserved, 0);
    edu_use_message(&edu, &message);
    for (int i = 0; i < 100; i++) {
        CHECK(!fired(irq));
        edu_raise(&edu);
        signal_wait(irq, SIGNAL_READABLE);
        edu_quiet(&edu);
        ack(irq);
    }
    handle_drop(irq);
    edu_raise(&edu); /* nobody's vector now */
    settle();
    edu_close(&edu);
}

/* What fires between a driver's look at its device and its acknowledgement is told again. */
TEST(no_edge_is_lost)
{
    struct edu edu = edu_open(0);
    struct abi_irq_message message;
    handle_t irq = message_bind(IRQ_ANY_CPU, &message),
             port = (handle_t)MUST(sys_proto_create(HANDLE_SELF, NULL, 0));
    struct abi_message notice;

    MUST(sys_port_bind(port, irq, SIGNAL_READABLE, 7, 0));
    edu_use_message(&edu, &message);
    edu_raise(&edu);
    MUST(sys_proto_accept(port, &notice, NULL, 0, after(PATIENCE)));
    CHECK_EQUAL(notice.cookie, 7);
    edu_raise(&edu);
    edu_raise(&edu);
    settle();
    ack(irq);
    signal_wait(irq, SIGNAL_READABLE);
    MUST(sys_proto_accept(port, &notice, NULL, 0, after(PATIENCE)));
    CHECK_EQUAL(notice.cookie, 7);
    ack_the_rest(irq);
    handle_drop(port);
    handle_drop(irq);
    edu_close(&edu);
}

TEST(messages_to_each_cpu)
{
    struct edu edu = edu_open(0);
    uint32_t count = (uint32_t)system_info().cpus;
    uint64_t last = 0;

    for (uint32_t cpu = 0; cpu < count; cpu++) {
        struct abi_irq_message message;
        handle_t irq = message_bind(cpu, &message);

        CHECK(message.address != last);
        last = message.address;
        edu_use_message(&edu, &message);
        edu_raise(&edu);
        signal_wait(irq, SIGNAL_READABLE);
        handle_drop(irq);
    }
    CHECK_ERROR(sys_irq_bind(root(), count, IRQ_MESSAGE, &(struct abi_irq_message){0}), BUSY);
    edu_close(&edu);
}

/* Vectors are spread over the CPUs, run out, and come back. */
TEST(as_many_messages_as_there_are_vectors)
{
    enum { MOST = 8 * 192 };
    static handle_t irqs[MOST];
    static uint64_t seen[MOST];
    struct abi_irq_message message;
    uint32_t count = 0;
    int64_t result;

    while ((result = sys_irq_bind(root(), IRQ_ANY_CPU, IRQ_MESSAGE, &message)) > 0) {
        CHECK(count < MOST);
        irqs[count] = (handle_t)result;
        seen[count] = message.address << 8 | message.data;
        for (uint32_t i = 0; i < count; i++)
            CHECK(seen[i] != seen[count]);
        count++;
    }
    CHECK_ERROR(result, BUSY);
    CHECK(count > 100 * system_info().cpus);
    if (system_info().cpus > 1)
        CHECK(seen[0] >> 20 != seen[1] >> 20);
    while (count)
        handle_drop(irqs[--count]);
    handle_drop(message_bind(IRQ_ANY_CPU, &message));
}

/* A device gone mad: reported to whoever can silence it, and nobody else notices. The messages go to the CPU that raises
 * them: to another, virtual one that the host does not run just now a million of them may be one. */
TEST(a_storm_of_messages)
{
    struct edu edu = edu_open(0);
    struct abi_irq_message message;
    handle_t irq = message_bind(0, &message);
    uint32_t raised = 0;

    MUST(sys_thread_control(HANDLE_SELF, THREAD_AFFINITY, 1, NULL));
    edu_use_message(&edu, &message);
    while (!(signals_now(irq, SIGNAL_READABLE) & SIGNAL_ERROR)) {
        for (int i = 0; i < 1000; i++)
            edu_raise(&edu);
        raised += 1000;
        CHECK(raised < 10000000);
    }
    CHECK(raised >= 100000);
    ack_the_rest(irq);
    CHECK_EQUAL(signals_now(irq, SIGNAL_READABLE), 0);
    edu_raise(&edu);
    signal_wait(irq, SIGNAL_READABLE);
    MUST(sys_thread_control(HANDLE_SELF, THREAD_AFFINITY, 0, NULL));
    handle_drop(irq);
    edu_close(&edu);
}

/* --- Drivers that die -------------------------------------------------------------------------------------------- */

struct dying {
    struct edu edu;
    uint32_t line, ready, stop;
    struct abi_irq_message message;
};

static void drive_line(void *argument)
{
    struct dying *dying = argument;
    handle_t irq = line_bind(dying->line, PCI_WIRED);

    word_set(&dying->ready, 1);
    for (;;) {
        signal_wait(irq, SIGNAL_READABLE);
        edu_quiet(&dying->edu);
        ack(irq);
    }
}

static void drive_message(void *argument)
{
    struct dying *dying = argument;
    handle_t irq = message_bind(IRQ_ANY_CPU, &dying->message);

    word_set(&dying->ready, 1);
    for (;;) {
        signal_wait(irq, SIGNAL_READABLE);
        ack(irq);
    }
}

static void raise_until_told(void *argument)
{
    struct dying *dying = argument;

    while (!word_get(&dying->stop))
        edu_raise(&dying->edu);
}

static void kill_often(void (*driver)(void *), bool message)
{
    struct dying *dying = shared(sizeof(*dying));
    struct helper *raiser;

    dying->edu = edu_open(0);
    dying->line = edu_line(&dying->edu);
    raiser = helper_thread(raise_until_told, dying);
    for (int i = 0; i < 40; i++) {
        word_set(&dying->ready, 0);
        struct helper *helper = helper_process(driver, dying);

        word_wait(&dying->ready, 1);
        if (message)
            edu_use_message(&dying->edu, &dying->message);
        sleep_for(i % 7 * 100000);
        helper_kill(helper);
    }
    word_set(&dying->stop, 1);
    helper_join(raiser);
    edu_close(&dying->edu);
    unshare(dying);
}

TEST(killed_while_its_line_fires)
{
    kill_often(drive_line, false);
}

TEST(killed_while_its_messages_come)
{
    kill_often(drive_message, true);
}

/* Drivers that come, acknowledge and go, on one line, while it fires. */
struct crowd {
    uint32_t line, stop, seen;
    const struct edu *edu;
};

static void come_and_go(void *argument)
{
    struct crowd *crowd = argument;

    while (!word_get(&crowd->stop)) {
        handle_t irq = line_bind(crowd->line, PCI_WIRED);
        struct abi_wait wait = {.handle = irq, .signals = SIGNAL_READABLE};

        if (sys_wait_many(&wait, 1, after(MILLISECOND / 2)) == 1) {
            word_add(&crowd->seen, 1);
            edu_quiet(crowd->edu);
            if (now() & 1)
                ack(irq);
        }
        MUST(sys_handle_close(irq)); /* perhaps without having acknowledged */
    }
}

TEST(drivers_come_and_go_on_one_line)
{
    struct edu edu = edu_open(0);
    struct crowd crowd = {.line = edu_line(&edu), .edu = &edu};
    struct helper *threads[3];
    int64_t until = after(SECOND);

    for (int i = 0; i < 3; i++)
        threads[i] = helper_thread(come_and_go, &crowd);
    while (now() < until || !word_get(&crowd.seen)) {
        edu_raise(&edu);
        sleep_for(200000);
    }
    word_set(&crowd.stop, 1);
    for (int i = 0; i < 3; i++)
        helper_join(threads[i]);
    edu_quiet(&edu);

    handle_t irq = line_bind(crowd.line, PCI_WIRED); /* and it still works */

    edu_raise(&edu);
    signal_wait(irq, SIGNAL_READABLE);
    edu_quiet(&edu);
    ack(irq);
    handle_drop(irq);
    edu_close(&edu);
}

/* --- ISA lines: edges -------------------------------------------------------------------------------------------- */

#define PIT_HZ 1193182u

/* Channel 0, a rate generator: an edge each time, whether anybody listens or not. */
static void pit_start(uint32_t hz)
{
    uint32_t divisor = PIT_HZ / hz;

    ports_use(0x40, 4);
    port_out8(0x43, 0x34);
    port_out8(0x40, (uint8_t)divisor);
    port_out8(0x40, (uint8_t)(divisor >> 8));
}

static void pit_stop(void)
{
    port_out8(0x43, 0x30); /* a mode that waits for its count, which never comes */
}

/* ISA line 0 is global line 2: the MADT overrides it. */
TEST(edges_of_the_timer)
{
    handle_t irq = line_bind(0, IRQ_ISA);

    CHECK_ERROR(sys_irq_bind(root(), 2, IRQ_EDGE, NULL), BUSY);
    handle_drop((handle_t)MUST(sys_irq_bind(root(), 3, IRQ_EDGE, NULL)));
    pit_start(200);
    for (int i = 0; i < 20; i++) {
        signal_wait(irq, SIGNAL_READABLE);
        ack(irq);
    }
    pit_stop();
    handle_drop(irq);
}

/* A line that nobody acknowledges costs no more than two interrupts. */
TEST(edges_that_nobody_acknowledges)
{
    handle_t irq = line_bind(0, IRQ_ISA);
    uint64_t before;

    pit_start(10000);
    signal_wait(irq, SIGNAL_READABLE);
    sleep_for(5 * MILLISECOND);
    before = system_info().interrupts;
    sleep_for(200 * MILLISECOND); /* 2,000 of them */
    CHECK(system_info().interrupts - before < 1000);
    ack(irq);
    CHECK(fired(irq)); /* at least one came after the first */
    for (int i = 0; i < 3; i++) {
        ack(irq);
        signal_wait(irq, SIGNAL_READABLE);
    }
    pit_stop();
    handle_drop(irq);
}

/* The clock holds its line until it is asked why: one edge for each question. */
TEST(edges_of_the_clock)
{
    handle_t irq = line_bind(8, IRQ_ISA);
    uint8_t control;

    ports_use(0x70, 2);
    port_out8(0x70, 0x8a);
    port_out8(0x71, (port_in8(0x71) & 0xf0) | 6); /* 1024 Hz */
    port_out8(0x70, 0x8b);
    control = port_in8(0x71);
    port_out8(0x70, 0x8b);
    port_out8(0x71, control | 0x40);
    for (int i = 0; i < 20; i++) {
        port_out8(0x70, 0x8c);
        port_in8(0x71);
        signal_wait(irq, SIGNAL_READABLE);
        ack(irq);
    }
    port_out8(0x70, 0x8b);
    port_out8(0x71, control);
    port_out8(0x70, 0x0c);
    port_in8(0x71);
    handle_drop(irq);
}
