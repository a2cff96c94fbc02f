/* HID devices: see device.h. */
#include "sbin/usb.hid/device.h"

#include <stdlib.h>
#include <string.h>

#include "lib/usb/descriptor.h"

/* Requests (7.2), and the protocols a boot device chooses from. */
enum { GET_REPORT = 0x01, SET_REPORT = 0x09, SET_IDLE = 0x0a, SET_PROTOCOL = 0x0b };
enum report_kind { INPUT_REPORT = 1, OUTPUT_REPORT = 2, FEATURE_REPORT = 3 };
#define CLASS_REQUEST   (USB_TYPE_CLASS | USB_TYPE_INTERFACE)
#define REPORT_PROTOCOL 1
#define SUBCLASS_BOOT   1
#define ERRORS_MOST     8u /* reports in a row that do not come */

static uint8_t number(const struct device *device)
{
    return device->claim.description.interface;
}

static int64_t request(const struct device *device, uint8_t which, uint16_t value, void *bytes,
                       uint16_t length)
{
    uint8_t type = CLASS_REQUEST | (which == GET_REPORT ? USB_TYPE_IN : 0);
    return usb_request(&device->claim, USB_SETUP(type, which, value, number(device), length),
                       bytes);
}

static int64_t report_request(const struct device *device, uint8_t which, enum report_kind kind,
                              uint8_t id, void *bytes, uint16_t length)
{
    return request(device, which, (uint16_t)(kind << 8 | id), bytes, length);
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
    const struct usb_description *what = &device->claim.description;
    const struct hid_quirk *quirk = hid_quirk_find(what->vendor, what->product);
    int64_t result =
        quirk ? hid_parse(quirk->descriptor, quirk->length, &hid) : descriptor_read(device, &hid);
    device->quirk = quirk;
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

static int64_t mode_set(const struct device *device)
{
    uint8_t mode[HID_QUIRK_MODE_SIZE];
    if (!device->quirk)
        return 0;
    memcpy(mode, device->quirk->mode, sizeof(mode));
    return report_request(device, SET_REPORT, FEATURE_REPORT, mode[0], mode, sizeof(mode));
}

int64_t device_start(struct device *device, const char *interface)
{
    int64_t result = usb_claim(&device->claim, interface);
    if (result >= 0)
        result = controls_find(device);
    if (result < 0)
        return result;
    protocol_choose(device);
    result = mode_set(device);
    if (result < 0)
        return result;
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

static void report_take(struct device *device, uint8_t *bytes, size_t length, hid_emit *emit,
                        void *context)
{
    if (device->quirk)
        device->quirk->amend(bytes, length);
    hid_input_report(&device->input, bytes, length, emit, context);
}

/* How things stand: after a change of mode some tell of nothing until they were asked once. */
static int64_t report_first(const struct device *device, uint8_t *bytes)
{
    const struct hid_quirk *quirk = device->quirk;
    return quirk ? report_request(device, GET_REPORT, INPUT_REPORT, quirk->report, bytes,
                                  quirk->report_length)
                 : 0;
}

int64_t device_listen(struct device *device, hid_emit *emit, void *context)
{
    static uint8_t bytes[USB_COPY_MAX];
    uint32_t errors = 0;
    int64_t length = report_first(device, bytes);
    if (length == -E_NOT_SUPPORTED) /* a device that does not answer that */
        length = 0;
    while (length >= 0) {
        if (length > 0)
            report_take(device, bytes, (size_t)length, emit, context);
        length = report_next(device, bytes, &errors);
    }
    return length;
}

void device_light(struct device *device, uint32_t mask)
{
    static uint8_t bytes[HID_REPORT_MAX + 1];
    uint32_t length = hid_input_lights(&device->input, mask, bytes);
    uint8_t id = device->input.numbered ? bytes[0] : 0;
    if (length) /* a light that does not go on is no reason to end */
        (void)!report_request(device, SET_REPORT, OUTPUT_REPORT, id, bytes, (uint16_t)length);
}
