/* The end: the kernel found its own state wrong. User input never leads here. */
#pragma once

#include "abi/abi.h"
#include "lib/base/base.h"

COLD NORETURN void panic(const char *format, ...) PRINTF(1, 2);
COLD NORETURN void panic_frame(const struct abi_frame *frame, const char *format, ...) PRINTF(2, 3);
COLD void panic_print(const char *format, ...)
    PRINTF(1, 2); /* a part of the report, for arch_print_state */

/* Catches the kernel's own bugs; never on user input. In every build: the price is small, the alternative
 * is to go on with a broken kernel. */
#define ASSERT(condition)                                                         \
    do {                                                                          \
        if (unlikely(!(condition)))                                               \
            panic("%s:%d: assertion failed: %s", __FILE__, __LINE__, #condition); \
    } while (0)
