#include "sbin/ahcid/adapter.h"

#include <stdio.h>

#include "lib/pci/registers.h"
#include "lib/sys/wait.h"

#define MILLISECOND    INT64_C(1000000)
#define RESET_MOST     (1000 * MILLISECOND) /* 10.4.3 */
#define HANDOFF_MOST   (25 * MILLISECOND)   /* 10.6.3; */
#define FIRMWARE_MOST  (2000 * MILLISECOND) /* ... when it has to finish something */
#define SPIN_UP_TIME   (1000 * MILLISECOND) /* of one disk, before the next draws its current */
#define ROUNDS_MOST    8u /* of looking for more to do: an adapter may say so for ever */
#define REGISTERS_MOST (AHCI_PORT_FIRST + AHCI_PORTS * AHCI_PORT_SIZE)

static uint32_t get(const struct ahci_adapter *adapter, enum ahci_register at)
{
    return register_read(adapter->registers, at);
}

static void set(const struct ahci_adapter *adapter, enum ahci_register at, uint32_t value)
{
    register_write(adapter->registers, at, value);
}

/* Nothing interrupts for what is waited for here. */
static bool wait_clear(const struct ahci_adapter *adapter, enum ahci_register at, uint32_t bits,
                       int64_t most)
{
    int64_t deadline = sys_clock_get(CLOCK_MONOTONIC_) + most;
    while (get(adapter, at) & bits) {
        if (sys_clock_get(CLOCK_MONOTONIC_) > deadline)
            return false;
        sleep_until(sys_clock_get(CLOCK_MONOTONIC_) + MILLISECOND);
    }
    return true;
}

static int64_t registers_map(struct ahci_adapter *adapter)
{
    uint64_t length = adapter->pci.description.bars[AHCI_BAR].length;
    volatile void *at;
    if (length < AHCI_PORT_FIRST + AHCI_PORT_SIZE)
        return -E_NOT_SUPPORTED;
    length = MIN(length, (uint64_t)REGISTERS_MOST);
    int64_t result = pci_map(&adapter->pci, AHCI_BAR, 0, length, CACHE_NONE, &at);
    if (result < 0)
        return result;
    adapter->registers = at;
    uint32_t ports = (uint32_t)((length - AHCI_PORT_FIRST) / AHCI_PORT_SIZE);
    adapter->port_bits = ports < AHCI_PORTS ? (1u << ports) - 1 : UINT32_MAX;
    return 0;
}

/* The firmware may be using it from its system management mode. One that does not let go has lost it. */
static void take_over(const struct ahci_adapter *adapter)
{
    if (!(get(adapter, AHCI_CAP2) & AHCI_CAP2_HANDOFF))
        return;
    set(adapter, AHCI_BOHC, get(adapter, AHCI_BOHC) | AHCI_BOHC_OS);
    if (wait_clear(adapter, AHCI_BOHC, AHCI_BOHC_BIOS, HANDOFF_MOST))
        return;
    if (get(adapter, AHCI_BOHC) & AHCI_BOHC_BUSY &&
        wait_clear(adapter, AHCI_BOHC, AHCI_BOHC_BIOS, FIRMWARE_MOST))
        return;
    fprintf(stderr, "the firmware does not let go of it\n");
}

/* What the firmware has written into read-only registers is gone with a reset in some adapters, and written back. */
static int64_t reset(struct ahci_adapter *adapter)
{
    set(adapter, AHCI_GHC, AHCI_GHC_AHCI);
    uint32_t capabilities = get(adapter, AHCI_CAP), ports = get(adapter, AHCI_PI);
    set(adapter, AHCI_GHC, AHCI_GHC_AHCI | AHCI_GHC_RESET);
    if (capabilities == AHCI_GONE)
        return -E_NO_DEVICE;
    if (!wait_clear(adapter, AHCI_GHC, AHCI_GHC_RESET, RESET_MOST))
        return -E_TIMED_OUT;
    set(adapter, AHCI_GHC, AHCI_GHC_AHCI);
    set(adapter, AHCI_CAP, capabilities);
    set(adapter, AHCI_PI, ports);
    adapter->capabilities = get(adapter, AHCI_CAP);
    adapter->port_bits &= get(adapter, AHCI_PI);
    return adapter->capabilities & AHCI_CAP_64 ? 0 : -E_NOT_SUPPORTED;
}

