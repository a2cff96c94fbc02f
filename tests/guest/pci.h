/* A driver's view of PCI, and of QEMU's teaching device `edu` (docs/specs/edu.txt of QEMU), for tests that drive
 * hardware without pcid: configuration space through ports 0xcf8 and 0xcfc, of bus 0, where the tests' devices are.
 *
 *     struct edu edu = edu_open(0);        the first one: found, mapped, bus master, calm
 *     edu_close(&edu);
 *     edu_line(&edu)                       the line of its INTA
 *
 * Which line that is, is the chip set's affair, and told by AML, which nobody here runs: so all lines of the IO-APIC that PCI
 * uses on q35 are bound, and the one that fires is it.
 */
#pragma once

#include "tests/guest/guest.h"

static inline void port_out32(uint16_t port, uint32_t value)
{
    __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint32_t port_in32(uint16_t port)
{
    uint32_t value;

    __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static inline void port_out8(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint8_t port_in8(uint16_t port)
{
    uint8_t value;

    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

/* For the calling process, until it ends. */
static inline void ports_use(uint64_t base, uint64_t count)
{
    handle_t ports = (handle_t)MUST(sys_resource_create(root(), RESOURCE_IOPORT, base, count));

    MUST(sys_ioport_grant(ports));
    handle_drop(ports);
}

#define PCI_COMMAND      0x04u
#define COMMAND_MEMORY   0x002u
#define COMMAND_MASTER   0x004u
#define COMMAND_NO_INTX  0x400u
#define PCI_BAR0         0x10u
#define PCI_CAPABILITIES 0x34u
#define CAPABILITY_MSI   0x05u
#define MSI_ENABLE       0x00010000u /* in the capability's first word */
#define PCI_CONFIG_PORTS 0xcf8u

/* function: device << 3 | function. The test's process has used ports_use. */
static inline uint32_t config_read(uint32_t function, uint32_t at)
{
    port_out32(0xcf8, 0x80000000u | function << 8 | (at & 0xfc));
    return port_in32(0xcfc);
}

static inline void config_write(uint32_t function, uint32_t at, uint32_t value)
{
    port_out32(0xcf8, 0x80000000u | function << 8 | (at & 0xfc));
    port_out32(0xcfc, value);
}

/* The nth function with these numbers (vendor | device << 16); UINT32_MAX: there is none. */
static inline uint32_t config_find(uint32_t identity, unsigned n)
{
    for (uint32_t function = 0; function < 256; function++)
        if (config_read(function, 0) == identity && n-- == 0)
            return function;
    return UINT32_MAX;
}

static inline uint32_t config_capability(uint32_t function, uint32_t id)
{
    uint32_t at = config_read(function, PCI_CAPABILITIES) & 0xfc;

    for (int i = 0; at && i < 48; i++) {
        uint32_t word = config_read(function, at);

        if ((word & 0xff) == id)
            return at;
        at = word >> 8 & 0xfc;
    }
    return 0;
}

/* --- edu ------------------------------------------------------------------------------------------------------- */

#define EDU_IDENTITY 0x11e81234u

enum edu_register {
    EDU_ID = 0x00,
    EDU_LIVE = 0x04,
    EDU_FACTORIAL = 0x08,
    EDU_STATUS = 0x20,
    EDU_IRQ_STATUS = 0x24,
    EDU_IRQ_RAISE = 0x60,
    EDU_IRQ_ACK = 0x64,
    EDU_DMA_SOURCE = 0x80,
    EDU_DMA_TARGET = 0x88,
    EDU_DMA_COUNT = 0x90,
    EDU_DMA_COMMAND = 0x98,
};

#define EDU_BUSY          0x01u
#define EDU_FACTORIAL_IRQ 0x80u
#define EDU_DMA_START     0x1u
#define EDU_DMA_TO_RAM    0x2u
#define EDU_DMA_IRQ       0x4u
#define EDU_DMA_FIRED     0x100u /* in EDU_IRQ_STATUS */
#define EDU_BUFFER        0x40000u
#define EDU_SIZE          0x100000u

struct edu {
    uint32_t function, message; /* where the MSI capability is */
    volatile uint32_t *registers;
};

static inline uint32_t edu_read(const struct edu *edu, enum edu_register at)
{
    return edu->registers[at / 4];
}

static inline void edu_write(const struct edu *edu, enum edu_register at, uint32_t value)
{
    edu->registers[at / 4] = value;
}

/* No interrupt, neither now nor by a message. */
static inline void edu_calm(const struct edu *edu)
{
    edu_write(edu, EDU_IRQ_ACK, UINT32_MAX);
    config_write(edu->function, edu->message,
                 config_read(edu->function, edu->message) & ~MSI_ENABLE);
}

static inline struct edu edu_open(unsigned n)
{
    struct edu edu;

    ports_use(PCI_CONFIG_PORTS, 8);
    edu.function = config_find(EDU_IDENTITY, n);
    if (edu.function == UINT32_MAX)
        FAIL("no edu device: the test machine is to have two");
    edu.message = config_capability(edu.function, CAPABILITY_MSI);
    CHECK(edu.message);
    config_write(edu.function, PCI_COMMAND, COMMAND_MEMORY | COMMAND_MASTER);

    uint32_t base = config_read(edu.function, PCI_BAR0) & ~15u;

    if (!base)
        FAIL("nobody has given edu an address");
    handle_t memory = (handle_t)MUST(sys_memory_physical(root(), base, EDU_SIZE, CACHE_NONE));

    edu.registers = memory_map(memory, EDU_SIZE, PROT_READ_ | PROT_WRITE_, MAP_SHARED_);
    handle_drop(memory);
    edu_calm(&edu);
    return edu;
}

static inline void edu_close(struct edu *edu)
{
    edu_calm(edu);
    pages_unmap((void *)(uintptr_t)edu->registers, EDU_SIZE / PAGE_SIZE);
}

/* From now on its interrupts are this message. */
static inline void edu_use_message(const struct edu *edu, const struct abi_irq_message *message)
{
    config_write(edu->function, edu->message + 4, (uint32_t)message->address);
    config_write(edu->function, edu->message + 8, (uint32_t)(message->address >> 32));
    config_write(edu->function, edu->message + 12, message->data);
    config_write(edu->function, edu->message,
                 config_read(edu->function, edu->message) | MSI_ENABLE);
}

/* edu raises an interrupt as often as this is written, even if it has one raised. */
static inline void edu_raise(const struct edu *edu)
{
    edu_write(edu, EDU_IRQ_RAISE, 1);
}

static inline void edu_quiet(const struct edu *edu)
{
    edu_write(edu, EDU_IRQ_ACK, UINT32_MAX);
}

/* --- Interrupts ------------------------------------------------------------------------------------------------- */

static inline handle_t line_bind(uint32_t line, uint32_t flags)
{
    return (handle_t)MUST(sys_irq_bind(root(), line, flags, NULL));
}

static inline handle_t message_bind(uint32_t cpu, struct abi_irq_message *message)
{
    return (handle_t)MUST(sys_irq_bind(root(), cpu, IRQ_MESSAGE, message));
}

static inline bool fired(handle_t irq)
{
    return signals_now(irq, SIGNAL_READABLE) & SIGNAL_READABLE;
}

static inline void ack(handle_t irq)
{
    MUST(sys_irq_ack(irq, 0));
}

/* Interrupts that are on their way have arrived, if the host was not too busy to run the CPU they go to. */
static inline void settle(void)
{
    sleep_for(2 * MILLISECOND);
}

/* Its device has stopped: acknowledged until nothing more comes. */
static inline void ack_the_rest(handle_t irq)
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
static inline uint32_t edu_line(const struct edu *edu)
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
