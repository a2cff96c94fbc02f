/* Device interrupts: arch_irq_* of kernel/arch.h. interrupts.c */
#pragma once

#include "kernel/acpi/acpi.h"

void interrupts_start(const struct acpi *acpi);