static int64_t ports_open(struct ahci_adapter *adapter, const struct ahci_port_owner *owner)
{
    int64_t result = 0;
    for (uint32_t i = 0; result >= 0 && i < AHCI_PORTS; i++) {
        struct ahci_port *port = &adapter->ports[i];
        if (!slots_bit(adapter->port_bits, i))
            continue;
        *port = (struct ahci_port){
            .registers = adapter->registers + AHCI_PORT_FIRST + i * AHCI_PORT_SIZE,
            .pci = &adapter->pci,
            .owner = owner,
            .number = i,
            .slots_most = AHCI_CAP_SLOTS(adapter->capabilities),
            .queues = adapter->capabilities & AHCI_CAP_NCQ,
        };
        result = ahci_port_open(port);
    }
    return result;
}

int64_t ahci_open(struct ahci_adapter *adapter, const char *function,
                  const struct ahci_port_owner *owner)
{
    *adapter = (struct ahci_adapter){.irq = HANDLE_NONE};
    int64_t result = pci_claim(&adapter->pci, function);
    if (result >= 0)
        result = registers_map(adapter);
    if (result < 0)
        return result;
    take_over(adapter);
    result = reset(adapter);
    if (result >= 0)
        result = ports_open(adapter, owner);
    if (result >= 0)
        result = pci_interrupt(&adapter->pci, PCI_INTERRUPT_ANY, 0, &adapter->irq);
    return result < 0 ? result : pci_enable(&adapter->pci, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

void ahci_begin(struct ahci_adapter *adapter, int64_t now)
{
    set(adapter, AHCI_IS, UINT32_MAX);
    set(adapter, AHCI_GHC, AHCI_GHC_AHCI | AHCI_GHC_INTERRUPTS);
    for (uint32_t i = 0; i < AHCI_PORTS; i++) {
        if (!slots_bit(adapter->port_bits, i))
            continue;
        ahci_port_begin(&adapter->ports[i], now);
        now += adapter->capabilities & AHCI_CAP_STAGGERED ? SPIN_UP_TIME : 0;
    }
}

/* The ports among these that have something to say. */
static uint32_t ports_interrupt(struct ahci_adapter *adapter, uint32_t bits, int64_t now)
{
    uint32_t pending = 0;
    for (uint32_t i = 0; i < AHCI_PORTS; i++)
        if (slots_bit(bits, i))
            ahci_port_interrupt(&adapter->ports[i], now);
    set(adapter, AHCI_IS, bits);
    for (uint32_t i = 0; i < AHCI_PORTS; i++)
        if (slots_bit(bits, i) && ahci_port_is_pending(&adapter->ports[i]))
            pending |= 1u << i;
    return pending;
}

/* A port's bit is cleared after what made it is (5.6.2); and what comes between the two makes it anew in some adapters only. */
bool ahci_interrupt(struct ahci_adapter *adapter, int64_t now)
{
    uint32_t bits = get(adapter, AHCI_IS);
    bool mine = bits != 0;
    if (bits == AHCI_GONE && get(adapter, AHCI_GHC) == AHCI_GONE)
        return false;
    bits &= adapter->port_bits;
    for (uint32_t i = 0; bits && i < ROUNDS_MOST; i++)
        bits = ports_interrupt(adapter, bits, now);
    sys_ignore(sys_irq_ack(adapter->irq, mine ? 0 : IRQ_NOT_MINE));
    return true;
}

void ahci_tick(struct ahci_adapter *adapter, int64_t now)
{
    for (uint32_t i = 0; i < AHCI_PORTS; i++)
        if (slots_bit(adapter->port_bits, i))
            ahci_port_tick(&adapter->ports[i], now);
}

int64_t ahci_deadline(const struct ahci_adapter *adapter)
{
    int64_t deadline = DEADLINE_NEVER;
    for (uint32_t i = 0; i < AHCI_PORTS; i++)
        if (slots_bit(adapter->port_bits, i))
            deadline = MIN(deadline, adapter->ports[i].deadline);
    return deadline;
}

bool ahci_is_settled(const struct ahci_adapter *adapter)
{
    for (uint32_t i = 0; i < AHCI_PORTS; i++)
        if (slots_bit(adapter->port_bits, i) && !ahci_port_is_settled(&adapter->ports[i]))
            return false;
    return true;
}
