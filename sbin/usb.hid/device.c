/* HID devices: see device.h. */
#include "sbin/usb.hid/device.h"

#include <stdlib.h>

#include "lib/usb/descriptor.h"

/* Requests (7.2), and the protocols a boot device chooses from. */
enum { SET_REPORT = 0x09, SET_IDLE = 0x0a, SET_PROTOCOL = 0x0b };
#define CLASS_REQUEST   (USB_TYPE_CLASS | USB_TYPE_INTERFACE)
#define REPORT_PROTOCOL 1
#define OUTPUT_REPORT   2
#define SUBCLASS_BOOT   1
#define ERRORS_MOST     8u /* reports in a row that do not come */

static uint8_t number(const struct device *device)
{
    return device->claim.description.interface;
}

static int64_t request(const struct device *device, uint8_t which, uint16_t value, void *bytes,
                       uint16_t length)
{
    return usb_request(&device->claim,
                       USB_SETUP(CLASS_REQUEST, which, value, number(device), length), bytes);
}

/* As much as there is of it: a short answer is the end. */
static int64_t descriptor_read(const struct device *device, struct hid *hid)
{
    uint8_t *bytes = malloc(HID_REPORT_MAX);
    if (!bytes)
        return -E_NO_MEMORY;
    int64_t result = usb_request(&device->claim,
                                 USB_SETUP(USB_TYPE_IN | USB_TYPE_INTERFACE, USB_GET_DESCRIPTOR,
                                           USB_REPORT << 8, number(device), HID_REPORT_MAX),
                                 bytes);
    if (result >= 0)
        result = hid_parse(bytes, (size_t)result, hid);
    free(bytes);
    return result;
}

static int64_t controls_find(struct device *device)
{
    struct hid hid;
    int64_t result = descriptor_read(device, &hid);
    if (result < 0)
        return result;
    result = hid_input_create(&device->input, &hid);
    hid_destroy(&hid);
    return result < 0 ? result : device->input.control_count ? 0 : -E_NOT_SUPPORTED;
}

/* Reports by the descriptor, and only when something changes; a device that knows neither does so anyway (7.2.4, 7.2.6). */
static void protocol_choose(const struct device *device)
{
    if (device->claim.description.subclass == SUBCLASS_BOOT)
        (void)!request(device, SET_PROTOCOL, REPORT_PROTOCOL, NULL, 0);
    (void)!request(device, SET_IDLE, 0, NULL, 0);
}

int64_t device_start(struct device *device, const char *interface)
{
    int64_t result = usb_claim(&device->claim, interface);
    if (result >= 0)
        result = controls_find(device);
    if (result < 0)
        return result;
    protocol_choose(device);
    uint8_t address = usb_endpoint_find(&device->claim, USB_INTERRUPT, USB_ENDPOINT_IN);
    return address ? usb_endpoint_open(&device->claim, address, &device->reports) : -E_BAD_FORMAT;
}

/* The next report. A stall is cleared, for a while. */
static int64_t report_next(const struct device *device, uint8_t *bytes, uint32_t *errors)
{
    int64_t length = usb_read(device->reports, bytes, USB_COPY_MAX);
    if (length >= 0)
        *errors = 0;
    if ((length != -E_IO && length != -E_NOT_SUPPORTED) || ++*errors > ERRORS_MOST)
        return length;
    int64_t result = usb_clear_halt(device->reports);
    return result < 0 ? result : 0;
}

int64_t device_listen(struct device *device, hid_emit *emit, void *context)
{
    static uint8_t bytes[USB_COPY_MAX];
    uint32_t errors = 0;
    for (;;) {
        int64_t length = report_next(device, bytes, &errors);
        if (length < 0)
            return length;
        if (length > 0)
            hid_input_report(&device->input, bytes, (size_t)length, emit, context);
    }
}

void device_light(struct device *device, uint32_t mask)
{
    static uint8_t bytes[HID_REPORT_MAX + 1];
    uint32_t length = hid_input_lights(&device->input, mask, bytes);
    uint16_t report = (uint16_t)(OUTPUT_REPORT << 8 | (device->input.numbered ? bytes[0] : 0));
    if (length) /* a light that does not go on is no reason to end */
        (void)!request(device, SET_REPORT, report, bytes, (uint16_t)length);
}
