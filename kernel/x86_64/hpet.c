/* The HPET's main counter: what the TSC is calibrated against, and the clock where the TSC is not steady. Its
 * comparators are not used: timers are the local APICs'. (IA-PC HPET specification 1.0a, 2.3) */
#include "kernel/arch.h"
#include "kernel/log.h"
#include "kernel/x86_64/clock.h"

#define CAPABILITIES 0x00u /* period in femtoseconds << 32 | 64-bit << 13 | ... */
#define CONFIGURE    0x10u
#define COUNTER      0xf0u
#define HPET_SIZE    0x400u

#define CAPABLE_64       BIT(13)
#define CONFIGURE_ENABLE BIT(0)
#define CONFIGURE_LEGACY BIT(1)

#define FEMTOSECONDS UINT64_C(1000000000000000)
#define PERIOD_MAX   UINT64_C(100000000) /* 10 MHz at least, says the specification */
#define PERIOD_MIN   UINT64_C(100000)    /* 10 GHz: no such thing exists */

static volatile uint64_t *registers;
static uint64_t page; /* of the registers */
static bool wide;
static uint64_t hz;

static uint64_t read64(uint32_t at)
{
    return registers[at / 8];
}

bool hpet_start(uint64_t address)
{
    registers = arch_map_device(PADDR(address), HPET_SIZE, PAGE_WRITE | PAGE_NOCACHE);
    if (!registers)
        return false;

    uint64_t capabilities = read64(CAPABILITIES), period = capabilities >> 32;

    if (period < PERIOD_MIN || period > PERIOD_MAX) {
        log_warning("hpet: a period of %lu fs: left out", period);
        arch_unmap_device((void *)(uintptr_t)registers, HPET_SIZE);
        registers = NULL;
        return false;
    }
    page = address & ~(uint64_t)(PAGE_SIZE - 1);
    wide = capabilities & CAPABLE_64;
    hz = FEMTOSECONDS / period;
    registers[CONFIGURE / 8] = (read64(CONFIGURE) & ~CONFIGURE_LEGACY) | CONFIGURE_ENABLE;
    uint64_t before = hpet_read();
    for (uint32_t i = 0; i < 100000 && hpet_read() == before; i++)
        arch_pause();
    if (hpet_read() == before) {
        log_warning("hpet: does not count: left out");
        arch_unmap_device((void *)(uintptr_t)registers, HPET_SIZE);
        registers = NULL;
        return false;
    }
    return true;
}

/* 32-bit reads where the counter has no more: a 64-bit read of such a device is not defined. */
uint64_t hpet_read(void)
{
    if (wide)
        return registers[COUNTER / 8];
    return *(volatile uint32_t *)(uintptr_t)((uint64_t)(uintptr_t)registers + COUNTER);
}

uint64_t hpet_hz(void)
{
    return hz;
}

bool hpet_reserved(uint64_t base, uint64_t length)
{
    return registers && base < page + PAGE_SIZE && base + length > page;
}

bool hpet_wide(void)
{
    return registers && wide;
}
