/* The other CPUs. smp.c */
#pragma once

#include "kernel/acpi/acpi.h"

void smp_find(const struct acpi *acpi); /* reads the MADT; arch_cpus_start starts what it found */
uint32_t smp_cpu_count(void);           /* this CPU and those that smp_find found */
