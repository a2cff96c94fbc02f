/* log_write, log_read, system_info, system_control, resource_create, irq_bind, irq_ack, ioport_grant. */
#include "tests/guest/guest.h"

/* --- The log --------------------------------------------------------------------------------------------------- */

static struct abi_log_read read_log(uint64_t sequence, char *text, size_t size)
{
    struct abi_log_read read = {
        .sequence = sequence, .buffer = (uintptr_t)text, .length = size - 1};

    MUST(sys_log_read(root(), &read, 0));
    text[read.length] = '\0';
    return read;
}

/* The sequence behind the last line. */
static uint64_t log_end(void)
{
    char text[4096];
    struct abi_log_read read = {.sequence = 0};

    do
        read = read_log(read.sequence, text, sizeof(text));
    while (read.length);
    return read.sequence;
}

TEST(log_lines)
{
    char text[4096];
    uint64_t end = log_end();

    CHECK_EQUAL(MUST(sys_log_write("a line of a test", 16)), 16);
    read_log(end, text, sizeof(text));
    const char *found = strstr(text, "a line of a test\n");

    CHECK(found != NULL);
    CHECK(strstr(text, process_info(HANDLE_SELF).name) != NULL);
}

TEST(log_of_odd_bytes)
{
    static char bytes[1500];

    memset(bytes, 'x', sizeof(bytes));
    MUST(sys_log_write("one\ntwo", 7));
    MUST(sys_log_write("", 0));
    MUST(sys_log_write("\x01\x1b[2J\xff", 6));
    CHECK(MUST(sys_log_write(bytes, sizeof(bytes))) <= (int64_t)sizeof(bytes)); /* cut */
    CHECK(MUST(sys_log_write(bytes, UINT64_MAX)) <= (int64_t)sizeof(bytes));
}

TEST(log_errors)
{
    handle_t port = (handle_t)MUST(sys_resource_create(root(), RESOURCE_IOPORT, 0x80, 1));
    char text[64];
    struct abi_log_read read = {.sequence = 0, .buffer = (uintptr_t)text, .length = sizeof(text)};

    CHECK_ERROR(sys_log_write(NULL, 4), FAULT);
    CHECK_ERROR(sys_log_write((void *)UINT64_C(0xffffffff80000000), 4), FAULT);
    CHECK_ERROR(sys_log_read(port, &read, 0), ACCESS);
    CHECK_ERROR(sys_log_read(root(), &read, 2), INVALID);
    CHECK_ERROR(sys_log_read(root(), NULL, 0), FAULT);
    read.buffer = 16;
    CHECK_ERROR(sys_log_read(root(), &read, 0), FAULT);
    handle_drop(port);
}

static uint64_t console_read(uint64_t sequence, uint64_t *behind)
{
    char text[4096];
    struct abi_log_read read = {
        .sequence = sequence, .buffer = (uintptr_t)text, .length = sizeof(text)};

    MUST(sys_log_read(root(), &read, LOG_READ_CONSOLE));
    *behind = read.sequence;
    return read.length;
}

/* A process's line goes to a console where no driver has the serial line: then it is told of. */
TEST(log_for_consoles)
{
    struct abi_handle_info info;
    uint64_t start = log_end(), behind;

    while (console_read(start, &behind) > 0)
        start = behind;
    MUST(sys_log_write("for a console", 13));
    MUST(sys_handle_info(root(), &info));
    bool told = info.signals & SIGNAL_READABLE;
    bool there = console_read(start, &behind) > 0;
    CHECK_EQUAL(told, there);
    CHECK(behind > start);
    /* What others say meanwhile is told, too: it is quiet in the end. */
    for (int i = 0; i < 100; i++) {
        MUST(sys_handle_info(root(), &info));
        if (!(info.signals & SIGNAL_READABLE))
            break;
        sys_ignore(console_read(behind, &behind));
    }
    CHECK(!(info.signals & SIGNAL_READABLE));
    CHECK_EQUAL(console_read(behind, &start), 0);
}

/* A reader far behind, or ahead, is put where there is something to read. */
TEST(log_sequences)
{
    char text[128];
    struct abi_log_read read = read_log(UINT64_MAX, text, sizeof(text));

    CHECK_EQUAL(read.length, 0);
    read = read_log(0, text, sizeof(text));
    CHECK(read.length > 0);
    read = read_log(0, text, 2); /* a line that is longer than the buffer comes in pieces */
    CHECK(read.length <= 1);
}

