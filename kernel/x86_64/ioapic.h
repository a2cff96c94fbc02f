/* The IO-APICs: arch_irq_* of kernel/arch.h. ioapic.c */
#pragma once

#include "kernel/acpi/acpi.h"

void pic_silence(void); /* the legacy controllers; before lapic_start */
void ioapic_start(const struct acpi *acpi);
