/* Linux wait statuses and CPU exceptions. */
#include "sbin/initd/status.h"

#include <stdio.h>
#include <string.h>

#include "abi/abi.h"
#include "lib/base/base.h"

static const char *const exceptions[32] = {
    [0] = "division error", [1] = "debug",        [3] = "breakpoint",
    [4] = "overflow",       [5] = "bound",        [6] = "invalid opcode",
    [7] = "no FPU",         [12] = "stack fault", [13] = "general protection",
    [14] = "page fault",    [16] = "FPU error",   [17] = "alignment check",
    [18] = "machine check", [19] = "SIMD error",
};

void status_describe(uint32_t status, char *text, size_t size)
{
    uint32_t vector = status & 0xff, signal = status & 0x7f;
    if (status & EXIT_EXCEPTION) {
        const char *name = vector < ARRAY_SIZE(exceptions) ? exceptions[vector] : NULL;
        snprintf(text, size, "CPU exception %u%s%s%s", vector, name ? " (" : "", name ? name : "",
                 name ? ")" : "");
    } else if (signal) {
        snprintf(text, size, "killed by signal %u", signal);
    } else {
        snprintf(text, size, "exit status %u", status >> 8 & 0xff);
    }
}
