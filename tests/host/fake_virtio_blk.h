/* A virtio-blk device of before virtio 1.0 with a disk in memory, for tests of virtiod as a whole: registers behind I/O ports. It keeps the rules
 * of virtio 0.9.5, unless it is told otherwise, and ends the program where the driver does not.
 *
 *     fake_blk_plug(2)                   with two MSI-X vectors (0: with a line); then virtiod_serve(...)
 *     fake_blk.lose = 2                  the next two requests are never answered
 *     fake_blk_settle()                  interrupts reach the driver, until there is nothing more to happen
 */
#pragma once

#include <stddef.h>
#include <time.h>

#include "lib/sys/ports.h"
#include "lib/virtio/legacy.h"
#include "lib/virtio/virtqueue.h"
#include "sbin/virtiod/config.h"
#include "sbin/virtiod/driver.h"
#include "sbin/virtiod/request.h"
#include "tests/host/fake_driver.h"

#define FAKE_BASE       0xc000u
#define FAKE_LENGTH     0x80u
#define FAKE_QUEUE_SIZE 256u
#define FAKE_BLOCKS     4096u
#define FAKE_PIECES     64u

/* Page numbers have 32 bits, and a sanitizer's heap lies higher. Memory of requests' data does not: fake_dma_origin. */
#define FAKE_ORIGIN ((uintptr_t)0x600000000000)
#define FAKE_REACH  (UINT64_C(1) << 44)

struct fake_blk {
    uint32_t offered, taken, frame;
    uint16_t selected, size, vectors[2]; /* of the configuration, of the queue */
    uint8_t status, isr;
    struct virtio_blk_config config;
    uint16_t seen, used;
    uint8_t *medium;
    unsigned interrupts[2], resets, flushes, lose;
    bool never_ready, gone, unstable; /* unstable: its configuration changes all the time */
};

static struct fake_blk fake_blk;

static inline bool fake_blk_messages(void)
{
    return fake_description.msix_count != 0;
}

static inline void fake_blk_plug(uint16_t vectors)
{
    fake_driver_start();
    fake_dma_origin = FAKE_ORIGIN;
    fake_description = (struct pci_description){
        .vendor = 0x1af4,
        .device = 0x1001,
        .subsystem = 2,
        .msix_count = vectors,
        .bars[0] = {.base = FAKE_BASE, .length = FAKE_LENGTH, .flags = PCI_BAR_PORTS}};
    fake_blk = (struct fake_blk){.offered = (uint32_t)(VIRTIO_BLK_FLUSH | VIRTIO_BLK_SEG_MAX) |
                                            1u << 28 | 1u << 30,
                                 .size = FAKE_QUEUE_SIZE,
                                 .config = {.capacity = FAKE_BLOCKS, .seg_max = 126},
                                 .medium = calloc(FAKE_BLOCKS, VIRTIO_SECTOR)};
}

static inline void fake_blk_unplug(void)
{
    free(fake_blk.medium);
    fake_driver_end();
}

/* --- The queue ------------------------------------------------------------------------------------------------------ */

static inline void *fake_blk_host(uint64_t address)
{
    return (void *)(uintptr_t)(address < FAKE_REACH ? address + FAKE_ORIGIN : address);
}

static inline uint8_t *fake_blk_queue(void)
{
    fake_require(fake_blk.frame && fake_master, "the queue is nowhere");
    return fake_blk_host((uint64_t)fake_blk.frame * 4096);
}

static inline struct virtqueue_available *fake_blk_available(void)
{
    return (void *)(fake_blk_queue() + 16u * fake_blk.size);
}

/* 0.9.5, 2.3: on the page behind the available ring. */
static inline struct virtqueue_used *fake_blk_used(void)
{
    return (void *)(fake_blk_queue() +
                    (16u * fake_blk.size + 2u * (3u + fake_blk.size) + 4095u) / 4096u * 4096u);
}

static inline void fake_blk_interrupt(unsigned which)
{
    fake_blk.isr |= which ? 1 : 2;
    if (!fake_blk_messages())
        fake_blk.interrupts[0]++;
    else if (fake_blk.vectors[which] < 2)
        fake_blk.interrupts[fake_blk.vectors[which]]++;
}

