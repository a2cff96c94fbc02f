/* The IO-APICs: arch_irq_* of kernel/arch.h. ioapic.c */
#pragma once

#include "kernel/acpi/acpi.h"

void ioapic_start(const struct acpi *acpi); /* silences the legacy interrupt controllers, too */
