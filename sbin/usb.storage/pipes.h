/* The interface of a USB disk, as what lib/usb's transports are put on: endpoints of usb://, and memory that the controller reaches.
 *
 *     pipes_open(&pipes, "usb:///1-5:0")      claimed; -E_NOT_SUPPORTED: nothing of pipes.settings is there
 *     attached_open(&pipes, &streams)         attached.c: pipes.attached are those of UAS (lib/usb/uas.h) from then on
 *     bulk_open(&pipes)                       bulk.c: pipes.bulk are those of the bulk-only transport
 *
 * Addresses are PIPES_ADDRESS(number of the memory, offset). A device that was pulled out ends the pipes with E_CLOSED. When usbd
 * has died, or the port is reset because we wanted it, nothing is answered any more: what is under way is for the next driver to do, which
 * initd starts when the device is back.
 */
#pragma once

#include <pthread.h>

#include "lib/usb/bulk_only.h"
#include "lib/usb/driver.h"
#include "lib/usb/uas.h"

#define PIPES_ADDRESS(number, offset) ((uint64_t)(number) << 32 | (offset))

struct pipes {
    struct usb_interface_claim claim;
    struct uas_settings settings;
    bool worked;      /* the transport has been of use */
    handle_t in, out; /* of the bulk-only transport */
    uint8_t in_address, out_address;
    struct bulk_pipes bulk;
    handle_t files[UAS_PIPES]; /* of UAS */
    pthread_mutex_t managing;
    struct uas_pipes attached;
};

MUST_CHECK int64_t pipes_open(struct pipes *pipes, const char *interface);
MUST_CHECK int64_t attached_open(struct pipes *pipes, uint16_t *streams);
MUST_CHECK int64_t bulk_open(struct pipes *pipes);

/* The result of a request to usbd, if usbd lives. */
int64_t pipes_alive(int64_t result);

/* For bulk.c and attached.c: the same as the transports know errors, some time, and a device that is another one afterwards. */
int64_t pipes_check(int64_t result);
void pipes_pause(void *context, int64_t nanoseconds);
int64_t pipes_reset(const struct pipes *pipes);
