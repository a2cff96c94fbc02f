#include "sbin/usb.serial/acm.h"

#include <string.h>

#include "abi/errors.h"
#include "abi/tty.h"
#include "lib/usb/descriptor.h"

#define CLASS_INTERFACE 0x24u /* a descriptor's type */
/* Its third byte. */
enum { CALL_MANAGEMENT = 1, ABSTRACT_CONTROL = 2, UNION = 6 };
#define CAN_CODE  0x02u /* set line coding, lines, and tell of the other side's */
#define CAN_BREAK 0x04u

#define NOTIFICATION      8u /* bytes before the data */
#define NOTIFICATION_TYPE 0xa1u
#define SERIAL_STATE      0x20u
#define STATE_CARRIER     0x01u
#define STATE_DSR         0x02u
#define STATE_BREAK       0x04u
#define STATE_RING        0x08u
#define STATE_DAMAGED     0x70u /* framing, parity, overrun */

#define LINES_DTR 0x1u
#define LINES_RTS 0x2u

/* A functional descriptor of ours. True: it names the other interface. */
static bool function_parse(const uint8_t *descriptor, uint8_t interface, struct acm *acm)
{
    uint8_t size = descriptor[0];
    if (size < 4)
        return false;
    if (descriptor[2] == ABSTRACT_CONTROL) {
        acm->codes = descriptor[3] & CAN_CODE;
        acm->breaks = descriptor[3] & CAN_BREAK;
    }
    if (size < 5 || (descriptor[2] != UNION && descriptor[2] != CALL_MANAGEMENT) ||
        descriptor[4] == interface) /* that of calls may name its own */
        return false;
    if (descriptor[2] == UNION || !acm->data)
        acm->data = descriptor[4];
    return true;
}

int64_t acm_parse(const uint8_t *bytes, size_t length, uint8_t interface, struct acm *acm)
{
    const uint8_t *descriptor;
    size_t at = 0;
    bool ours = false, found = false;
    *acm = (struct acm){0};
    while ((descriptor = usb_descriptor_next(bytes, &at, length))) {
        if (descriptor[1] == USB_INTERFACE && descriptor[0] > 2)
            ours = descriptor[2] == interface;
        else if (ours && descriptor[1] == CLASS_INTERFACE)
            found |= function_parse(descriptor, interface, acm);
    }
    return found ? 0 : -E_BAD_FORMAT;
}

int64_t acm_coding(uint64_t settings, uint8_t coding[ACM_CODING])
{
    uint32_t bauds = (uint32_t)settings;
    for (int i = 0; i < 4; i++)
        coding[i] = (uint8_t)(bauds >> 8 * i);
    coding[4] = settings & SERIAL_STOP_2 ? 2 : 0;
    coding[5] = !(settings & SERIAL_PARITY) ? 0 : settings & SERIAL_ODD ? 1 : 2;
    coding[6] = (uint8_t)((settings & SERIAL_BITS) >> SERIAL_BITS_SHIFT);
    return settings & SERIAL_RTS_CTS ? -E_NOT_SUPPORTED : 0;
}

uint16_t acm_lines(uint64_t settings)
{
    return (settings & SERIAL_DTR ? LINES_DTR : 0) | (settings & SERIAL_RTS ? LINES_RTS : 0);
}

static size_t state_told(uint32_t *lines, uint16_t state, uint16_t units[3])
{
    size_t count = 0;
    uint32_t now = (state & STATE_CARRIER ? TTY_MODEM_CAR : 0) |
                   (state & STATE_DSR ? TTY_MODEM_DSR : 0) |
                   (state & STATE_RING ? TTY_MODEM_RNG : 0);
    if (now != *lines)
        units[count++] = (uint16_t)(SERIAL_LINES | now);
    *lines = now;
    if (state & STATE_BREAK)
        units[count++] = SERIAL_BROKEN;
    if (state & STATE_DAMAGED)
        units[count++] = SERIAL_DAMAGED;
    return count;
}

/* Packets hold 8 bytes at least, so the first has the head. */
static bool state_begins(const uint8_t *packet, size_t length)
{
    return length >= NOTIFICATION && packet[0] == NOTIFICATION_TYPE && packet[1] == SERIAL_STATE &&
           usb_get16(packet + 6) == ACM_STATE - NOTIFICATION;
}

size_t acm_notified(struct acm_notified *notified, const uint8_t *packet, size_t length,
                    uint16_t units[3])
{
    bool begins = state_begins(packet, length);
    size_t before = begins ? 0 : notified->length;
    notified->length = 0;
    if (!begins && (!before || before + length != ACM_STATE))
        return 0;
    length = MIN(length, ACM_STATE - before);
    memcpy(notified->bytes + before, packet, length);
    if (before + length < ACM_STATE) {
        notified->length = before + length;
        return 0;
    }
    return state_told(&notified->lines, usb_get16(notified->bytes + NOTIFICATION), units);
}
