/* The pipes of a disk's interface, for lib/usb/bulk_only.h: endpoints of usb://, and memory that the controller reaches.
 *
 *     pipes_open(&pipes, "usb:///1-5:0")      `restarts` is set before; claimed; -E_NOT_SUPPORTED: it does not speak the bulk-only transport
 *
 * Addresses are PIPES_ADDRESS(number of the memory, offset). A device that was pulled out ends the pipes with E_CLOSED. When usbd
 * has died nothing is answered any more: what is under way is for the next driver to do, which initd starts when the device is back.
 */
#pragma once

#include "lib/usb/bulk_only.h"
#include "lib/usb/driver.h"

#define PIPES_ADDRESS(number, offset) ((uint64_t)(number) << 32 | (offset))

struct pipes {
    struct usb_interface_claim claim;
    handle_t in, out;
    uint8_t in_address, out_address;
    struct bulk_pipes bulk;
    uint32_t *restarts; /* the caller's: times in a row that the device had to begin anew */
};

MUST_CHECK int64_t pipes_open(struct pipes *pipes, const char *interface);

/* The result of a request to usbd, if usbd lives. */
int64_t pipes_alive(int64_t result);