/* --- Counters ------------------------------------------------------------------------------------------------------ */

TEST(information)
{
    struct abi_system_info info = system_info();

    CHECK(info.cpus >= 1 && info.cpus <= 256);
    CHECK(info.frames_total > 1000);
    CHECK(info.frames_free > 0 && info.frames_free < info.frames_total);
    CHECK(info.objects[OBJECT_PROCESS] >= 2);
    CHECK(info.objects[OBJECT_THREAD] >= info.objects[OBJECT_PROCESS] - 1);
    CHECK(info.handles > 0);
    CHECK(info.kernel_bytes > 0);
    CHECK(info.context_switches > 0);
    CHECK(info.page_faults > 0);
}

TEST(information_of_any_size)
{
    struct abi_system_info info;
    uint8_t *bytes = (uint8_t *)&info;

    memset(&info, 0xee, sizeof(info));
    MUST(sys_system_info(&info, 16));
    CHECK(info.frames_total != UINT64_C(0xeeeeeeeeeeeeeeee));
    for (size_t i = 16; i < sizeof(info); i++)
        CHECK_EQUAL(bytes[i], 0xee);
    MUST(sys_system_info(&info, 0));
    MUST(sys_system_info(&info, UINT64_MAX)); /* no more than there is */
    CHECK_ERROR(sys_system_info(NULL, 8), FAULT);
    CHECK_ERROR(sys_system_info((void *)UINT64_C(0xffffffff80000000), 8), FAULT);
}

TEST(counters_count)
{
    struct abi_system_info before = system_info();
    handle_t timer = (handle_t)MUST(sys_timer_create());
    uint8_t *page = pages_map(1);

    page[0] = 1;
    struct abi_system_info after_ = system_info();

    CHECK_EQUAL(after_.objects[OBJECT_TIMER], before.objects[OBJECT_TIMER] + 1);
    CHECK_EQUAL(after_.handles, before.handles + 1);
    CHECK(after_.kernel_bytes > before.kernel_bytes);
    CHECK(after_.page_faults > before.page_faults);
    pages_unmap(page, 1);
    handle_drop(timer);
}

TEST(control_errors)
{
    handle_t port = (handle_t)MUST(sys_resource_create(root(), RESOURCE_IOPORT, 0x80, 1));

    CHECK_ERROR(sys_system_control(root(), 0, 0), INVALID);
    CHECK_ERROR(sys_system_control(root(), 99, 0), INVALID);
    CHECK_ERROR(sys_system_control(port, SYSTEM_POWER_OFF, 0), ACCESS);
    CHECK_ERROR(sys_system_control(port, SYSTEM_FAIL_ALLOCATION, 1), ACCESS);
    CHECK_ERROR(sys_system_control(HANDLE_SELF, SYSTEM_POWER_OFF, 0), BAD_HANDLE);
    handle_drop(port);
}

/* --- Resources ------------------------------------------------------------------------------------------------------ */

TEST(narrowing)
{
    handle_t wide = (handle_t)MUST(sys_resource_create(root(), RESOURCE_IOPORT, 0x100, 0x100));
    handle_t narrow = (handle_t)MUST(sys_resource_create(wide, RESOURCE_IOPORT, 0x180, 8));

    CHECK_EQUAL(info_of(narrow).type, OBJECT_RESOURCE);
    CHECK_ERROR(sys_resource_create(narrow, RESOURCE_IOPORT, 0x17f, 2), RANGE);
    CHECK_ERROR(sys_resource_create(narrow, RESOURCE_IOPORT, 0x187, 2), RANGE);
    CHECK_ERROR(sys_resource_create(narrow, RESOURCE_IOPORT, 0x100, 8), RANGE);
    CHECK_ERROR(sys_resource_create(narrow, RESOURCE_IOPORT, 0x180, 0), RANGE);
    CHECK_ERROR(sys_resource_create(narrow, RESOURCE_IOPORT, UINT64_MAX, 2), RANGE);
    CHECK_ERROR(sys_resource_create(narrow, RESOURCE_MEMORY, 0x180, 1), RANGE); /* another kind */
    CHECK_ERROR(sys_resource_create(narrow, RESOURCE_IRQ, 0x180, 1), RANGE);
    CHECK_ERROR(sys_resource_create(root(), RESOURCE_ROOT, 0, 1), INVALID);
    CHECK_ERROR(sys_resource_create(root(), RESOURCE_CLOCK + 1, 0, 1), INVALID);
    CHECK_ERROR(sys_resource_create(root(), RESOURCE_IOPORT, 0xffff, 2), RANGE);
    handle_drop((handle_t)MUST(sys_resource_create(narrow, RESOURCE_IOPORT, 0x180, 8)));
    handle_drop(narrow);
    handle_drop(wide);
}

