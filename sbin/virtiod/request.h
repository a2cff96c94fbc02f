/* Requests of a virtio-blk device (Virtual I/O Device 1.2, 5.2.6): lib/disk's, as the device wants them.
 *
 *     requests_init(&requests, &device.pci)          memory for as many as can be under way
 *     requests_start(&requests, &queue.ring, request)      E_AGAIN: no room
 *     requests_forget(&requests)                           the device has forgotten them all
 *     requests_end(&requests, taken)                       of what virtqueue_take took: done, with the device's word for it
 */
#pragma once

#include "lib/disk/driver.h"
#include "lib/virtio/virtqueue.h"

#define REQUESTS 64u

#define VIRTIO_BLK_T_IN           0u
#define VIRTIO_BLK_T_OUT          1u
#define VIRTIO_BLK_T_FLUSH        4u
#define VIRTIO_BLK_T_GET_ID       8u
#define VIRTIO_BLK_T_DISCARD      11u
#define VIRTIO_BLK_T_WRITE_ZEROES 13u

#define VIRTIO_BLK_ID_BYTES 20u

/* What the device reads and writes beside the data. */
struct request_header {
    uint32_t type, reserved;
    uint64_t sector; /* of 512 bytes, whatever a block is */
    struct {
        uint64_t sector;
        uint32_t count, flags;
    } range; /* DISCARD, WRITE_ZEROES */
    char id[VIRTIO_BLK_ID_BYTES];
    uint8_t status, padding[11];
};

struct requests {
    struct pci_dma memory; /* request_header of each */
    struct disk_request *under_way[REQUESTS];
    uint32_t free[REQUESTS], free_count;
    uint32_t shift; /* sectors of the disk << shift: of the device */
};

MUST_CHECK int64_t requests_init(struct requests *requests, const struct pci_device *pci);

MUST_CHECK int64_t requests_start(struct requests *requests, struct virtqueue *ring,
                                  struct disk_request *request);
void requests_end(struct requests *requests, void *taken);
void requests_forget(struct requests *requests);

/* Asks for the device's serial number, as the only request there is: what is taken next is its answer. */
MUST_CHECK int64_t requests_ask_id(struct requests *requests, struct virtqueue *ring);
/* Which this is; false: the device has none. */
bool requests_id(struct requests *requests, char id[VIRTIO_BLK_ID_BYTES + 1]);
