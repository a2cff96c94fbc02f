/* Interrupts, ports and DMA, with real devices: QEMU's edu, twice, and the PC's timer and clock.
 *
 * Which line edu's INTA is on is the chip set's affair, and told by AML, which nobody here runs: so all lines of the
 * IO-APIC that PCI uses on q35 are bound, and the one that fires is it.
 */
#include "tests/guest/pci.h"

static handle_t line_bind(uint32_t line, uint32_t flags)
{
    return (handle_t)MUST(sys_irq_bind(root(), line, flags, NULL));
}

static handle_t message_bind(uint32_t cpu, struct abi_irq_message *message)
{
    return (handle_t)MUST(sys_irq_bind(root(), cpu, IRQ_MESSAGE, message));
}

static bool fired(handle_t irq)
{
    return signals_now(irq, SIGNAL_READABLE) & SIGNAL_READABLE;
}

static void ack(handle_t irq)
{
    MUST(sys_irq_ack(irq, 0));
}

/* Interrupts that are on their way have arrived, if the host was not too busy to run the CPU they go to. */
static void settle(void)
{
    sleep_for(2 * MILLISECOND);
}

/* Its device has stopped: acknowledged until nothing more comes. */
static void ack_the_rest(handle_t irq)
{
    int64_t deadline = after(PATIENCE);

    do {
        CHECK(now() < deadline);
        ack(irq);
        settle();
    } while (fired(irq));
}

#define PCI_LINES_FIRST 16u
#define PCI_LINES       8u
#define PCI_WIRED       (IRQ_LEVEL | IRQ_LOW)

/* The line of its INTA. */
static uint32_t edu_line(const struct edu *edu)
{
    static uint32_t known;
    struct abi_wait waits[PCI_LINES];

    if (known)
        return known;
    for (uint32_t i = 0; i < PCI_LINES; i++)
        waits[i] =
            (struct abi_wait){line_bind(PCI_LINES_FIRST + i, PCI_WIRED), SIGNAL_READABLE, 0, 0};
    edu_raise(edu);
    CHECK_EQUAL(MUST(sys_wait_many(waits, PCI_LINES, after(PATIENCE))), 1);
    edu_quiet(edu);
    for (uint32_t i = 0; i < PCI_LINES; i++) {
        if (waits[i].ready)
            known = PCI_LINES_FIRST + i;
        handle_drop(waits[i].handle);
    }
    return known;
}

/* --- The device itself ------------------------------------------------------------------------------------------ */

TEST(registers)
{
    struct edu edu = edu_open(0);

    CHECK_EQUAL(edu_read(&edu, EDU_ID) & 0xffff, 0xed);
    edu_write(&edu, EDU_LIVE, 0x12345678);
    CHECK_EQUAL(edu_read(&edu, EDU_LIVE), ~0x12345678u);
    edu_close(&edu);
}

TEST(computing_ends_in_an_interrupt)
{
    struct edu edu = edu_open(0);
    handle_t irq = line_bind(edu_line(&edu), PCI_WIRED);

    edu_write(&edu, EDU_STATUS, EDU_FACTORIAL_IRQ);
    edu_write(&edu, EDU_FACTORIAL, 10);
    signal_wait(irq, SIGNAL_READABLE);
    CHECK_EQUAL(edu_read(&edu, EDU_FACTORIAL), 3628800);
    CHECK_EQUAL(edu_read(&edu, EDU_STATUS) & EDU_BUSY, 0);
    edu_write(&edu, EDU_STATUS, 0);
    edu_quiet(&edu);
    ack(irq);
    settle();
    CHECK(!fired(irq));
    handle_drop(irq);
    edu_close(&edu);
}

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

