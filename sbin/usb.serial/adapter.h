/* An adapter at work: its interfaces and endpoints, of either kind.
 *
 *     adapter_start(&adapter, "usb:///1-2:0")
 *     adapter_set(&adapter, settings)                    waits for the device; one thread at a time
 *     adapter_send(&adapter, bytes, count)               ... likewise
 *     adapter_listen(&adapter, heard, context)           bytes; returns when the device fails
 *     adapter_listen_lines(&adapter, heard, context)     what has an endpoint of its own; 0: there is no such thing
 */
#pragma once

#include "lib/usb/driver.h"
#include "sbin/usb.serial/acm.h"
#include "sbin/usb.serial/ftdi.h"

struct adapter {
    struct usb_interface_claim claim; /* the one we were started for */
    struct usb_interface_claim data;  /* the other one of CDC-ACM; else not claimed */
    struct acm acm;                   /* of CDC-ACM */
    bool is_ftdi;
    struct ftdi_chip ftdi;           /* of FTDI's */
    size_t packet, notification;     /* bytes of one: of what is received, of notifications */
    handle_t in, out, notifications; /* endpoints; HANDLE_NONE: no such */
    uint64_t settings;               /* in force; 0: not known */
};

typedef void adapter_heard(void *context, const uint16_t *units, size_t count);

/* -E_BAD_FORMAT, -E_NOT_SUPPORTED: no adapter for us. */
MUST_CHECK int64_t adapter_start(struct adapter *adapter, const char *interface);
/* -E_NOT_SUPPORTED: it cannot be set so; adapter->settings says how it is. */
MUST_CHECK int64_t adapter_set(struct adapter *adapter, uint64_t settings);
MUST_CHECK int64_t adapter_send(struct adapter *adapter, const uint8_t *bytes, size_t count);
int64_t adapter_listen(struct adapter *adapter, adapter_heard *heard, void *context);
int64_t adapter_listen_lines(struct adapter *adapter, adapter_heard *heard, void *context);
