/* An AHCI adapter of two ports with disks in memory, for tests of ahcid as a whole. It keeps the rules, unless it is told otherwise, and
 * ends the program where the driver does not.
 *
 *     fake_ahci_plug()                   an adapter with a disk at port 0; then ahcid_serve(...), fake_ahci_settle()
 *     fake_ahci.hold = true              requests stay with the disk until fake_ahci_complete(port, slot, task)
 *     fake_ahci_settle()                 time goes on, interrupts reach the driver, until there is nothing more to happen
 *     fake_ahci_connect(port, true)      a disk is plugged in; false: out
 */
#pragma once

#include "sbin/ahcid/ahci.h"
#include "sbin/ahcid/ata.h"
#include "sbin/ahcid/driver.h"
#include "tests/host/fake_driver.h"

#define FAKE_PORTS   2u
#define FAKE_SECTORS 4096u
#define FAKE_DEPTH   32u

#define TASK_READY  0x50u
#define TASK_FAILED 0x51u /* and why in the byte above */
#define TASK_UNREAD 0x4051u

struct fake_port {
    uint32_t registers[AHCI_PORT_SIZE / 4];
    bool present, stuck, silent; /* silent: it stays busy after a reset */
    uint32_t signature, queued;  /* queued: those of SACT that are with the disk */
    uint32_t held;               /* slots */
    uint32_t most_held, resets, alone;
    uint8_t identify[ATA_IDENTIFY_BYTES];
    uint8_t *medium;
    uint64_t flushes, trims;
};

struct fake_ahci {
    uint32_t capabilities, control, status, handoff;
    struct fake_port ports[FAKE_PORTS];
    bool hold, gone, lawless; /* lawless: what the driver does is not judged */
};

static struct fake_ahci fake_ahci;

static inline bool fake_bit(uint32_t bits, uint32_t at)
{
    return bits >> at & 1;
}

static inline void fake_ahci_require(bool condition, const char *what)
{
    fake_require(condition || fake_ahci.lawless, what);
}

/* --- A disk ------------------------------------------------------------------------------------------------------- */

static inline void fake_identify_word(struct fake_port *port, uint32_t index, uint32_t value)
{
    port->identify[2 * index] = (uint8_t)value;
    port->identify[2 * index + 1] = (uint8_t)(value >> 8);
}

static inline void fake_identify_sum(struct fake_port *port)
{
    uint8_t sum = 0;

    fake_identify_word(port, 255, 0xa5);
    for (uint32_t i = 0; i < ATA_IDENTIFY_BYTES; i++)
        sum += port->identify[i];
    port->identify[ATA_IDENTIFY_BYTES - 1] = (uint8_t)-sum;
}

static inline void fake_identify_start(struct fake_port *port, const char *serial)
{
    memset(port->identify, 0, sizeof(port->identify));
    for (uint32_t i = 0; serial[i]; i++)
        port->identify[2 * 10 + (i ^ 1)] = (uint8_t)serial[i];
    fake_identify_word(port, 49, 0x0300);
    fake_identify_word(port, 75, FAKE_DEPTH - 1);
    fake_identify_word(port, 76, 0x0100);
    fake_identify_word(port, 83, 0x4400);
    fake_identify_word(port, 85, 0x0020);
    fake_identify_word(port, 100, FAKE_SECTORS);
    fake_identify_word(port, 106, 0x6003); /* eight sectors are written at once */
    fake_identify_word(port, 169, 1);
    fake_identify_sum(port);
}

static inline void fake_ahci_raise(uint32_t number, uint32_t causes)
{
    struct fake_port *port = &fake_ahci.ports[number];

    port->registers[AHCI_PORT_IS / 4] |= causes;
    if (port->registers[AHCI_PORT_IS / 4] & port->registers[AHCI_PORT_IE / 4])
        fake_ahci.status |= 1u << number;
}

/* The link comes up, as far as there is anybody. */
static inline void fake_ahci_link(uint32_t number)
{
    struct fake_port *port = &fake_ahci.ports[number];

    port->registers[AHCI_PORT_SSTS / 4] = port->present ? 0x123 : 0;
    port->registers[AHCI_PORT_SIG / 4] = port->present ? port->signature : UINT32_MAX;
    port->registers[AHCI_PORT_TFD / 4] = !port->present ? 0x7f : port->silent ? 0x80 : TASK_READY;
    port->registers[AHCI_PORT_SERR / 4] |= 0x04010000;
    fake_ahci_raise(number, AHCI_INT_LINK);
}

