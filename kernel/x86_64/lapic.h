/* The local APIC: what lapic.c offers besides lapic_send and lapic_eoi (machine.h).
 *
 *     lapic_start(&acpi)           of the boot CPU: mapped or x2APIC, vectors
 *     lapic_timer_start()          once the clock runs: the timer's rate
 *     lapic_cpu_start()            of every CPU, on it
 */
#pragma once

#include "kernel/acpi/acpi.h"

void lapic_start(const struct acpi *acpi);
void lapic_timer_start(void);
void lapic_cpu_start(void);
uint32_t lapic_id(void); /* of the calling CPU */

/* Interprocessor interrupts that are not vectors. */
void lapic_send_init(uint32_t apic_id);
void lapic_send_startup(uint32_t apic_id,
                        uint32_t page); /* page: physical address / 4096, below 256 */
void lapic_send_nmi_others(void);