TEST(the_right_to_the_switch_is_good_for_nothing_else)
{
    handle_t power = (handle_t)MUST(sys_resource_create(root(), RESOURCE_POWER, 0, 1));

    CHECK_ERROR(sys_system_control(power, SYSTEM_FAIL_ALLOCATION, 0), ACCESS);
    CHECK_ERROR(sys_system_control(power, SYSTEM_CONSOLE, 0), ACCESS);
    CHECK_ERROR(sys_system_control(power, 99, 0), ACCESS);
    CHECK_ERROR(sys_resource_create(power, RESOURCE_IOPORT, 0x80, 1), RANGE);
    CHECK_ERROR(sys_ioport_grant(power), WRONG_TYPE);
    CHECK_ERROR(sys_memory_physical(power, 0xfed00000, PAGE_SIZE, CACHE_NONE), RANGE);
    handle_drop(power);
}

TEST(resources_need_control)
{
    handle_t weak = duplicate(root(), RIGHT_TRANSFER);

    CHECK_ERROR(sys_resource_create(weak, RESOURCE_IOPORT, 0x80, 1), ACCESS);
    CHECK_ERROR(sys_irq_bind(weak, 5, 0, NULL), ACCESS);
    CHECK_ERROR(sys_ioport_grant(weak), ACCESS);
    CHECK_ERROR(sys_memory_physical(weak, 0xfee00000, PAGE_SIZE, CACHE_NONE), ACCESS);
    CHECK_ERROR(sys_system_control(weak, SYSTEM_POWER_OFF, 0), ACCESS);
    handle_drop(weak);
}

/* --- Ports ----------------------------------------------------------------------------------------------------------- */

static void use_ports(void *argument)
{
    handle_t resource = *(handle_t *)argument;
    uint8_t value;

    MUST(sys_ioport_grant(resource));
    __asm__ volatile("inb $0x71, %0"
                     : "=a"(value)); /* the clock's data port: there on every machine, harmless */
    __asm__ volatile("inb $0x70, %0" : "=a"(value));
    /* The port beside was not granted. */
    __asm__ volatile("inb $0x72, %0" : "=a"(value));
    helper_exit(1);
}

TEST(granted_ports)
{
    handle_t ports = (handle_t)MUST(sys_resource_create(root(), RESOURCE_IOPORT, 0x70, 2));

    CHECK_EQUAL(helper_status(helper_process(use_ports, &ports)), EXIT_EXCEPTION | 13);
    handle_drop(ports);
}

/* The grant is the process's, on whatever CPU, and nobody else's. */
static void read_port(void *argument)
{
    uint8_t value;

    (void)argument;
    __asm__ volatile("inb $0x71, %0" : "=a"(value));
}

static void read_port_everywhere(void *argument)
{
    uint64_t cpus = system_info().cpus;

    MUST(sys_ioport_grant(*(handle_t *)argument));
    for (uint64_t i = 0; i < 3 * cpus; i++) {
        MUST(sys_thread_control(HANDLE_SELF, THREAD_AFFINITY, UINT64_C(1) << i % cpus, NULL));
        read_port(NULL);
        /* Another process on the same CPU in between. */
        CHECK_EQUAL(helper_status(helper_process(read_port, NULL)), EXIT_EXCEPTION | 13);
        read_port(NULL);
    }
}

TEST(grants_are_the_processes_own)
{
    handle_t ports = (handle_t)MUST(sys_resource_create(root(), RESOURCE_IOPORT, 0x70, 2));

    helper_join(helper_process(read_port_everywhere, &ports));
    handle_drop(ports);
}

