#include "sbin/virtiod/request.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "sbin/virtiod/config.h"

#define UNMAP          1u
#define STATUS_OK      0u
#define STATUS_UNKNOWN 2u
#define STATUS_UNSET   0xffu

#define PIECES_MOST 128u

static struct request_header *header_at(const struct requests *requests, uint32_t slot)
{
    return (struct request_header *)(void *)requests->memory.bytes + slot;
}

void requests_forget(struct requests *requests)
{
    for (uint32_t i = 0; i < REQUESTS; i++) {
        requests->free[i] = i;
        requests->under_way[i] = NULL;
    }
    requests->free_count = REQUESTS;
}

int64_t requests_init(struct requests *requests, const struct pci_device *pci)
{
    requests_forget(requests);
    return pci_dma_alloc(pci, REQUESTS * sizeof(struct request_header), MEMORY_CONTIGUOUS,
                         &requests->memory);
}

static uint32_t type_of(const struct disk_request *request)
{
    switch (request->op) {
    case DISK_READ:
        return VIRTIO_BLK_T_IN;
    case DISK_WRITE:
        return VIRTIO_BLK_T_OUT;
    case DISK_DISCARD:
        return request->flags & DISK_ZERO ? VIRTIO_BLK_T_WRITE_ZEROES : VIRTIO_BLK_T_DISCARD;
    default:
        return VIRTIO_BLK_T_FLUSH;
    }
}

static struct virtqueue_buffer part(const struct requests *requests, uint32_t slot, size_t offset,
                                    uint32_t length)
{
    uint64_t at = slot * sizeof(struct request_header) + offset;
    return (struct virtqueue_buffer){pci_dma_address(&requests->memory, at), length};
}

/* Header, data, status. What virtqueue_take gives back is the slot's place in under_way. */
static int64_t send(struct requests *requests, struct virtqueue *ring, uint32_t slot,
                    const struct virtqueue_buffer *data, uint16_t data_count, bool reads)
{
    struct virtqueue_buffer pieces[PIECES_MOST + 2];
    uint16_t count = 0;
    header_at(requests, slot)->status = STATUS_UNSET;
    pieces[count++] = part(requests, slot, 0, offsetof(struct request_header, range));
    memcpy(&pieces[count], data, data_count * sizeof(*data));
    count += data_count;
    pieces[count++] = part(requests, slot, offsetof(struct request_header, status), 1);
    uint16_t writable = 1 + (reads ? data_count : 0);
    return virtqueue_add(ring, pieces, count - writable, writable, &requests->under_way[slot]);
}

/* What the request's data are, for the device: its segments, or the range in its header. */
static uint16_t data_of(struct requests *requests, uint32_t slot,
                        const struct disk_request *request, struct virtqueue_buffer *data)
{
    struct request_header *header = header_at(requests, slot);
    if (request->op == DISK_DISCARD) {
        header->range.sector = header->sector;
        header->range.count = request->count << requests->shift;
        header->range.flags = request->flags & DISK_ZERO ? UNMAP : 0;
        header->sector = 0;
        data[0] =
            part(requests, slot, offsetof(struct request_header, range), sizeof(header->range));
        return 1;
    }
    for (uint32_t i = 0; i < request->segment_count; i++)
        data[i] =
            (struct virtqueue_buffer){request->segments[i].address, request->segments[i].length};
    return (uint16_t)request->segment_count;
}

int64_t requests_start(struct requests *requests, struct virtqueue *ring,
                       struct disk_request *request)
{
    struct virtqueue_buffer data[PIECES_MOST];
    if (!requests->free_count)
        return -E_AGAIN;
    uint32_t slot = requests->free[requests->free_count - 1];
    *header_at(requests, slot) = (struct request_header){
        .type = type_of(request), .sector = request->sector << requests->shift};
    uint16_t count = data_of(requests, slot, request, data);
    int64_t result = send(requests, ring, slot, data, count, request->op == DISK_READ);
    if (result < 0)
        return result;
    requests->free_count--;
    requests->under_way[slot] = request;
    return 0;
}

/* The device does not say why: what was read or written is where it failed. */
static int64_t cause(const struct disk_request *request, uint8_t status)
{
    if (status == STATUS_OK)
        return 0;
    fprintf(stderr, "%s: sector %" PRIu64 ", %u of them: the device failed (%02x)\n",
            request->disk->name, request->sector, request->count, status);
    if (status == STATUS_UNKNOWN)
        return -E_NOT_SUPPORTED;
    return request->op == DISK_READ || request->op == DISK_WRITE ? -E_MEDIUM : -E_IO;
}

void requests_end(struct requests *requests, void *taken)
{
    struct disk_request **place = taken, *request = *place;
    uint32_t slot = (uint32_t)(place - requests->under_way);
    uint8_t status = __atomic_load_n(&header_at(requests, slot)->status, __ATOMIC_RELAXED);
    requests->under_way[slot] = NULL;
    requests->free[requests->free_count++] = slot;
    disk_done(request, cause(request, status));
}

/* --- The serial number --- */

int64_t requests_ask_id(struct requests *requests, struct virtqueue *ring)
{
    struct virtqueue_buffer data =
        part(requests, 0, offsetof(struct request_header, id), VIRTIO_BLK_ID_BYTES);
    *header_at(requests, 0) = (struct request_header){.type = VIRTIO_BLK_T_GET_ID};
    return send(requests, ring, 0, &data, 1, true);
}

bool requests_id(struct requests *requests, char id[VIRTIO_BLK_ID_BYTES + 1])
{
    const struct request_header *header = header_at(requests, 0);
    snprintf(id, VIRTIO_BLK_ID_BYTES + 1, "%.*s", (int)VIRTIO_BLK_ID_BYTES, header->id);
    return header->status == STATUS_OK && id[0];
}