static inline void fake_blk_answer(uint16_t head, uint32_t written)
{
    struct virtqueue_used *used = fake_blk_used();

    used->ring[fake_blk.used % fake_blk.size] = (struct virtqueue_completion){head, written};
    used->index = ++fake_blk.used;
    if (!(fake_blk_available()->flags & VIRTQUEUE_NO_INTERRUPT))
        fake_blk_interrupt(1);
}

static inline uint8_t fake_blk_transfer(const struct request_header *header,
                                        const struct virtqueue_descriptor *pieces, unsigned count)
{
    uint64_t at = header->sector * VIRTIO_SECTOR;

    for (unsigned i = 0; i < count; i++) {
        bool write = pieces[i].flags & VIRTQUEUE_WRITE;

        if (at + pieces[i].length > (uint64_t)FAKE_BLOCKS * VIRTIO_SECTOR)
            return 1;
        fake_require(write == (header->type == VIRTIO_BLK_T_IN), "data of the wrong direction");
        if (write)
            memcpy(fake_blk_host(pieces[i].address), fake_blk.medium + at, pieces[i].length);
        else
            memcpy(fake_blk.medium + at, fake_blk_host(pieces[i].address), pieces[i].length);
        at += pieces[i].length;
    }
    return 0;
}

/* Header and status are pieces of their own (2.6.4 of the older devices' framing). */
static inline uint8_t fake_blk_carry_out(const struct virtqueue_descriptor *pieces, unsigned count)
{
    const struct request_header *header = fake_blk_host(pieces[0].address);

    fake_require(count >= 2 && pieces[0].length == 16 && pieces[count - 1].length == 1,
                 "not framed as an old device wants it");
    switch (header->type) {
    case VIRTIO_BLK_T_IN:
    case VIRTIO_BLK_T_OUT:
        return fake_blk_transfer(header, pieces + 1, count - 2);
    case VIRTIO_BLK_T_FLUSH:
        fake_blk.flushes++;
        return 0;
    case VIRTIO_BLK_T_GET_ID:
        fake_require(count == 3 && pieces[1].length == VIRTIO_BLK_ID_BYTES,
                     "an ID of another size");
        memcpy(fake_blk_host(pieces[1].address), "a serial/1\0\0\0\0\0\0\0\0\0\0", 20);
        return 0;
    default:
        return 2;
    }
}

static inline void fake_blk_take(uint16_t head)
{
    const struct virtqueue_descriptor *table = (const void *)fake_blk_queue();
    struct virtqueue_descriptor pieces[FAKE_PIECES];
    unsigned count = 0;

    for (uint16_t at = head;; at = pieces[count - 1].next) {
        fake_require(at < fake_blk.size && count < FAKE_PIECES, "a chain that leads nowhere");
        pieces[count++] = table[at];
        if (!(table[at].flags & VIRTQUEUE_NEXT))
            break;
    }
    if (fake_blk.lose) {
        fake_blk.lose--;
        return;
    }
    uint8_t status = fake_blk_carry_out(pieces, count);
    *(uint8_t *)fake_blk_host(pieces[count - 1].address) = status;
    fake_blk_answer(head, 1);
}

static inline void fake_blk_work(void)
{
    fake_require(fake_blk.status & 4, "it is told of requests before it is started");
    while (!fake_blk.gone && fake_blk.seen != fake_blk_available()->index)
        fake_blk_take(fake_blk_available()->ring[fake_blk.seen++ % fake_blk.size]);
}

/* --- Registers -------------------------------------------------------------------------------------------------------- */

static inline void fake_blk_reset(void)
{
    fake_blk.resets++;
    fake_blk.status = fake_blk.never_ready ? 0x80 : 0;
    fake_blk.isr = 0;
    fake_blk.frame = fake_blk.taken = 0;
    fake_blk.seen = fake_blk.used = 0;
    fake_blk.vectors[0] = fake_blk.vectors[1] = 0xffff;
    memset(fake_blk.interrupts, 0, sizeof(fake_blk.interrupts));
}

static inline uint32_t fake_blk_config(uint32_t at, uint32_t width)
{
    uint32_t value = 0;

    if (at + width <= sizeof(fake_blk.config))
        memcpy(&value, (const uint8_t *)&fake_blk.config + at, width);
    fake_blk.config.capacity += fake_blk.unstable;
    return value;
}