static inline void fake_ahci_connect(uint32_t number, bool present)
{
    struct fake_port *port = &fake_ahci.ports[number];

    port->present = present;
    port->held = port->queued = 0;
    fake_ahci_link(number);
}

static inline bool fake_ahci_fired(void)
{
    return fake_ahci.status && fake_ahci.control & AHCI_GHC_INTERRUPTS;
}

static inline void fake_ahci_plug(void)
{
    static uint8_t bar[AHCI_PORT_FIRST + FAKE_PORTS * AHCI_PORT_SIZE];

    fake_driver_start();
    fake_fired = fake_ahci_fired;
    fake_ahci = (struct fake_ahci){
        .capabilities = AHCI_CAP_64 | AHCI_CAP_NCQ | 31u << 8,
        .handoff = AHCI_BOHC_BIOS,
        .ports[0].present = true,
    };
    for (uint32_t i = 0; i < FAKE_PORTS; i++) {
        fake_ahci.ports[i].signature = AHCI_SIG_DISK;
        fake_identify_start(&fake_ahci.ports[i], i ? "second" : "first");
        fake_ahci_link(i);
    }
    fake_bar = bar;
    fake_description = (struct pci_description){.class_code = 0x010601};
    fake_description.bars[AHCI_BAR].length = sizeof(bar);
}

static inline void fake_ahci_unplug(void)
{
    fake_driver_end();
    for (uint32_t i = 0; i < FAKE_PORTS; i++)
        free(fake_ahci.ports[i].medium);
}

/* --- Commands ------------------------------------------------------------------------------------------------------ */

static inline struct ahci_header *fake_ahci_header(const struct fake_port *port, uint32_t slot)
{
    uint64_t list = port->registers[AHCI_PORT_LIST / 4] |
                    (uint64_t)port->registers[AHCI_PORT_LIST / 4 + 1] << 32;

    return (struct ahci_header *)(uintptr_t)list + slot;
}

static inline const struct ahci_table *fake_ahci_table(const struct fake_port *port, uint32_t slot)
{
    return (const struct ahci_table *)(uintptr_t)fake_ahci_header(port, slot)->table;
}

static inline bool fake_ahci_is_queued(const struct fake_port *port, uint32_t slot)
{
    return ata_is_queued(fake_ahci_table(port, slot)->fis[2]);
}

/* Data between memory and these bytes, as many as there are pieces for. */
static inline void fake_ahci_transfer(const struct fake_port *port, uint32_t slot, uint8_t *bytes,
                                      uint32_t length)
{
    struct ahci_header *header = fake_ahci_header(port, slot);
    const struct ahci_table *table = fake_ahci_table(port, slot);
    uint32_t at = 0;

    for (uint32_t i = 0; i < header->pieces && at < length; i++) {
        void *memory = (void *)(uintptr_t)table->pieces[i].address;
        uint32_t part = MIN(table->pieces[i].length + 1, length - at);

        memcpy(header->flags & AHCI_HEADER_WRITE ? bytes + at : memory,
               header->flags & AHCI_HEADER_WRITE ? memory : bytes + at, part);
        at += part;
    }
    fake_require(at == length, "pieces for less than the command is about");
    header->transferred = at;
}

static inline void fake_ahci_carry_out(struct fake_port *port, uint32_t slot)
{
    const uint8_t *fis = fake_ahci_table(port, slot)->fis;
    uint64_t first = fis[4] | (uint64_t)fis[5] << 8 | (uint64_t)fis[6] << 16 |
                     (uint64_t)fis[8] << 24 | (uint64_t)fis[9] << 32 | (uint64_t)fis[10] << 40;
    uint32_t count =
        ata_is_queued(fis[2]) ? fis[3] | (uint32_t)fis[11] << 8 : fis[12] | (uint32_t)fis[13] << 8;
    uint64_t ranges[ATA_TRIM_RANGES];

    switch (fis[2]) {
    case ATA_IDENTIFY:
        fake_ahci_transfer(port, slot, port->identify, ATA_IDENTIFY_BYTES);
        break;
    case ATA_FLUSH:
        port->flushes++;
        break;
    case ATA_DATASET:
        fake_ahci_transfer(port, slot, (uint8_t *)ranges, sizeof(ranges));
        for (uint32_t i = 0; i < ATA_TRIM_RANGES; i++)
            port->trims += ranges[i] >> 48;
        break;
    default:
        fake_require(first + count <= FAKE_SECTORS, "behind the disk's end");
        if (!port->medium)
            port->medium = calloc(FAKE_SECTORS, 512);
        fake_ahci_transfer(port, slot, port->medium + 512 * first, count * 512);
    }
}

