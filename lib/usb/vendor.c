/* The table of makers' rules: see vendor.h. */
#include "lib/usb/vendor.h"

#include "abi/usb.h"

#define RECIPIENT 0x1fu

/* FTDI's lines are A = 1, B = 2, ...; from 0x90 on the requests are the EEPROM's, whose words stand in the index. */
#define FTDI          0x0403u
#define FTDI_REQUESTS 0x0du
#define FTDI_FIRST    1u

static const struct usb_vendor_rule rules[] = {
    {FTDI, 0x6010, FTDI_REQUESTS, FTDI_FIRST}, /* FT2232C, D, H */
    {FTDI, 0x6011, FTDI_REQUESTS, FTDI_FIRST}, /* FT4232H */
};

const struct usb_vendor_rule *usb_vendor_rule(uint16_t vendor, uint16_t product)
{
    for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
        if (rules[i].vendor == vendor && rules[i].product == product)
            return &rules[i];
    return NULL;
}

/* Whether a chip looks at the recipient is not known: who would address an interface or endpoint might reach another line by its number. */
bool usb_vendor_is_for(const struct usb_vendor_rule *rule, uint64_t setup, uint8_t interface)
{
    uint8_t type = (uint8_t)setup, request = (uint8_t)(setup >> 8), index = (uint8_t)(setup >> 32);
    return (type & RECIPIENT) == USB_TYPE_DEVICE && request < rule->requests &&
           index == (uint32_t)rule->first + interface;
}
