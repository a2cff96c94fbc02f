/* Switching the machine off, and starting it again.
 *
 * Off: ACPI's S5, if the firmware's \_S5 is written the usual way (no AML is run); then the ports that QEMU's
 * machines listen at; then its debug-exit device. Reset: ACPI's register, the keyboard controller, a triple fault.
 * Each way is tried in turn, as none tells whether it will work; at the end the CPU halts. No locks: the last act.
 */
#include "kernel/x86_64/power.h"

#include "kernel/arch.h"
#include "kernel/log.h"
#include "kernel/x86_64/clock.h"
#include "kernel/x86_64/port.h"

#define SLEEP_ENABLE         0x2000u /* PM1 control: SLP_EN; SLP_TYP is bits 10-12 (ACPI 4.8.3.2.1) */
#define SLEEP_TYPE_SHIFT     10u
#define ACPI_ENABLED         0x1u  /* PM1 control: SCI_EN */
#define SLEEP_CONTROL_ENABLE 0x20u /* reduced hardware (ACPI 4.8.3.7); SLP_TYP is bits 2-4 */

#define QEMU_Q35_PORT  0x604u
#define QEMU_PC_PORT   0xb004u
#define DEBUG_EXIT     0xf4u
#define KEYBOARD       0x64u
#define KEYBOARD_RESET 0xfeu

#define PATIENCE_NS UINT64_C(100000000)

static struct acpi_power power;
static bool can_sleep;
static uint8_t type_a, type_b;
static volatile uint8_t *sleep_memory, *reset_memory; /* where the registers are in memory */

static volatile uint8_t *map_register(const struct acpi_register *reg)
{
    if (reg->address == 0 || reg->space != ACPI_MEMORY)
        return NULL;
    return arch_map_device(PADDR(reg->address), 1, PAGE_WRITE | PAGE_NOCACHE);
}

void power_start(const struct acpi *acpi)
{
    if (!acpi_power(acpi, &power))
        return;
    can_sleep = acpi_sleep_type(acpi, &type_a, &type_b);
    if (!can_sleep)
        log_info("power: no \\_S5 that can be read without AML");
    sleep_memory = map_register(&power.sleep_control);
    reset_memory = map_register(&power.reset);
}

static void write_register(const struct acpi_register *reg, volatile uint8_t *memory, uint8_t value)
{
    if (memory)
        *memory = value;
    else if (reg->address != 0 && reg->space == ACPI_IO)
        port_out8((uint16_t)reg->address, value);
}

static void enter_s5(const struct acpi_register *control, uint8_t type)
{
    uint16_t port = (uint16_t)control->address;

    if (control->address == 0 || control->space != ACPI_IO)
        return;
    port_out16(port, (uint16_t)((port_in16(port) & 0xc3ffu) | (type & 7u) << SLEEP_TYPE_SHIFT |
                                SLEEP_ENABLE));
}

static void acpi_off(void)
{
    if (!can_sleep)
        return;
    if (power.reduced_hardware) {
        write_register(&power.sleep_control, sleep_memory,
                       (uint8_t)((type_a & 7u) << 2 | SLEEP_CONTROL_ENABLE));
        return;
    }
    if (power.smi_port != 0 && power.acpi_enable != 0 && power.pm1a_control.space == ACPI_IO &&
        power.pm1a_control.address != 0 &&
        !(port_in16((uint16_t)power.pm1a_control.address) & ACPI_ENABLED)) {
        port_out8(power.smi_port, power.acpi_enable);
        clock_delay(PATIENCE_NS);
    }
    enter_s5(&power.pm1a_control, type_a);
    enter_s5(&power.pm1b_control, type_b);
}

void arch_power_off(void)
{
    log_info("power: off");
    acpi_off();
    clock_delay(PATIENCE_NS);
    port_out16(QEMU_Q35_PORT, SLEEP_ENABLE);
    port_out16(QEMU_PC_PORT, SLEEP_ENABLE);
    arch_debug_exit(0);
    log_warning("power: it did not go off; it is safe to switch it off");
    arch_halt_all();
}

void arch_reset(void)
{
    static const struct {
        uint16_t limit;
        uint64_t base;
    } PACKED nothing = {0, 0};

    write_register(&power.reset, reset_memory, power.reset_value);
    clock_delay(PATIENCE_NS);
    port_out8(KEYBOARD, KEYBOARD_RESET);
    clock_delay(PATIENCE_NS);
    __asm__ volatile("lidt %0; int3" : : "m"(nothing));
    arch_halt();
}

/* QEMU's isa-debug-exit: it ends with status code << 1 | 1. Elsewhere nothing listens there. */
void arch_debug_exit(uint32_t code)
{
    port_out32(DEBUG_EXIT, code);
}
