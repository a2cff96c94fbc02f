/* Counters of known rate, in the order of preference: HPET, ACPI PM timer, PIT. Each is tried: one that does not
 * count is passed over. They are read only while the machine starts. */
#include "kernel/log.h"
#include "kernel/x86_64/clock.h"
#include "kernel/x86_64/port.h"

#define PM_HZ  3579545u
#define PIT_HZ 1193182u

#define PIT_CHANNEL_0 0x40u
#define PIT_COMMAND   0x43u

static uint16_t pm_port;

static uint64_t pm_read(void)
{
    return port_in32(pm_port);
}

/* Channel 0 counts down from 65536 again and again; its interrupt is masked. (Channel 2, which others use for
 * this, needs port 0x61, and microvm has none.) */
static void pit_start(void)
{
    port_out8(PIT_COMMAND, 0x34); /* channel 0, both bytes, rate generator */
    port_out8(PIT_CHANNEL_0, 0);
    port_out8(PIT_CHANNEL_0, 0);
}

static uint64_t pit_read(void)
{
    port_out8(PIT_COMMAND, 0x00); /* latch */

    uint32_t low = port_in8(PIT_CHANNEL_0);
    uint32_t high = port_in8(PIT_CHANNEL_0);
    return 0x10000u - (high << 8 | low);
}

static bool counts(const struct reference *reference)
{
    uint64_t first = reference->read() & reference->mask;

    for (uint32_t i = 0; i < 100000; i++) {
        if ((reference->read() & reference->mask) != first)
            return true;
    }
    return false;
}

const struct reference *reference_find(const struct acpi *acpi)
{
    static struct reference hpet = {"HPET", hpet_read, 0, 0};
    static struct reference pm = {"PM timer", pm_read, PM_HZ, 0xffffff};
    static struct reference pit = {"PIT", pit_read, PIT_HZ, 0xffff};
    struct acpi_hpet where;
    struct acpi_power power;

    if (acpi_hpet(acpi, &where) && hpet_start(where.address)) {
        hpet.hz = hpet_hz();
        hpet.mask = hpet_wide() ? UINT64_MAX : UINT32_MAX;
        return &hpet;
    }
    if (acpi_power(acpi, &power) && power.pm_timer.space == ACPI_IO &&
        power.pm_timer.address != 0) {
        pm_port = (uint16_t)power.pm_timer.address;
        if (counts(&pm))
            return &pm;
    }
    pit_start();
    return counts(&pit) ? &pit : NULL;
}
