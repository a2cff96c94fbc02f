/* The firmware's code, by ACPICA: power buttons of every kind, and the sleeping state "off".
 *
 *     firmware_start(&tables, port, override, pressed)    tables loaded, buttons armed; its interrupts come to the port
 *     firmware_interrupt(key)                             one came
 *     firmware_off()                                      \_PTS, \_S5, and the registers; returns only when it failed
 *
 * ACPICA calls back into osl.c. One thread, that of the service's loop: what ACPICA puts off is done before these return.
 */
#pragma once

#include "lib/sys/syscall.h"
#include "sbin/powerd/tables.h"

/* with_code false: the tables only, none of the firmware's code. True: it is armed. */
bool firmware_start(struct tables *tables, handle_t port, bool with_code, void (*pressed)(void));

/* A notification of the port; false: not one of ours. */
bool firmware_interrupt(uint64_t key);

void firmware_off(void);

/* In words, for people: how many buttons and of which kind, whether "off" is known. */
void firmware_describe(char *text, size_t size);
