/* Off and reset: arch_power_off, arch_reset, arch_debug_exit. power.c */
#pragma once

#include "kernel/acpi/acpi.h"

void power_start(
    const struct acpi *acpi); /* reads what will be needed, while memory can still be mapped */
