/* virtioinputd: a virtio-input device (keyboard, mouse, tablet, ...) as a driver of input:// (lib/input/driver.h).
 *
 * Started with the function's URI, which names it to inputd, too. The main thread waits for the device; lib/input's threads
 * wait for inputd.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "lib/input/driver.h"
#include "lib/sys/error.h"
#include "sbin/virtioinputd/device.h"

#define LIGHTS_UNKNOWN UINT32_MAX /* what the device shows from before */

static struct device device;
static struct input_driver input;

static void heard(void *context, const struct input_event *event)
{
    (void)context;
    input_driver_emit(&input, event->type, event->code, event->value);
}

static void lights_changed(void *context, uint32_t mask)
{
    (void)context;
    device_light(&device, mask);
}

static void introduce(const char *function)
{
    for (char *at = device.name; *at; at++)
        if (!isprint((unsigned char)*at))
            *at = '?';
    fprintf(stderr, "%s: %s\n", function, device.name);
}

int main(int argc, char **argv)
{
    const char *name = argc == 2 ? strrchr(argv[1], '/') : NULL;
    if (!name) {
        fprintf(stderr, "usage: virtioinputd pci:///FUNCTION\n");
        return 2;
    }
    int64_t result = device_start(&device, argv[1]);
    if (result >= 0) {
        introduce(argv[1]);
        device.sent = LIGHTS_UNKNOWN;
        device_light(&device, 0);
        bool lights = device.events.lights[0];
        int error = input_driver_start(&input, name + 1, lights ? lights_changed : NULL, NULL);
        if (error) {
            fprintf(stderr, "no threads for input://: %s\n", strerror(error));
            return 1;
        }
        result = device_listen(&device, heard, NULL);
    }
    fprintf(stderr, "%s: %s\n", argv[1], error_text(result));
    return 1;
}