static inline uint32_t fake_blk_at(uint16_t port, uint32_t width)
{
    uint32_t at = port - FAKE_BASE;

    fake_require(port >= FAKE_BASE && at + width <= FAKE_LENGTH && at % width == 0,
                 "a port that is not the device's");
    return at;
}

uint32_t port_read(uint16_t port, uint32_t width)
{
    uint32_t at = fake_blk_at(port, width), config = fake_blk_messages() ? 24 : 20;

    if (at >= config)
        return fake_blk_config(at - config, width);
    switch (at << 4 | width) {
    case 0 << 4 | 4:
        return fake_blk.offered;
    case 12 << 4 | 2:
        return fake_blk.selected == 0 ? fake_blk.size : 0;
    case 18 << 4 | 1:
        return fake_blk.status;
    case 19 << 4 | 1: {
        uint8_t isr = fake_blk.isr;
        fake_blk.isr = 0;
        return isr;
    }
    case 20 << 4 | 2:
        return fake_blk.vectors[0];
    case 22 << 4 | 2:
        return fake_blk.vectors[1];
    default:
        fake_require(false, "a register that is not read so");
        return 0;
    }
}

void port_write(uint16_t port, uint32_t width, uint32_t value)
{
    switch (fake_blk_at(port, width) << 4 | width) {
    case 4 << 4 | 4:
        fake_require((value & ~fake_blk.offered) == 0 && !(value & 1u << 30),
                     "features that are not offered");
        fake_blk.taken = value;
        break;
    case 8 << 4 | 4:
        fake_blk.frame = value;
        break;
    case 14 << 4 | 2:
        fake_blk.selected = (uint16_t)value;
        break;
    case 16 << 4 | 2:
        fake_require(value == 0, "a queue that there is not");
        fake_blk_work();
        break;
    case 18 << 4 | 1:
        fake_require((value & 0x78) == 0, "a status of later devices");
        if (value == 0)
            fake_blk_reset();
        else
            fake_blk.status |= (uint8_t)value;
        break;
    case 20 << 4 | 2:
    case 22 << 4 | 2:
        fake_require(fake_blk_messages(), "vectors without MSI-X");
        fake_blk.vectors[(port - FAKE_BASE - 20) / 2] = (uint16_t)value;
        break;
    default:
        fake_require(false, "a register that is not written so");
    }
}

static uint8_t fake_space[PCI_CONFIG_LEGACY]; /* its configuration space: no capabilities */

/* --- pcid, where only this device is -------------------------------------------------------------------------------------- */

int64_t pci_config_copy(const char *function, uint8_t *bytes)
{
    (void)function;
    memcpy(bytes, fake_space, PCI_CONFIG_LEGACY);
    return 0;
}

int64_t pci_ports(const struct pci_device *device, uint32_t bar)
{
    (void)device;
    return bar == 0 ? 0 : -E_NOT_SUPPORTED;
}

int64_t pci_attach(struct pci_device *device, handle_t claim)
{
    (void)claim;
    return pci_claim(device, "");
}

void pci_release(struct pci_device *device)
{
    (void)device;
}

void pci_dma_free(const struct pci_device *device, struct pci_dma *dma)
{
    (void)device, (void)dma; /* fake_driver_end does it */
}

int nanosleep(const struct timespec *wanted, struct timespec *left)
{
    (void)left;
    fake_now += wanted->tv_sec * INT64_C(1000000000) + wanted->tv_nsec;
    return 0;
}

static inline bool fake_blk_fired(void)
{
    bool fired = fake_blk.interrupts[0] || fake_blk.interrupts[1];

    memset(fake_blk.interrupts, 0, sizeof(fake_blk.interrupts));
    return fired;
}

static inline void fake_blk_settle(void)
{
    while (fake_blk.interrupts[0] || fake_blk.interrupts[1]) {
        unsigned config = fake_blk.interrupts[0], queue = fake_blk.interrupts[1];

        memset(fake_blk.interrupts, 0, sizeof(fake_blk.interrupts));
        if (config)
            fake_interrupt(VIRTIOD_KEY_CONFIG);
        if (queue)
            fake_interrupt(VIRTIOD_KEY_QUEUE);
    }
}
