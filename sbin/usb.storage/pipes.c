/* What both transports' pipes have in common: see pipes.h. */
#include "sbin/usb.storage/pipes.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/sys/clock.h"
#include "lib/sys/file.h"
#include "lib/sys/wait.h"
#include "sbin/usb.storage/media.h"

#define LOST_NS         INT64_C(30000000000)
#define DESCRIPTORS_MAX (1u << 17) /* 18 bytes, and a configuration of at most 64 KiB */

static bool resetting; /* our own doing, whatever a thread hears of it */

/* Commands that are under way go to the next of us. If initd does not end us for it, we do. */
static NORETURN void rest(void)
{
    sleep_until(clock_monotonic() + LOST_NS);
    exit(1);
}

int64_t pipes_alive(int64_t result)
{
    /* Its successor knows nothing of our claim. */
    if (result == -E_RESTARTED || result == -E_SERVICE_DOWN || result == -E_NOT_FOUND ||
        result == -E_PERMISSION)
        rest();
    if (result == -E_CLOSED && __atomic_load_n(&resetting, __ATOMIC_ACQUIRE))
        rest();
    return result;
}

/* What is none of the device's, no memory and the like, may not happen the next time. */
int64_t pipes_check(int64_t result)
{
    pipes_alive(result);
    return result >= 0 || result == -E_CLOSED || result == -E_TIMED_OUT ||
                   result == -E_NOT_SUPPORTED
               ? result
               : -E_IO;
}

void pipes_pause(void *context, int64_t nanoseconds)
{
    (void)context;
    sleep_until(clock_monotonic() + nanoseconds);
}

int64_t pipes_reset(const struct pipes *pipes)
{
    __atomic_store_n(&resetting, true, __ATOMIC_RELEASE);
    int64_t result = pipes_alive(usb_reset(&pipes->claim));
    if (result >= 0)
        rest();
    __atomic_store_n(&resetting, false, __ATOMIC_RELEASE);
    return result;
}

static int64_t settings_find(struct pipes *pipes)
{
    char uri[64], *bytes;
    size_t length;
    snprintf(uri, sizeof(uri), "usb:///%s/descriptors", pipes->claim.description.name);
    int64_t result = pipes_alive(file_load(HANDLE_SELF, uri, DESCRIPTORS_MAX, &bytes, &length));
    if (result < 0)
        return result;
    uas_find((const uint8_t *)bytes, length, pipes->claim.description.interface, &pipes->settings);
    free(bytes);
    return pipes->settings.bulk_only || pipes->settings.attached ? 0 : -E_NOT_SUPPORTED;
}

int64_t pipes_open(struct pipes *pipes, const char *interface)
{
    *pipes = (struct pipes){.in = HANDLE_NONE, .out = HANDLE_NONE};
    int64_t result = usb_claim(&pipes->claim, interface);
    return result < 0 ? result : settings_find(pipes);
}
