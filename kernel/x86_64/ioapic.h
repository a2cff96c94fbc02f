/* The IO-APICs, for interrupts.c. GSIs are ones that ioapic_has. ioapic.c */
#pragma once

#include "kernel/acpi/acpi.h"
#include "kernel/x86_64/routing.h"

struct irq_line;

void pic_silence(void); /* the legacy controllers; before lapic_start */
/* Every line is masked. *routes: the ISA lines, as the MADT has them. */
void ioapic_start(const struct acpi *acpi, struct routes *routes);

bool ioapic_has(uint32_t gsi);
/* Registers lie in the range. */
bool ioapic_reserved(uint64_t base, uint64_t length);
/* To line->vector of that CPU, masked. */
void ioapic_bind(const struct irq_line *line, uint32_t apic_id);
void ioapic_unbind(uint32_t gsi);
void ioapic_set_masked(uint32_t gsi, bool masked); /* nothing while it is not bound */
