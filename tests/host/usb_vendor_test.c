/* Requests of a maker's own kind: which interface they are for. */
// sources: lib/usb/vendor.c
#include "lib/usb/vendor.h"

#include "abi/usb.h"
#include "tests/host/test.h"

#define TO_DEVICE (USB_TYPE_VENDOR | USB_TYPE_DEVICE)

TEST(only_what_is_known_has_a_rule)
{
    CHECK(usb_vendor_rule(0x0403, 0x6010));
    CHECK(usb_vendor_rule(0x0403, 0x6011));
    CHECK(!usb_vendor_rule(0x0403, 0x6001));
    CHECK(!usb_vendor_rule(0x0404, 0x6010));
    CHECK(!usb_vendor_rule(0, 0));
}

TEST(a_request_is_for_the_line_in_its_index)
{
    const struct usb_vendor_rule *rule = usb_vendor_rule(0x0403, 0x6011);
    for (uint32_t line = 0; line < 4; line++)
        for (uint32_t index = 0; index < 0x10000; index++)
            CHECK_EQUAL(
                usb_vendor_is_for(rule, USB_SETUP(TO_DEVICE, 3, 0x4138, index, 0), (uint8_t)line),
                (index & 0xff) == line + 1);
    CHECK(!usb_vendor_is_for(rule, USB_SETUP(TO_DEVICE, 3, 0, 0, 0), 255));
    CHECK(usb_vendor_is_for(rule, USB_SETUP(TO_DEVICE | USB_TYPE_IN, 5, 0, 2, 2), 1));
}

TEST(what_is_not_a_lines_is_nobodys)
{
    const struct usb_vendor_rule *rule = usb_vendor_rule(0x0403, 0x6010);
    for (uint32_t request = 0x0d; request < 0x100; request++) /* the EEPROM, from 0x90 on */
        CHECK(!usb_vendor_is_for(rule, USB_SETUP(TO_DEVICE, request, 0, 1, 0), 0));
    for (uint32_t recipient = 1; recipient < 0x20; recipient++)
        CHECK(!usb_vendor_is_for(rule, USB_SETUP(USB_TYPE_VENDOR | recipient, 3, 0x4138, 1, 0), 0));
}
