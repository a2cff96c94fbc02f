/* usb.hid: an interface of the class HID (keyboard, mouse, tablet, ...) as a driver of input:// (lib/input/driver.h).
 *
 * Started with the interface's URI, which names it to inputd, too. The main thread waits for the device; lib/input's threads wait
 * for inputd, and light the lights.
 */
#include <stdio.h>
#include <string.h>

#include "lib/input/driver.h"
#include "lib/sys/error.h"
#include "sbin/usb.hid/device.h"

static struct device device;
static struct input_driver input;

static void heard(void *context, uint16_t type, uint16_t code, int32_t value)
{
    (void)context;
    input_driver_emit(&input, type, code, value);
}

static void lights_changed(void *context, uint32_t mask)
{
    (void)context;
    device_light(&device, mask);
}

static int64_t drive(const char *interface, const char *name)
{
    const struct usb_description *what = &device.claim.description;
    int64_t result = device_start(&device, interface);
    if ((result == -E_NOT_SUPPORTED || result == -E_BAD_FORMAT) &&
        device.claim.file != HANDLE_NONE) {
        fprintf(stderr, "%s: nothing for input://: %s\n", interface, error_text(result));
        usb_rest(&device.claim);
        return -E_CLOSED;
    }
    if (result < 0)
        return result;
    fprintf(stderr, "%s: %s %s\n", interface, what->manufacturer, what->product_name);
    device_light(&device, 0);
    int error =
        input_driver_start(&input, name, device.input.light_count ? lights_changed : NULL, NULL);
    if (error) {
        fprintf(stderr, "no threads for input://: %s\n", strerror(error));
        return -E_NO_MEMORY;
    }
    return device_listen(&device, heard, NULL);
}

int main(int argc, char **argv)
{
    const char *name = argc == 2 ? strrchr(argv[1], '/') : NULL;
    if (!name) {
        fprintf(stderr, "usage: usb.hid usb:///INTERFACE\n");
        return 2;
    }
    fprintf(stderr, "%s: %s\n", argv[1], error_text(drive(argv[1], name + 1)));
    return 1;
}
