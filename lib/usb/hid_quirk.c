/* Devices, one after the other, and the table of them: see hid_quirk.h. */
#include "lib/usb/hid_quirk.h"

/* --- Wacom PenPartner: a mouse by the boot protocol, a tablet when it is told --- */

/* Its report as a tablet: id, X, Y, switches, pressure (-127 to 127). */
enum { PEN_REPORT = 2, PEN_SWITCHES = 5, PEN_PRESSURE = 6, PEN_LENGTH = 7 };
enum pen_switch { PEN_TIP = 0x01 /* ours */, PEN_ERASER = 0x20 };
#define PEN_TOUCHES (-80) /* more than that is no accident */

static const uint8_t pen_descriptor[] = {
    0x05, 0x0d,             /* usage page: digitizers */
    0x09, 0x01,             /* usage: digitizer */
    0xa1, 0x01,             /* collection: application */
    0x85, PEN_REPORT,       /* report id */
    0x05, 0x01,             /* usage page: generic desktop */
    0x15, 0x00,             /* logical minimum: 0 */
    0x75, 0x10,             /* report size: 16 */
    0x95, 0x01,             /* report count: 1 */
    0x09, 0x30,             /* usage: X */
    0x26, 0xb0,       0x13, /* logical maximum: 5040 */
    0x81, 0x02,             /* input: data, variable, absolute */
    0x09, 0x31,             /* usage: Y */
    0x26, 0xc4,       0x0e, /* logical maximum: 3780 */
    0x81, 0x02,             /* input */
    0x25, 0x01,             /* logical maximum: 1 */
    0x75, 0x01,             /* report size: 1 */
    0x05, 0x0d,             /* usage page: digitizers */
    0x09, 0x42,             /* usage: tip switch */
    0x81, 0x02,             /* input */
    0x95, 0x04,             /* report count: 4 */
    0x81, 0x01,             /* input: constant */
    0x95, 0x01,             /* report count: 1 */
    0x05, 0x09,             /* usage page: buttons */
    0x09, 0x03,             /* usage: button 3, for the eraser */
    0x81, 0x02,             /* input */
    0x05, 0x0d,             /* usage page: digitizers */
    0x09, 0x44,             /* usage: barrel switch */
    0x81, 0x02,             /* input */
    0x95, 0x09,             /* report count: 9 */
    0x81, 0x01,             /* input: constant */
    0xc0,                   /* end of the collection */
};

/* The tip is one that touches, unless the other end does. */
static void pen_amend(uint8_t *bytes, size_t length)
{
    if (length != PEN_LENGTH || bytes[0] != PEN_REPORT)
        return;
    bool touches = (int8_t)bytes[PEN_PRESSURE] > PEN_TOUCHES;
    bool tip = touches && !(bytes[PEN_SWITCHES] & PEN_ERASER);
    bytes[PEN_SWITCHES] = (uint8_t)((bytes[PEN_SWITCHES] & ~PEN_TIP) | (tip ? PEN_TIP : 0));
}

static const struct hid_quirk quirks[] = {
    {.vendor = 0x056a,
     .product = 0x0000,
     .length = sizeof(pen_descriptor),
     .report = PEN_REPORT,
     .report_length = PEN_LENGTH,
     .mode = {PEN_REPORT, 2},
     .descriptor = pen_descriptor,
     .amend = pen_amend},
};

const struct hid_quirk *hid_quirk_find(uint16_t vendor, uint16_t product)
{
    for (size_t i = 0; i < ARRAY_SIZE(quirks); i++)
        if (quirks[i].vendor == vendor && quirks[i].product == product)
            return &quirks[i];
    return NULL;
}
