/* usb://: devices on the Universal Serial Bus, and what their drivers ask of them.
 *
 *     usb:///devices              a line for each interface of each device: what initd finds drivers for
 *     usb:///tree                 controllers, hubs and devices, for people
 *     usb:///1-2.3                a folder: the device on port 3 of the hub on port 2 of controller 1
 *     usb:///1-2.3/info           what it is, for people
 *     usb:///1-2.3/descriptors    its descriptors: of the device, of its configuration
 *     usb:///1-2.3:0              a folder: its interface 0
 *     usb:///1-2.3:0/interface    to be claimed by a driver (OPEN_READ | OPEN_WRITE): E_BUSY while another has it
 *     usb:///1-2.3:0/81           an endpoint of the interface's by its address, for the process that has claimed it
 *
 * A claim lasts until the last handle of `interface` is gone. Then its endpoints are stopped before anything else happens to the
 * memory they were given. A device that is pulled out answers E_CLOSED from then on, its transfers under way too, and `interface` shows
 * SIGNAL_HANGUP; plugged in again it is another one under the same name: RESETS in `devices` tells.
 *
 * An endpoint's file is read and written: a command is one transfer, of at most USB_COPY_MAX bytes, which ends early when the
 * device sends less than a whole packet. Without copying go transfers from and to memory of USB_MEMORY. Each endpoint
 * carries out what it is given in order; commands that are cancelled or past their deadline end with what was done.
 *
 * Errors: E_NOT_SUPPORTED: the device refused (a stall): an endpoint other than 0 then stands still and answers the same until
 * USB_CLEAR_HALT. E_IO: it did not answer, or wrongly; likewise. E_TIMED_OUT: a request to endpoint 0 took more than 5 s.
 */
#pragma once

#include <stdint.h>

#include "abi/ops.h"

enum usb_op {
    USB_DESCRIBE = OP_PROTOCOL, /* out: struct usb_description */
    USB_CONTROL, /* args: USB_SETUP(...); in or out: the data stage; value: how many bytes. To the interface or one of its
                      * endpoints, to ask the device for a descriptor, and, if it is of its maker's own kind (USB_TYPE_VENDOR), to
                      * one with no other interface, or whose maker says in it which one it is for; E_PERMISSION else */
    USB_ALTERNATE, /* args: which alternate setting the interface has from now on, how many streams are wanted; value: how many each of its
                    * endpoints that knows streams has, which then carries out transfers of streams 1 to that only */
    USB_MEMORY, /* args: length, USB_MEMORY_LENT or 0; value: its number; handle: memory that the controller reaches. send:
                    * memory that was lent to a driver before: it, whatever the length, is reached again */
    USB_MEMORY_FREE, /* args: number. E_BUSY: a transfer uses it */
    USB_TRANSFER, /* of an endpoint; args: number of the memory, offset, length; value: how many bytes. A device that sends more
                   * than length is at fault (E_IO); the memory behind stays as it is */
    USB_CLEAR_HALT, /* of an endpoint. One that does not stand still stays as it is, and goes on with what it has */
    USB_RESET, /* of the interface: the device's port is reset. The device answers E_CLOSED soon; it comes back as another one under
                     * the same name, and nobody sees it gone in between */
    USB_TRANSFERS, /* of the interface; args: USB_TOGETHER or 0; in: struct usb_transfer, up to USB_TRANSFERS_MAX; out: int64_t for each. They are
                    * carried out one after the other, each as USB_TRANSFER would be, until one fails or brings less than it has room for. value: how many
                    * were; out: of each the bytes, or (of the last) -E_*. E_NOT_FOUND: no such endpoint, stream or memory */
};

struct usb_transfer {
    uint64_t memory, offset, length;
    uint32_t endpoint; /* its address */
    uint32_t stream;   /* of an endpoint that has some; else 0 */
};

/* All are begun at once, in this order. What is under way when the first has ended, or any has failed, is stopped: its count is what it had
 * done by then. value: all of them. */
#define USB_TOGETHER 1u

#define USB_TRANSFERS_MAX 4u

#define USB_COPY_MAX 4096u

/* Memory that the driver shares with its clients: it outlives the claim with them, and its handle has RIGHT_CONTROL, for the next driver
 * to show. */
#define USB_MEMORY_LENT 1u

/* A request as it stands in a setup packet (USB 2.0 9.3). */
#define USB_SETUP(type, request, value, index, length)                       \
    ((uint64_t)(uint8_t)(type) | (uint64_t)(uint8_t)(request) << 8 |         \
     (uint64_t)(uint16_t)(value) << 16 | (uint64_t)(uint16_t)(index) << 32 | \
     (uint64_t)(uint16_t)(length) << 48)

#define USB_TYPE_IN        0x80u
#define USB_TYPE_CLASS     0x20u
#define USB_TYPE_VENDOR    0x40u
#define USB_TYPE_DEVICE    0x00u
#define USB_TYPE_INTERFACE 0x01u
#define USB_TYPE_ENDPOINT  0x02u
#define USB_TYPE_OTHER     0x03u

enum usb_request {
    USB_GET_STATUS = 0,
    USB_CLEAR_FEATURE = 1,
    USB_SET_FEATURE = 3,
    USB_GET_DESCRIPTOR = 6,
    USB_SET_CONFIGURATION = 9,
    USB_SET_INTERFACE = 11,
    USB_SET_HUB_DEPTH = 12,
};

/* As xHCI numbers them. */
enum usb_speed { USB_FULL = 1, USB_LOW = 2, USB_HIGH = 3, USB_SUPER = 4, USB_SUPER_PLUS = 5 };

#define USB_ENDPOINT_IN 0x80u

#define USB_FEATURE_HALT 0u /* of an endpoint: for USB_CLEAR_FEATURE */

enum usb_endpoint_type { USB_CONTROL_PIPE, USB_ISOCHRONOUS, USB_BULK, USB_INTERRUPT };

#define USB_ENDPOINTS 30u /* of a device, besides endpoint 0 */
#define USB_NAME_SIZE 64u

struct usb_description {
    char name[32]; /* "1-2.3" */
    uint16_t vendor, product, release, version;
    uint8_t speed;                          /* enum usb_speed */
    uint8_t class_code, subclass, protocol; /* of the interface, as all below */
    uint8_t interface, alternate, alternates, endpoint_count;
    uint32_t reserved;
    struct {
        uint8_t address, type, interval, burst; /* interval: 125 us times 2 to the power of it */
        uint16_t packet, streams;
    } endpoints[USB_ENDPOINTS];
    char manufacturer[USB_NAME_SIZE], product_name[USB_NAME_SIZE], serial[USB_NAME_SIZE];
};
