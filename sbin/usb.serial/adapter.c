#include "sbin/usb.serial/adapter.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/sys/file.h"

#define CLASS_COMMUNICATION 0x02u
#define DESCRIPTORS_MAX     (1u << 17) /* 18 bytes, and a configuration of at most 64 KiB */
#define ERRORS_MOST         8u         /* transfers in a row that fail */
#define NOTIFIED_UNITS      3u

#define TO_DEVICE    (USB_TYPE_VENDOR | USB_TYPE_DEVICE)
#define TO_INTERFACE (USB_TYPE_CLASS | USB_TYPE_INTERFACE)

/* --- Which it is ------------------------------------------------------------------------------------------------- */

static int64_t descriptors_parse(struct adapter *adapter)
{
    char uri[64], *text;
    size_t length;
    snprintf(uri, sizeof(uri), "usb:///%s/descriptors", adapter->claim.description.name);
    int64_t result = file_load(HANDLE_SELF, uri, DESCRIPTORS_MAX, &text, &length);
    if (result < 0)
        return result;
    result = acm_parse((const uint8_t *)text, length, adapter->claim.description.interface,
                       &adapter->acm);
    free(text);
    return result;
}

static size_t packet_of(const struct usb_description *description, uint8_t address)
{
    for (uint8_t i = 0; i < description->endpoint_count; i++)
        if (description->endpoints[i].address == address)
            return description->endpoints[i].packet;
    return 0;
}

static int64_t acm_start(struct adapter *adapter)
{
    char uri[64];
    int64_t result = descriptors_parse(adapter);
    if (result < 0)
        return result;
    snprintf(uri, sizeof(uri), "usb:///%s:%u", adapter->claim.description.name, adapter->acm.data);
    result = usb_claim(&adapter->data, uri);
    /* Some have their endpoints only in another setting: setting 0 is the line at rest (CDC 3.3). */
    if (result >= 0 && !adapter->data.description.endpoint_count &&
        adapter->data.description.alternates > 1)
        result = usb_alternate(&adapter->data, 1, 0);
    uint8_t told = usb_endpoint_find(&adapter->claim, USB_INTERRUPT, USB_ENDPOINT_IN);
    adapter->notification = packet_of(&adapter->claim.description, told);
    if (result >= 0 && told)
        result = usb_endpoint_open(&adapter->claim, told, &adapter->notifications);
    return result == -E_NOT_FOUND ? -E_BAD_FORMAT : result; /* the device has no such interface */
}

static int64_t endpoints_open(struct adapter *adapter)
{
    const struct usb_interface_claim *claim = adapter->is_ftdi ? &adapter->claim : &adapter->data;
    uint8_t in = usb_endpoint_find(claim, USB_BULK, USB_ENDPOINT_IN);
    uint8_t out = usb_endpoint_find(claim, USB_BULK, 0);
    adapter->packet = packet_of(&claim->description, in);
    if (!in || !out || !adapter->packet)
        return -E_BAD_FORMAT;
    int64_t result = usb_endpoint_open(claim, in, &adapter->in);
    return result < 0 ? result : usb_endpoint_open(claim, out, &adapter->out);
}

int64_t adapter_start(struct adapter *adapter, const char *interface)
{
    *adapter = (struct adapter){.in = HANDLE_NONE,
                                .out = HANDLE_NONE,
                                .notifications = HANDLE_NONE,
                                .data = {.file = HANDLE_NONE}};
    int64_t result = usb_claim(&adapter->claim, interface);
    if (result < 0)
        return result;
    const struct usb_description *what = &adapter->claim.description;
    adapter->is_ftdi = what->class_code != CLASS_COMMUNICATION;
    result = adapter->is_ftdi ? ftdi_chip(what->release, what->interface, &adapter->ftdi)
                              : acm_start(adapter);
    return result < 0 ? result : endpoints_open(adapter);
}

/* --- Settings ---------------------------------------------------------------------------------------------------- */

static int64_t ftdi_set(struct adapter *adapter, uint64_t settings)
{
    struct ftdi_setup setups[FTDI_REQUESTS];
    int64_t count = ftdi_settings(&adapter->ftdi, adapter->settings, settings, setups), result = 0;
    if (count < 0)
        return count;
    for (int64_t i = 0; i < count && result >= 0; i++)
        result = usb_request(
            &adapter->claim,
            USB_SETUP(TO_DEVICE, setups[i].request, setups[i].value, setups[i].index, 0), NULL);
    adapter->settings = result < 0 ? 0 : settings;
    return result;
}

static int64_t acm_request(const struct adapter *adapter, uint8_t request, uint16_t value,
                           void *bytes, uint16_t length)
{
    return usb_request(
        &adapter->claim,
        USB_SETUP(TO_INTERFACE, request, value, adapter->claim.description.interface, length),
        bytes);
}

