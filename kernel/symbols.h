/* Names of the kernel's functions, for the panic backtrace. The table is made from the linked kernel by
 * tools/symbols.py (mk/kernel.mk says how it gets into the kernel it describes).
 */
#pragma once

#include <stdint.h>

/* The function that address lies in and how far in; NULL where none is known. */
const char *symbol_find(uint64_t address, uint64_t *offset);
