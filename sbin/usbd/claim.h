/* What drivers do with devices (abi/usb.h): an interface is claimed, given memory, and its endpoints carry out transfers.
 *
 *     claim_open(device, interface, command)     held: the device's thread answers when the one before has let go
 *     claim_check(interface, caller)             before anything below
 *     claim_close(device, interface)             its endpoints are stopped, then its memory is given back
 *     claims_end(device)                         the device is gone, and so is what was given with it; its claims' files show SIGNAL_HANGUP
 *     claim_cancel(token)                        a command that is wanted back
 *
 * What waits for the device is answered later, from its thread or that of events; commands of theirs are files' (main.c), whose
 * names and cookies were looked at. Under the lock.
 */
#pragma once

#include "lib/sys/service.h"
#include "sbin/usbd/device.h"

void claims_start(handle_t port);

MUST_CHECK int64_t claim_open(struct device *device, struct interface *interface,
                              struct command *command);
/* Whether the interface is the caller's to use. -E_PERMISSION; -E_CLOSED: no longer, its claim is at its end. */
MUST_CHECK int64_t claim_check(const struct interface *interface, uint64_t caller);
void claim_close(struct device *device, struct interface *interface);
void claims_end(struct device *device);
void claim_cancel(uint64_t token);

/* Handlers of the operations, of an interface that its caller has claimed. */
MUST_CHECK int64_t claim_describe(struct device *device, struct interface *interface,
                                  struct command *command);
MUST_CHECK int64_t claim_control(struct device *device, struct interface *interface,
                                 struct command *command);
MUST_CHECK int64_t claim_alternate(struct device *device, struct interface *interface,
                                   struct command *command);
MUST_CHECK int64_t claim_reset(struct device *device, struct interface *interface,
                               struct command *command);
MUST_CHECK int64_t claim_memory_create(struct device *device, struct interface *interface,
                                       struct command *command);
MUST_CHECK int64_t claim_memory_free(struct device *device, struct interface *interface,
                                     struct command *command);
MUST_CHECK int64_t claim_transfers(struct device *device, struct interface *interface,
                                   struct command *command);
/* ... of one of its endpoints. */
MUST_CHECK int64_t claim_read(struct endpoint *endpoint, struct command *command);
MUST_CHECK int64_t claim_write(struct endpoint *endpoint, struct command *command);
MUST_CHECK int64_t claim_transfer(struct interface *interface, struct endpoint *endpoint,
                                  struct command *command);
MUST_CHECK int64_t claim_clear(struct endpoint *endpoint, struct command *command);

/* The endpoint that the interface has under this address now; NULL: none. */
struct endpoint *claim_endpoint(struct device *device, const struct interface *interface,
                                uint8_t address);
