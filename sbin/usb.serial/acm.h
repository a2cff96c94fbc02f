/* What devices of the class CDC, subclass ACM, are told and say (CDC 1.2, PSTN 1.2). Pure.
 *
 * A line is two interfaces: one for requests and notifications, which initd finds a driver for, and one for the bytes.
 */
#pragma once

#include "abi/serial.h"
#include "lib/base/base.h"

#define ACM_CODING 7u  /* bytes */
#define ACM_STATE  10u /* ... of the notification that tells of lines */

enum acm_request { ACM_SET_CODING = 0x20, ACM_SET_LINES = 0x22, ACM_SEND_BREAK = 0x23 };

#define ACM_BREAK_ON  0xffffu /* until ACM_BREAK_OFF */
#define ACM_BREAK_OFF 0u

struct acm {
    uint8_t data;       /* the other interface's number */
    bool codes, breaks; /* the device can be told the speed, and of breaks */
};

/* What the descriptors (usb:///1-2/descriptors) say of this interface. -E_BAD_FORMAT: nothing of bytes. */
MUST_CHECK int64_t acm_parse(const uint8_t *bytes, size_t length, uint8_t interface,
                             struct acm *acm);

/* -E_NOT_SUPPORTED: not to be told a device: hardware flow control, which the class does not know. */
MUST_CHECK int64_t acm_coding(uint64_t settings, uint8_t coding[ACM_CODING]);
uint16_t acm_lines(uint64_t settings);

/* Of the notification endpoint. */
struct acm_notified {
    uint32_t lines; /* as with ftdi_received */
    uint8_t bytes[ACM_STATE];
    size_t length; /* of them: a notification may be longer than a packet */
};

/* A packet: units (abi/serial.h), at most 3; 0: it says nothing, or not all of it yet. */
size_t acm_notified(struct acm_notified *notified, const uint8_t *packet, size_t length,
                    uint16_t units[3]);
