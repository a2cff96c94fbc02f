/* Devices' registers, DMA and ports, and the rights to them: with QEMU's edu. Interrupts: interrupts.c. */
#include "tests/guest/pci.h"

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
    CHECK_ERROR(sys_resource_create(root(), RESOURCE_CLOCK + 1, 0, 1), INVALID);
    CHECK_ERROR(sys_resource_create(root(), RESOURCE_IRQ, 0, 0), RANGE);
}

/* Each allocation of each call fails once: nothing is half bound, nothing is lost. */
static int64_t bind_shared_line(void)
{
    return sys_irq_bind(root(), PCI_LINES_FIRST + 3, PCI_WIRED, NULL);
}

static int64_t bind_any_message(void)
{
    struct abi_irq_message message;

    return sys_irq_bind(root(), IRQ_ANY_CPU, IRQ_MESSAGE, &message);
}

static int64_t make_dma_memory(void)
{
    return sys_memory_physical(root(), 0, 5 * PAGE_SIZE, MEMORY_DMA32);
}

static int64_t make_contiguous_memory(void)
{
    return sys_memory_physical(root(), 0, 5 * PAGE_SIZE, MEMORY_CONTIGUOUS);
}

static int64_t make_device_memory(void)
{
    return sys_memory_physical(root(), 0xa0000, PAGE_SIZE, CACHE_NONE);
}

static int64_t make_resource(void)
{
    return sys_resource_create(root(), RESOURCE_DMA, 0, 1);
}

TEST(failing_allocations)
{
    static int64_t (*const calls[])(void) = {bind_shared_line,   bind_any_message,
                                             make_dma_memory,    make_contiguous_memory,
                                             make_device_memory, make_resource};

    for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
        int64_t result = -E_NO_MEMORY;
        uint64_t k = 0;

        while (result == -E_NO_MEMORY) {
            CHECK(++k < 100);
            MUST(sys_system_control(root(), SYSTEM_FAIL_ALLOCATION, k));
            result = calls[i]();
            MUST(sys_system_control(root(), SYSTEM_FAIL_ALLOCATION, 0));
        }
        CHECK(k > 1);
        handle_drop((handle_t)MUST(result));
    }
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