/* One that the disk holds: carried out, or with an error in `task`. */
static inline void fake_ahci_complete(uint32_t number, uint32_t slot, uint32_t task)
{
    struct fake_port *port = &fake_ahci.ports[number];
    uint32_t bit = 1u << slot;

    fake_require(port->held & bit, "none is held there");
    port->registers[AHCI_PORT_TFD / 4] = task;
    port->held &= ~bit;
    if (task != TASK_READY) { /* all others are aborted, and it stops */
        port->held = 0;
        fake_ahci_raise(number, AHCI_INT_TASK);
        return;
    }
    fake_ahci_carry_out(port, slot);
    if (port->queued & bit) {
        port->queued &= ~bit;
        port->registers[AHCI_PORT_SACT / 4] &= ~bit;
        fake_ahci_raise(number, AHCI_INT_BITS);
    } else {
        port->registers[AHCI_PORT_CI / 4] &= ~bit;
        fake_ahci_raise(number, AHCI_INT_REGISTERS);
    }
}

static inline void fake_ahci_issue(uint32_t number, uint32_t bits)
{
    struct fake_port *port = &fake_ahci.ports[number];

    fake_ahci_require(port->registers[AHCI_PORT_CMD / 4] & AHCI_CMD_RUNS, "issued while it stands");
    port->registers[AHCI_PORT_CI / 4] |= bits;
    for (uint32_t slot = 0; slot < AHCI_SLOTS; slot++) {
        if (!fake_bit(bits, slot))
            continue;
        if (fake_ahci_is_queued(port, slot)) {
            fake_ahci_require(port->registers[AHCI_PORT_SACT / 4] >> slot & 1, "not in SACT");
            fake_ahci_require(fake_ahci_table(port, slot)->fis[12] >> 3 == slot, "another tag");
            fake_ahci_require(slot < FAKE_DEPTH && port->held == port->queued, "kinds are mixed");
            port->queued |= 1u << slot;
            port->registers[AHCI_PORT_CI / 4] &= ~(1u << slot); /* the disk has it */
        } else {
            fake_ahci_require(!port->held, "it does not go alone");
            port->alone++;
        }
        port->held |= 1u << slot;
    }
    port->most_held = MAX(port->most_held, (uint32_t)__builtin_popcount(port->held));
    for (uint32_t slot = 0; slot < AHCI_SLOTS; slot++)
        if (fake_bit(bits, slot) &&
            (!fake_ahci.hold || fake_ahci_table(port, slot)->fis[2] == ATA_IDENTIFY))
            fake_ahci_complete(number, slot, TASK_READY);
}

/* --- Registers ------------------------------------------------------------------------------------------------------ */

static inline void fake_ahci_command(uint32_t number, uint32_t value)
{
    struct fake_port *port = &fake_ahci.ports[number];
    uint32_t *command = &port->registers[AHCI_PORT_CMD / 4];
    bool runs = value & AHCI_CMD_START || (port->stuck && *command & AHCI_CMD_RUNS);

    fake_ahci_require(!(value & AHCI_CMD_START) || *command & AHCI_CMD_START ||
                          !(port->registers[AHCI_PORT_TFD / 4] & 0x88),
                      "started while the disk is busy");
    *command = (value & ~(AHCI_CMD_RUNS | AHCI_CMD_FIS_RUNS)) | (runs ? AHCI_CMD_RUNS : 0) |
               (value & AHCI_CMD_FIS_ON ? AHCI_CMD_FIS_RUNS : 0);
    if (runs)
        return;
    port->registers[AHCI_PORT_CI / 4] = port->registers[AHCI_PORT_SACT / 4] = 0;
}

