#include "sbin/diskd/expected.h"

#include <stdio.h>
#include <string.h>

#include "lib/sys/clock.h"
#include "lib/sys/keep.h"
#include "sbin/diskd/link.h"

#define KEY_EXPECTED 1u
#define GRACE_NS     INT64_C(10000000000)
#define COUNT        (4 * PAGE_SIZE / sizeof(struct expected)) /* beyond them opens do not wait */

struct expected {
    uint32_t valid, reserved;
    char function[FUNCTION_MAX + 1];
};

static struct expected *kept;
static int64_t until;

void expected_start(handle_t port)
{
    kept = keep_memory(port, KEY_EXPECTED, COUNT * sizeof(*kept));
    until = clock_monotonic() + GRACE_NS;
}

/* Kept memory is not believed. */
static bool is_sound(const struct expected *entry)
{
    return entry->valid && memchr(entry->function, '\0', sizeof(entry->function));
}

static struct expected *find(const char *function)
{
    for (size_t i = 0; kept && i < COUNT; i++)
        if (is_sound(&kept[i]) && strcmp(kept[i].function, function) == 0)
            return &kept[i];
    return NULL;
}

void expected_remove(const char *function)
{
    struct expected *entry = find(function);
    if (entry)
        keep_commit(&entry->valid, 0);
}

void expected_add(const char *function)
{
    struct expected *room = NULL;
    if (find(function))
        return;
    for (size_t i = 0; kept && i < COUNT && !room; i++)
        if (!kept[i].valid)
            room = &kept[i];
    if (!room)
        return;
    snprintf(room->function, sizeof(room->function), "%s", function);
    keep_commit(&room->valid, 1);
}

static bool is_up(const char *function)
{
    list_for_each (struct link, link, &links, link)
        if (strcmp(link->function, function) == 0)
            return link->up;
    return false;
}

bool expected_any(void)
{
    if (clock_monotonic() >= until)
        return false;
    for (size_t i = 0; kept && i < COUNT; i++)
        if (is_sound(&kept[i]) && !is_up(kept[i].function))
            return true;
    return false;
}

int64_t expected_deadline(void)
{
    return until;
}
