/* Linux wait statuses and CPU exceptions, uses and limits, in words and tables. */
#include "sbin/initd/status.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/base.h"
#include "lib/sys/quota.h"

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

void status_head(FILE *stream)
{
    fprintf(stream, "%-16s %-9s %7s %10s  %s\n", "SERVICE", "STATE", "STARTS", "UP/s", "LAST END");
}

void status_line(FILE *stream, const char *name, const char *state, const struct life *life,
                 bool up, int64_t now)
{
    const int64_t second = 1000000000;
    char end[64] = "-";
    if (life->starts > (up ? 1u : 0u))
        status_describe(life->status, end, sizeof(end));
    fprintf(stream, "%-16s %-9s %7" PRIu64 " %10" PRId64 "  %s\n", name, state, life->starts,
            up ? (now - life->started_at) / second : 0, end);
}

void status_quotas_head(FILE *stream)
{
    fprintf(stream, "%-16s %-10s %15s %15s\n", "SERVICE", "QUOTA", "USED", "LIMIT");
}

static bool limited(const struct abi_quota *quotas)
{
    for (int i = 0; i < QUOTA_COUNT; i++)
        if (quotas[i].limit != QUOTA_UNLIMITED)
            return true;
    return false;
}

void status_quotas(FILE *stream, const char *name, handle_t process)
{
    struct abi_quota quotas[QUOTA_COUNT];
    char limit[24];
    if (process == HANDLE_NONE || sys_process_quotas(process, quotas, QUOTA_COUNT) < 0 ||
        !limited(quotas))
        return;
    for (int i = 0; i < QUOTA_COUNT; i++) {
        snprintf(limit, sizeof(limit), "%" PRIu64, quotas[i].limit);
        fprintf(stream, "%-16s %-10s %15" PRIu64 " %15s\n", name, quota_name((enum quota)i),
                quotas[i].used, quotas[i].limit == QUOTA_UNLIMITED ? "-" : limit);
    }
}