/* A device gone mad: reported to whoever can silence it, and nobody else notices. */
TEST(a_storm_of_messages)
{
    struct edu edu = edu_open(0);
    struct abi_irq_message message;
    handle_t irq = message_bind(IRQ_ANY_CPU, &message);
    uint32_t raised = 0;

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

/* --- DMA --------------------------------------------------------------------------------------------------------- */

static void edu_transfer(const struct edu *edu, handle_t irq, uint64_t source, uint64_t target,
                         uint32_t count, uint32_t direction)
{
    *(volatile uint64_t *)&edu->registers[EDU_DMA_SOURCE / 4] = source;
    *(volatile uint64_t *)&edu->registers[EDU_DMA_TARGET / 4] = target;
    edu_write(edu, EDU_DMA_COUNT, count);
    edu_write(edu, EDU_DMA_COMMAND, EDU_DMA_START | EDU_DMA_IRQ | direction);
    signal_wait(irq, SIGNAL_READABLE);
    CHECK_EQUAL(edu_read(edu, EDU_IRQ_STATUS), EDU_DMA_FIRED);
    edu_quiet(edu);
    ack(irq);
}

/* Out of one page of ours into the device, and from there into another. QEMU ends if edu is told to use its buffer to the
 * last byte. */
#define DMA_LENGTH (PAGE_SIZE / 2)

TEST(dma_both_ways)
{
    struct edu edu = edu_open(0);
    struct abi_irq_message message;
    handle_t irq = message_bind(IRQ_ANY_CPU, &message);
    handle_t memory = (handle_t)MUST(sys_memory_physical(root(), 0, 2 * PAGE_SIZE, MEMORY_DMA32));
    uint8_t *bytes = memory_map(memory, 2 * PAGE_SIZE, PROT_READ_ | PROT_WRITE_, MAP_SHARED_);
    uint64_t pages[2];

    MUST(sys_memory_op(memory, MEMORY_OP_PHYSICAL, 0, 2 * PAGE_SIZE, pages));
    edu_use_message(&edu, &message);
    for (uint32_t i = 0; i < DMA_LENGTH; i++)
        bytes[i] = (uint8_t)(i * 7 + i / 256);
    edu_transfer(&edu, irq, pages[0], EDU_BUFFER, DMA_LENGTH, 0);
    edu_transfer(&edu, irq, EDU_BUFFER, pages[1], DMA_LENGTH, EDU_DMA_TO_RAM);
    for (uint32_t i = 0; i < DMA_LENGTH; i++)
        CHECK_EQUAL(bytes[PAGE_SIZE + i], (uint8_t)(i * 7 + i / 256));
    handle_drop(irq);
    pages_unmap(bytes, 2);
    handle_drop(memory);
    edu_close(&edu);
}

/* Its pages are not copied away from under a device: neither by fork nor by a clone. */
static void write_byte_there(void *argument)
{
    *(volatile uint8_t *)argument = 2;
}

TEST(dma_memory_stays)
{
    handle_t memory = (handle_t)MUST(sys_memory_physical(root(), 0, PAGE_SIZE, MEMORY_STAYS));
    volatile uint8_t *bytes = memory_map(memory, PAGE_SIZE, PROT_READ_ | PROT_WRITE_, MAP_SHARED_);
    uint64_t before, now_at;

    bytes[0] = 1;
    MUST(sys_memory_op(memory, MEMORY_OP_PHYSICAL, 0, PAGE_SIZE, &before));
    handle_t clone = (handle_t)MUST(sys_memory_clone(memory, 0, PAGE_SIZE, 0));

    helper_join(helper_process(write_byte_there, (void *)(uintptr_t)bytes));
    CHECK_EQUAL(bytes[0], 2);
    bytes[0] = 3;
    CHECK_ERROR(sys_memory_op(memory, MEMORY_OP_DECOMMIT, 0, PAGE_SIZE, NULL), NOT_SUPPORTED);
    MUST(sys_memory_op(memory, MEMORY_OP_PHYSICAL, 0, PAGE_SIZE, &now_at));
    CHECK_EQUAL(now_at, before);
    uint8_t byte = 9;

    MUST(sys_memory_op(clone, MEMORY_OP_READ, 0, 1, &byte));
    CHECK_EQUAL(byte, 1);
    handle_drop(clone);
    pages_unmap((void *)(uintptr_t)bytes, 1);
    handle_drop(memory);
}

/* --- Ports ------------------------------------------------------------------------------------------------------- */

static void use_port(void *argument)
{
    (void)argument;
    port_in8(0x80);
}

TEST(ports_belong_to_the_process)
{
    ports_use(0x80, 1);
    port_in8(0x80);
    helper_join(helper_thread(use_port, NULL));
    CHECK_EQUAL(helper_status(helper_process(use_port, NULL)),
                EXIT_EXCEPTION | 13); /* not inherited */
    port_in8(0x80);
}

static void use_neighbour(void *argument)
{
    uint16_t port = *(uint16_t *)argument;

    ports_use(0x84, 3);
    port_in8(0x84);
    port_in8(0x86);
    port_in8(port);
}

TEST(ports_end_where_the_resource_does)
{
    static uint16_t ports[] = {0x83, 0x87, 0x80, 0x8084, 0xffff};

    for (size_t i = 0; i < ARRAY_SIZE(ports); i++)
        CHECK_EQUAL(helper_status(helper_process(use_neighbour, &ports[i])), EXIT_EXCEPTION | 13);
    CHECK_ERROR(sys_ioport_grant(root()), WRONG_TYPE);
    CHECK_ERROR(sys_resource_create(root(), RESOURCE_IOPORT, 0xffff, 2), RANGE);
    CHECK_ERROR(sys_resource_create(root(), RESOURCE_IOPORT, 0x10000, 1), RANGE);
    CHECK_ERROR(sys_resource_create(root(), RESOURCE_IOPORT, 1, UINT64_MAX), RANGE);
}

/* Threads of a process with ports and of one without take turns on every CPU. */
static void use_port_often(void *argument)
{
    uint32_t *stop = argument;

    ports_use(0x80, 1);
    while (!word_get(stop)) {
        port_in8(0x80);
        MUST(sys_thread_control(HANDLE_SELF, THREAD_YIELD, 0, NULL));
    }
}

static void yield_and_use_port(void *argument)
{
    (void)argument;
    for (int i = 0; i < 200; i++)
        MUST(sys_thread_control(HANDLE_SELF, THREAD_YIELD, 0, NULL));
    port_in8(0x80);
}

TEST(ports_are_switched)
{
    uint32_t *stop = shared(PAGE_SIZE);
    struct helper *with[4], *without[4];

    for (int i = 0; i < 4; i++)
        with[i] = helper_process(use_port_often, stop);
    for (int i = 0; i < 4; i++)
        without[i] = helper_process(yield_and_use_port, NULL);
    for (int i = 0; i < 4; i++)
        CHECK_EQUAL(helper_status(without[i]), EXIT_EXCEPTION | 13);
    word_set(stop, 1);
    for (int i = 0; i < 4; i++)
        helper_join(with[i]);
    unshare(stop);
}

/* --- Rights and rubbish -------------------------------------------------------------------------------------------- */

TEST(resources_are_narrow)
{
    struct abi_irq_message message;
    handle_t lines = (handle_t)MUST(sys_resource_create(root(), RESOURCE_IRQ, 16, 2));
    handle_t cpu = (handle_t)MUST(sys_resource_create(root(), RESOURCE_MESSAGE, 0, 1));
    handle_t weak = duplicate(lines, RIGHT_DUPLICATE);

    CHECK_ERROR(sys_irq_bind(lines, 15, PCI_WIRED, NULL), RANGE);
    CHECK_ERROR(sys_irq_bind(lines, 18, PCI_WIRED, NULL), RANGE);
    CHECK_ERROR(sys_irq_bind(lines, IRQ_ANY_CPU, IRQ_MESSAGE, &message), RANGE);
    CHECK_ERROR(sys_irq_bind(lines, 16, IRQ_MESSAGE, &message), RANGE);
    CHECK_ERROR(sys_irq_bind(weak, 16, PCI_WIRED, NULL), ACCESS);
    CHECK_ERROR(sys_irq_bind(cpu, 0, PCI_WIRED, NULL), RANGE);
    CHECK_ERROR(sys_irq_bind(cpu, 1, IRQ_MESSAGE, &message), RANGE);
    CHECK_ERROR(sys_irq_bind(cpu, 0, IRQ_MESSAGE | IRQ_LEVEL, &message), INVALID);
    CHECK_ERROR(sys_irq_bind(cpu, 0, IRQ_MESSAGE, NULL), FAULT);
    CHECK_ERROR(sys_irq_bind(root(), 5, 0x10, NULL), INVALID);
    CHECK_ERROR(sys_irq_bind(root(), 5000, 0, NULL), RANGE);
    CHECK_ERROR(sys_irq_bind(root(), 16, IRQ_ISA, NULL), RANGE);
    handle_t irq = (handle_t)MUST(sys_irq_bind(cpu, IRQ_ANY_CPU, IRQ_MESSAGE, &message));

    CHECK_ERROR(sys_irq_ack(irq, 2), INVALID);
    handle_t watcher = duplicate(irq, RIGHT_WAIT);

    CHECK_ERROR(sys_irq_ack(watcher, 0), ACCESS);
    handle_drop(watcher);
    handle_drop(irq);
    handle_drop(weak);
    handle_drop(lines);
    handle_drop(cpu);
    CHECK_ERROR(sys_resource_create(root(), RESOURCE_ROOT, 0, 1), INVALID);
    CHECK_ERROR(sys_resource_create(root(), RESOURCE_DMA + 1, 0, 1), INVALID);
    CHECK_ERROR(sys_resource_create(root(), RESOURCE_IRQ, 0, 0), RANGE);
}

static uint64_t random_state = 88172645463325252u;

static uint64_t random_number(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

/* Numbers that mean something, nearly mean something, or nothing. */
static uint64_t rubbish(void)
{
    static const uint64_t numbers[] = {0,
                                       1,
                                       2,
                                       8,
                                       16,
                                       24,
                                       0xffff,
                                       0x10000,
                                       0xa0000,
                                       0xfee00000,
                                       UINT32_MAX,
                                       UINT64_C(1) << 32,
                                       UINT64_C(1) << 46,
                                       INT64_MAX,
                                       UINT64_MAX};
    uint64_t number = numbers[random_number() % ARRAY_SIZE(numbers)];

    switch (random_number() % 4) {
    case 0:
        return number;
    case 1:
        return number + (int64_t)(random_number() % 5) - 2;
    case 2:
        return random_number() % 32;
    default:
        return random_number();
    }
}

/* Root's own right to all of it, so that much succeeds; what does is given back at once. Ports are left out: they would
 * stay granted. */
TEST(rubbish_arguments)
{
    static const uint32_t calls[] = {0x58, 0x59, 0x5a, 0x0c, 0x0b};
    struct abi_irq_message message;
    handle_t kept[8] = {root(), root(), 0, 0, 0, 0, 0, 0};

    for (int i = 0; i < 30000; i++) {
        uint32_t call = calls[random_number() % ARRAY_SIZE(calls)];
        uint64_t handle = (uint64_t)kept[random_number() % ARRAY_SIZE(kept)];
        uint64_t pointer = random_number() % 2 ? (uintptr_t)&message : rubbish();
        uint64_t length =
            call == 0x0c && random_number() % 2 ? random_number() % 8 * PAGE_SIZE : rubbish();
        int64_t result = call == 0x59
                             ? syscall_raw(call, handle, rubbish(), rubbish() % 32, pointer, 0, 0)
                             : syscall_raw(call, handle, rubbish(), length, rubbish(), pointer, 0);
        unsigned slot = 2 + random_number() % (ARRAY_SIZE(kept) - 2);

        if (result <= 0 || call == 0x0b || call == 0x5a)
            continue;
        if (kept[slot])
            handle_drop(kept[slot]);
        kept[slot] = (handle_t)result;
    }
    for (unsigned slot = 2; slot < ARRAY_SIZE(kept); slot++)
        if (kept[slot])
            handle_drop(kept[slot]);
}
