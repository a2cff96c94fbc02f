/* See zone.h; what its files and services say. */
#include "sbin/timed/zone.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sys/clock.h"
#include "lib/sys/error.h"
#include "lib/sys/file.h"

#define TIMEZONE_FILE  "initfs:///etc/timezone"
#define ANSWER_TIME_NS INT64_C(1000000000)

void zone_at_boot(char name[ZONE_NAME])
{
    char *text;
    size_t length;
    int64_t result = file_load(HANDLE_SELF, TIMEZONE_FILE, ZONE_NAME, &text, &length);
    snprintf(name, ZONE_NAME, "UTC");
    if (result < 0)
        return;
    length = strcspn(text, " \t\n");
    if (zone_name_ok(text, length))
        snprintf(name, ZONE_NAME, "%.*s", (int)length, text);
    else
        fprintf(stderr, "%s: no time zone\n", TIMEZONE_FILE);
    free(text);
}

/* It is asked of a file service, which may hang: not for longer than that. */
int64_t zone_find(const char *name)
{
    char uri[sizeof(ZONE_URI) + ZONE_NAME];
    struct abi_stat stat;
    struct abi_command command = {
        .op = OP_STAT,
        .deadline = clock_monotonic() + ANSWER_TIME_NS,
        .out = (uintptr_t)&stat,
        .out_length = sizeof(stat),
    };
    snprintf(uri, sizeof(uri), "%s%s", ZONE_URI, name);
    int64_t result = path_command(HANDLE_SELF, uri, &command);
    if (result >= 0 && stat.type != FILE_REGULAR)
        result = -E_NOT_FOUND;
    return result;
}
