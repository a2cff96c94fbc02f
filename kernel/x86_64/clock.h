/* Time: what clock.c keeps, and the counters it is made from.
 *
 *     clock_start(&acpi)        the TSC calibrated against the best reference there is; arch_clock() runs
 *     clock_check(&check)       every CPU, again and again while CPUs start: is the TSC the same on all?
 *     clock_settle()            all have checked: the TSC stays the clock, or the HPET becomes it
 *
 * docs/time-and-interrupts.md
 */
#pragma once

#include "kernel/acpi/acpi.h"

void clock_start(const struct acpi *acpi);
void clock_check(void);
void clock_settle(void);
bool clock_tsc_steady(void);   /* TSC deadlines may be used */
void clock_delay(uint64_t ns); /* busy; for bringing devices up only */
void clock_measure_lapic(uint32_t (*read)(void), uint64_t *hz); /* a counter that counts down */

/* A counter that runs at a known rate, to measure others by. */
struct reference {
    const char *name;
    uint64_t (*read)(void);
    uint64_t hz;
    uint64_t mask; /* it wraps there */
};

/* reference.c: the best of HPET, PM timer, PIT. */
const struct reference *reference_find(const struct acpi *acpi);

/* hpet.c. False: none that can be used. */
bool hpet_start(uint64_t address);
uint64_t hpet_read(void);
uint64_t hpet_hz(void);
bool hpet_reserved(uint64_t base, uint64_t length); /* its registers lie in the range */
bool hpet_wide(void);                               /* 64 bits: may be the clock */