static inline void fake_ahci_control(uint32_t number, uint32_t value)
{
    struct fake_port *port = &fake_ahci.ports[number];
    uint32_t before = port->registers[AHCI_PORT_SCTL / 4];

    port->registers[AHCI_PORT_SCTL / 4] = value;
    if (value & 1) {
        fake_ahci_require(!(port->registers[AHCI_PORT_CMD / 4] & AHCI_CMD_RUNS),
                          "the link is reset while it runs");
        port->held = port->queued = 0;
        port->registers[AHCI_PORT_SSTS / 4] = 0;
        port->resets++;
    } else if (before & 1) {
        fake_ahci_link(number);
    }
}

static inline void fake_port_write(uint32_t number, uint32_t at, uint32_t value)
{
    struct fake_port *port = &fake_ahci.ports[number];

    switch (at) {
    case AHCI_PORT_IS:
    case AHCI_PORT_SERR:
        port->registers[at / 4] &= ~value;
        break;
    case AHCI_PORT_IE:
        port->registers[at / 4] = value;
        fake_ahci_raise(number, 0);
        break;
    case AHCI_PORT_CMD:
        fake_ahci_command(number, value);
        break;
    case AHCI_PORT_SCTL:
        fake_ahci_control(number, value);
        break;
    case AHCI_PORT_SACT:
        port->registers[at / 4] |= value;
        break;
    case AHCI_PORT_CI:
        fake_ahci_issue(number, value);
        break;
    default:
        port->registers[at / 4] = value;
    }
}

static inline uint32_t fake_adapter_read(uint32_t at)
{
    switch (at) {
    case AHCI_CAP:
        return fake_ahci.capabilities;
    case AHCI_GHC:
        return fake_ahci.control;
    case AHCI_IS:
        return fake_ahci.status;
    case AHCI_PI:
        return (1u << FAKE_PORTS) - 1;
    case AHCI_CAP2:
        return AHCI_CAP2_HANDOFF;
    case AHCI_BOHC:
        return fake_ahci.handoff;
    default:
        return 0;
    }
}

static inline void fake_adapter_write(uint32_t at, uint32_t value)
{
    switch (at) {
    case AHCI_GHC:
        fake_ahci.control = value & ~AHCI_GHC_RESET;
        break;
    case AHCI_IS:
        fake_ahci.status &= ~value;
        break;
    case AHCI_BOHC:
        fake_ahci.handoff = value & AHCI_BOHC_OS ? AHCI_BOHC_OS : value;
        break;
    default:
        break;
    }
}

uint32_t register_raw_read(const volatile void *base, uint32_t at)
{
    uint64_t offset = (uint64_t)((const volatile uint8_t *)base - fake_bar) + at;

    fake_require(offset < fake_description.bars[AHCI_BAR].length, "no such register");
    if (fake_ahci.gone)
        return UINT32_MAX;
    if (offset < AHCI_PORT_FIRST)
        return fake_adapter_read((uint32_t)offset);
    offset -= AHCI_PORT_FIRST;
    return fake_ahci.ports[offset / AHCI_PORT_SIZE].registers[offset % AHCI_PORT_SIZE / 4];
}

void register_raw_write(volatile void *base, uint32_t at, uint32_t value)
{
    uint64_t offset = (uint64_t)((volatile uint8_t *)base - fake_bar) + at;

    fake_require(offset < fake_description.bars[AHCI_BAR].length, "no such register");
    if (fake_ahci.gone)
        return;
    if (offset < AHCI_PORT_FIRST) {
        fake_adapter_write((uint32_t)offset, value);
        return;
    }
    offset -= AHCI_PORT_FIRST;
    fake_port_write((uint32_t)(offset / AHCI_PORT_SIZE), offset % AHCI_PORT_SIZE, value);
}

/* --- What happens by itself ------------------------------------------------------------------------------------------ */

/* Whether anything has happened. */
static inline bool fake_ahci_step(void)
{
    if (fake_ahci_fired()) {
        fake_interrupt(AHCID_KEY_IRQ);
        return true;
    }
    if (!fake_timer)
        return false;
    fake_now = MAX(fake_now, fake_timer);
    fake_timer = 0;
    fake_interrupt(AHCID_KEY_TIMER);
    return true;
}

static inline void fake_ahci_settle(void)
{
    unsigned steps = 0;

    while (fake_ahci_step())
        fake_require(++steps < 20000, "it does not come to rest");
}
