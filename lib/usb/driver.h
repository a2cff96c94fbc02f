/* The driver's side of usb:// (abi/usb.h): one interface of a device, and what its driver needs of it.
 *
 *     usb_claim(&device, "usb:///1-2:0")                    E_BUSY: another driver has it
 *     usb_request(&device, USB_SETUP(...), bytes)           to endpoint 0
 *     usb_endpoint_open(&device, address, &file)
 *     usb_read(file, bytes, length), usb_write(...)         one transfer (file_read would go on until the bytes are full)
 *     usb_endpoint_find(&device, USB_INTERRUPT, USB_ENDPOINT_IN)
 *     usb_memory(&device, length, &memory)                  for transfers without a copy:
 *     usb_transfer(file, memory.number, offset, length, deadline)
 *     usb_transfers(&device, 0, transfers, count, results, deadline)    ... several, of any endpoints
 *     usb_memory_lend(&device, length, &memory, &handle)    ... that clients are given, too; the next driver shows the handle:
 *     usb_memory_again(&device, handle, &memory)
 *     usb_rest(&device)                                     a device for somebody else: nothing to do until it is gone
 *     usb_release(&device)                                  or the driver's end: usbd makes the interface quiet
 *
 * Results are counts, 0 or -E_*. What a device sends is its word; what the description says of it was checked by usbd.
 */
#pragma once

#include "abi/usb.h"
#include "lib/sys/syscall.h"

struct usb_interface_claim {
    handle_t file;
    char uri[64];
    struct usb_description description;
};

struct usb_memory {
    uint8_t *bytes;
    uint64_t length, number;
};

MUST_CHECK int64_t usb_claim(struct usb_interface_claim *claim, const char *interface);
void usb_release(struct usb_interface_claim *claim);
/* A driver that ended would be started again: it keeps what it cannot drive, and waits for its end, or usbd's. */
void usb_rest(const struct usb_interface_claim *claim);

/* bytes: as many as the setup says, in or out. */
MUST_CHECK int64_t usb_request(const struct usb_interface_claim *claim, uint64_t setup,
                               void *bytes);
/* The device begins anew, and with another driver: this one is to end. */
MUST_CHECK int64_t usb_reset(const struct usb_interface_claim *claim);
/* How many streams its endpoints have that know some: at most as many as are wanted. */
MUST_CHECK int64_t usb_alternate(struct usb_interface_claim *claim, uint8_t alternate,
                                 uint16_t streams);

/* The address of the first endpoint of the kind; 0: there is none. */
uint8_t usb_endpoint_find(const struct usb_interface_claim *claim, enum usb_endpoint_type type,
                          uint8_t direction);
MUST_CHECK int64_t usb_endpoint_open(const struct usb_interface_claim *claim, uint8_t address,
                                     handle_t *file);
/* length: of whole packets. How many bytes came; 0 is an empty packet, not the end. */
MUST_CHECK int64_t usb_read(handle_t endpoint, void *bytes, size_t length);
MUST_CHECK int64_t usb_write(handle_t endpoint, const void *bytes, size_t length);
MUST_CHECK int64_t usb_clear_halt(handle_t endpoint);

MUST_CHECK int64_t usb_memory(const struct usb_interface_claim *claim, uint64_t length,
                              struct usb_memory *memory);
MUST_CHECK int64_t usb_memory_lend(const struct usb_interface_claim *claim, uint64_t length,
                                   struct usb_memory *memory, handle_t *handle);
MUST_CHECK int64_t usb_memory_again(const struct usb_interface_claim *claim, handle_t handle,
                                    struct usb_memory *memory);
/* The mapping goes, too. */
void usb_memory_free(const struct usb_interface_claim *claim, struct usb_memory *memory);
/* What came by the deadline is counted, as a short packet is; E_TIMED_OUT: nothing. */
MUST_CHECK int64_t usb_transfer(handle_t endpoint, uint64_t memory, uint64_t offset,
                                uint64_t length, int64_t deadline);
/* flags: USB_TOGETHER, or one after the other. How many were begun, each with its count or error in results; past the deadline as if none had
 * been: E_TIMED_OUT. */
MUST_CHECK int64_t usb_transfers(const struct usb_interface_claim *claim, uint64_t flags,
                                 const struct usb_transfer *transfers, uint32_t count,
                                 int64_t *results, int64_t deadline);