TEST(grant_errors)
{
    handle_t memory =
        (handle_t)MUST(sys_resource_create(root(), RESOURCE_MEMORY, 0x1000, PAGE_SIZE));

    CHECK_ERROR(sys_ioport_grant(memory), WRONG_TYPE);
    handle_drop(memory);
}

/* --- Interrupts ----------------------------------------------------------------------------------------------------------- */

#define LINE 22 /* of the IO-APIC: nothing uses it here */

TEST(binding_an_interrupt)
{
    handle_t resource = (handle_t)MUST(sys_resource_create(root(), RESOURCE_IRQ, LINE, 1));
    handle_t irq = (handle_t)MUST(sys_irq_bind(resource, LINE, IRQ_LEVEL | IRQ_LOW, NULL));

    CHECK_EQUAL(info_of(irq).type, OBJECT_IRQ);
    CHECK_EQUAL(signals_now(irq, SIGNAL_READABLE), 0);
    CHECK_ERROR(sys_irq_bind(resource, LINE, IRQ_LEVEL, NULL), BUSY);
    MUST(sys_irq_ack(irq, 0));
    handle_drop(irq);
    handle_drop((handle_t)MUST(sys_irq_bind(resource, LINE, 0, NULL))); /* free again */
    handle_drop(resource);
}

TEST(interrupt_errors)
{
    handle_t resource = (handle_t)MUST(sys_resource_create(root(), RESOURCE_IRQ, LINE, 1));
    handle_t irq = (handle_t)MUST(sys_irq_bind(resource, LINE, 0, NULL)),
             weak = duplicate(irq, RIGHT_WAIT);

    CHECK_ERROR(sys_irq_bind(resource, LINE + 1, 0, NULL), RANGE);
    CHECK_ERROR(sys_irq_bind(root(), 5000, 0, NULL), RANGE);
    CHECK_ERROR(sys_irq_bind(root(), UINT32_MAX, IRQ_ISA, NULL), RANGE);
    CHECK_ERROR(sys_irq_bind(root(), LINE, 0x80, NULL), INVALID);
    CHECK_ERROR(sys_irq_ack(weak, 0), ACCESS);
    handle_drop(weak);
    handle_drop(irq);
    handle_drop(resource);
}

/* The real-time clock's periodic interrupt, ISA line 8: a device that needs nobody's help. */
static uint8_t clock_read(uint8_t index)
{
    uint8_t value;

    __asm__ volatile("outb %b1, $0x70; inb $0x71, %0" : "=a"(value) : "a"(index));
    return value;
}

static void clock_write(uint8_t index, uint8_t value)
{
    __asm__ volatile("outb %0, $0x70" : : "a"(index));
    __asm__ volatile("outb %0, $0x71" : : "a"(value));
}

static void use_clock(void *argument)
{
    handle_t irq = (handle_t)MUST(sys_irq_bind(root(), 8, IRQ_ISA, NULL));
    handle_t port = (handle_t)MUST(sys_proto_create(HANDLE_SELF, NULL, 0));
    struct abi_message message;
    uint8_t control;

    MUST(sys_port_bind(port, irq, SIGNAL_READABLE, 8, 0));
    MUST(sys_ioport_grant(*(handle_t *)argument));
    control = clock_read(0x0b);
    clock_write(0x0a, 0x2b);           /* 32 Hz */
    clock_write(0x0b, control | 0x40); /* periodic */
    clock_read(0x0c);
    for (int i = 0; i < 4; i++) {
        MUST(sys_proto_accept(port, &message, NULL, 0, after(PATIENCE)));
        CHECK_EQUAL(message.cookie, 8);
        CHECK(clock_read(0x0c) & 0x40); /* its flag: reading it lets it interrupt again */
        MUST(sys_irq_ack(irq, 0));
    }
    clock_write(0x0b, control);
    clock_read(0x0c);
}

TEST(interrupts_arrive)
{
    handle_t ports = (handle_t)MUST(sys_resource_create(root(), RESOURCE_IOPORT, 0x70, 2));

    helper_join(helper_process(use_clock, &ports));
    handle_drop(ports);
}