static int64_t coding_set(const struct adapter *adapter, uint64_t settings)
{
    uint8_t coding[ACM_CODING];
    int64_t result = acm_coding(settings, coding);
    return result < 0 || !adapter->acm.codes
               ? result
               : acm_request(adapter, ACM_SET_CODING, 0, coding, ACM_CODING);
}

static int64_t lines_set(const struct adapter *adapter, uint64_t settings)
{
    return adapter->acm.codes ? acm_request(adapter, ACM_SET_LINES, acm_lines(settings), NULL, 0)
                              : 0;
}

static int64_t break_set(const struct adapter *adapter, uint64_t settings)
{
    uint16_t value = settings & SERIAL_BREAK ? ACM_BREAK_ON : ACM_BREAK_OFF;
    return adapter->acm.breaks ? acm_request(adapter, ACM_SEND_BREAK, value, NULL, 0) : 0;
}

/* What a device does not know at all does not keep it from sending bytes; what it refuses does not keep the rest from being set. */
static int64_t acm_set(struct adapter *adapter, uint64_t settings)
{
    static const struct {
        uint64_t settings;
        int64_t (*set)(const struct adapter *adapter, uint64_t settings);
    } parts[] = {
        {~(SERIAL_DTR | SERIAL_RTS | SERIAL_BREAK), coding_set},
        {SERIAL_DTR | SERIAL_RTS, lines_set},
        {SERIAL_BREAK, break_set},
    };
    uint64_t changed = adapter->settings ? adapter->settings ^ settings : UINT64_MAX;
    int64_t refused = 0;
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        uint64_t part = parts[i].settings;
        int64_t result = changed & part ? parts[i].set(adapter, settings) : 0;
        if (result >= 0)
            adapter->settings = (adapter->settings & ~part) | (settings & part);
        else if (result == -E_NOT_SUPPORTED)
            refused = result;
        else
            return result;
    }
    return refused;
}

int64_t adapter_set(struct adapter *adapter, uint64_t settings)
{
    return adapter->is_ftdi ? ftdi_set(adapter, settings) : acm_set(adapter, settings);
}

/* --- Bytes ------------------------------------------------------------------------------------------------------- */

/* After a transfer: 0: once more, the endpoint stood still and goes on; else what it came to. */
static int64_t go_on(handle_t endpoint, int64_t result, uint32_t *errors)
{
    if (result >= 0)
        *errors = 0;
    if ((result != -E_IO && result != -E_NOT_SUPPORTED) || ++*errors > ERRORS_MOST)
        return result;
    result = usb_clear_halt(endpoint);
    return result < 0 ? result : 0;
}

int64_t adapter_send(struct adapter *adapter, const uint8_t *bytes, size_t count)
{
    uint32_t errors = 0;
    size_t done = 0;
    while (done < count) {
        int64_t result = usb_write(adapter->out, bytes + done, count - done);
        result = go_on(adapter->out, result, &errors);
        if (result < 0)
            return result;
        done += (size_t)result;
    }
    return 0;
}

/* Units of what came, to whoever hears them. */
static size_t units_make(const struct adapter *adapter, uint32_t *lines, const uint8_t *bytes,
                         size_t length, uint16_t *units)
{
    if (adapter->is_ftdi)
        return ftdi_received(lines, bytes, length, adapter->packet, units);
    for (size_t i = 0; i < length; i++)
        units[i] = SERIAL_RECEIVED | bytes[i];
    return length;
}

int64_t adapter_listen(struct adapter *adapter, adapter_heard *heard, void *context)
{
    static uint8_t bytes[USB_COPY_MAX];
    static uint16_t units[USB_COPY_MAX];
    uint32_t errors = 0, lines = UINT32_MAX;
    for (;;) {
        int64_t length = usb_read(adapter->in, bytes, sizeof(bytes));
        length = go_on(adapter->in, length, &errors);
        if (length < 0)
            return length;
        size_t count = units_make(adapter, &lines, bytes, (size_t)length, units);
        if (count)
            heard(context, units, count);
    }
}

int64_t adapter_listen_lines(struct adapter *adapter, adapter_heard *heard, void *context)
{
    static uint8_t packet[USB_COPY_MAX];
    struct acm_notified notified = {.lines = UINT32_MAX};
    uint16_t units[NOTIFIED_UNITS];
    uint32_t errors = 0;
    while (adapter->notifications != HANDLE_NONE) {
        int64_t length = usb_read(adapter->notifications, packet, adapter->notification);
        length = go_on(adapter->notifications, length, &errors);
        if (length < 0)
            return length;
        size_t count = acm_notified(&notified, packet, (size_t)length, units);
        if (count)
            heard(context, units, count);
    }
    return 0;
}
