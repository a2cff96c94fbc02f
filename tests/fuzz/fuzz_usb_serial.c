// sources: sbin/usb.serial/ftdi.c sbin/usb.serial/acm.c lib/usb/descriptor.c lib/usb/vendor.c
/* What serial adapters send: FTDI's packets of any length, descriptors and notifications of CDC-ACM. What must hold: no unit is of a kind
 * that there is not, there are no more than there are bytes; and settings make requests that can be made: those of a chip with several lines are
 * for that line, and no other. */
#include <stdlib.h>

#include "abi/usb.h"
#include "lib/usb/vendor.h"
#include "sbin/usb.serial/acm.h"
#include "sbin/usb.serial/ftdi.h"
#include "tests/fuzz/input.h"

#define LENGTH_MAX 4096u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

static void check(bool condition)
{
    if (!condition)
        abort();
}

static void units_check(const uint16_t *units, size_t count)
{
    for (size_t i = 0; i < count; i++)
        check((units[i] & SERIAL_UNIT) <= SERIAL_LINES &&
              ((units[i] & SERIAL_UNIT) >= SERIAL_BROKEN || !(units[i] & 0xf00)));
}

static void settings_check(const struct ftdi_chip *chip, uint64_t before, uint64_t settings)
{
    struct ftdi_setup setups[FTDI_REQUESTS];
    const struct usb_vendor_rule *rule = usb_vendor_rule(0x0403, 0x6011);
    int64_t count = ftdi_settings(chip, before, settings, setups);
    check(count <= FTDI_REQUESTS);
    for (int64_t i = 0; i < count && chip->line; i++) {
        uint64_t setup =
            USB_SETUP(USB_TYPE_VENDOR, setups[i].request, setups[i].value, setups[i].index, 0);
        for (uint32_t interface = 0; interface <= UINT8_MAX; interface++)
            check(usb_vendor_is_for(rule, setup, (uint8_t)interface) ==
                  (interface + 1 == chip->line));
    }
}

/* In packets of any length. */
static void notifications_check(const uint8_t *bytes, size_t length, size_t packet)
{
    struct acm_notified notified = {.lines = UINT32_MAX};
    uint16_t units[3];
    for (size_t at = 0; at < length; at += packet) {
        size_t count = acm_notified(&notified, bytes + at, MIN(packet, length - at), units);
        check(count <= 3 && notified.length < ACM_STATE);
        units_check(units, count);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    static uint16_t units[LENGTH_MAX];
    struct ftdi_chip chip;
    struct acm acm;
    uint8_t coding[ACM_CODING];
    uint32_t lines = UINT32_MAX;
    struct input input = {data, data + length};
    size_t packet = 8u << next64(&input, 1) % 8;
    uint64_t before = next64(&input, 8), settings = next64(&input, 8);
    uint16_t release = (uint16_t)(next64(&input, 1) % 17 << 8);
    uint8_t interface = (uint8_t)next64(&input, 1);
    const uint8_t *bytes = input.at;
    size_t rest = MIN((size_t)(input.end - input.at), (size_t)LENGTH_MAX);
    if (ftdi_chip(release, interface, &chip) >= 0)
        settings_check(&chip, before, settings);
    (void)!acm_coding(settings, coding);
    size_t count = ftdi_received(&lines, bytes, rest, packet, units);
    check(count <= rest);
    units_check(units, count);
    if (acm_parse(bytes, rest, 0, &acm) >= 0)
        check(acm.data != 0);
    notifications_check(bytes, rest, packet);
    return 0;
}
