/* What a driver of disks has around it, for tests of drivers as a whole: pcid, the kernel's calls, and lib/disk. The device is the
 * test's (register_raw_read, register_raw_write); to it, addresses are pointers of the host.
 *
 *     nvmed_serve("pci:///00:12.0")            as far as disk_host_run, which returns at once
 *     request = fake_request(disk, DISK_READ, sector, count)
 *     fake_start(request)                      start and send, as lib/disk does it
 *     fake_interrupt(key)                      what is bound with this key has fired
 *     fake_now, fake_timer                     time goes on when somebody waits; when the driver's timer is due
 *
 * What goes wrong between driver and lib/disk ends the program: a request that is done twice, or was never started.
 */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/disk/driver.h"

enum fake_call {
#define SYSCALL0(number, name, ...) CALL_##name = (number),
#define SYSCALL1                    SYSCALL0
#define SYSCALL2                    SYSCALL0
#define SYSCALL3                    SYSCALL0
#define SYSCALL4                    SYSCALL0
#define SYSCALL5                    SYSCALL0
#define REGISTERS                   SYSCALL0
#include "abi/syscalls.def"
#undef SYSCALL0
#undef SYSCALL1
#undef SYSCALL2
#undef SYSCALL3
#undef SYSCALL4
#undef SYSCALL5
#undef REGISTERS
};

#define FAKE_DISKS    64u
#define FAKE_SEGMENTS 8u
#define FAKE_DMA      256u

static inline void fake_require(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "%s\n", what);
    abort();
}

/* --- Time and calls ------------------------------------------------------------------------------------------------- */

static int64_t fake_now, fake_timer;
static unsigned fake_acks, fake_not_mine;

static bool (*fake_fired)(
    void); /* whether the interrupt that is waited for has; NULL: it never has */

static inline int64_t fake_wait(uint64_t count, int64_t deadline)
{
    if (count && fake_fired && fake_fired())
        return 1;
    fake_require(deadline != DEADLINE_NEVER, "it waits for ever");
    fake_now = MAX(fake_now, deadline) + 1;
    return -E_TIMED_OUT;
}

int64_t syscall_raw(uint32_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
                    uint64_t f)
{
    (void)a, (void)d, (void)e, (void)f;
    switch (number) {
    case CALL_clock_get:
        return fake_now;
    case CALL_wait_many:
        return fake_wait(b, (int64_t)c);
    case CALL_irq_ack:
        fake_acks++;
        fake_not_mine += b == IRQ_NOT_MINE;
        return 0;
    case CALL_timer_create:
        return 1;
    case CALL_timer_set:
        fake_timer = (int64_t)b;
        return 0;
    case CALL_system_info:
        *(struct abi_system_info *)(uintptr_t)a = (struct abi_system_info){.cpus = 2};
        return 0;
    default:
        return 0;
    }
}

const char *error_text(int64_t code)
{
    (void)code;
    return "an error";
}

/* --- pcid ------------------------------------------------------------------------------------------------------------ */

static struct pci_description fake_description; /* the test's */
static uint8_t *fake_bar;                       /* ... which its registers are told by */
static bool fake_master;
static uintptr_t fake_dma_origin; /* to the device DMA memory lies from here on */
static void *fake_dma[FAKE_DMA];
static unsigned fake_dma_count;

int64_t pci_claim(struct pci_device *device, const char *function)
{
    (void)function;
    *device = (struct pci_device){.description = fake_description};
    return 0;
}

int64_t pci_map(const struct pci_device *device, uint32_t bar, uint64_t offset, uint64_t length,
                uint32_t cache, volatile void **at)
{
    (void)device, (void)cache;
    fake_require(offset + length <= fake_description.bars[bar].length, "it maps what is not there");
    *at = fake_bar + offset;
    return 0;
}

int64_t pci_interrupt(const struct pci_device *device, uint32_t kind, uint32_t index, handle_t *irq)
{
    (void)device, (void)kind;
    *irq = (handle_t)index + 1;
    return 0;
}

int64_t pci_enable(const struct pci_device *device, uint32_t what)
{
    (void)device;
    fake_master = what & PCI_COMMAND_MASTER;
    return 0;
}

/* No two pages are neighbours to the device: each is a piece by itself, whose end a sanitizer watches. */
int64_t pci_dma_alloc(const struct pci_device *device, uint64_t length, uint32_t flags,
                      struct pci_dma *dma)
{
    (void)device, (void)flags;
    *dma = (struct pci_dma){.length = ALIGN_UP(length, (uint64_t)PAGE_SIZE)};
    dma->bytes = aligned_alloc(PAGE_SIZE, dma->length);
    dma->pages = calloc(dma->length / PAGE_SIZE, sizeof(*dma->pages));
    memset(dma->bytes, 0, dma->length);
    for (uint64_t i = 0; i < dma->length / PAGE_SIZE; i++)
        dma->pages[i] = (uintptr_t)dma->bytes + i * PAGE_SIZE - fake_dma_origin;
    fake_require(fake_dma_count + 2 <= FAKE_DMA, "more DMA memory than there is");
    fake_dma[fake_dma_count++] = dma->bytes;
    fake_dma[fake_dma_count++] = dma->pages;
    return 0;
}

/* --- lib/disk ---------------------------------------------------------------------------------------------------------- */

struct fake_request {
    struct list link; /* of all that were made */
    struct disk_request request;
    struct disk_segment segments[FAKE_SEGMENTS];
    bool started;
    unsigned done; /* how often it was answered */
    int64_t status;
    uint8_t *bytes;
};

static struct list fake_requests;
static const struct disk_driver *fake_driver;
static void *fake_context;
static struct disk *fake_disks[FAKE_DISKS];
static unsigned fake_disk_count, fake_changes;
static bool fake_resetting;

static inline void fake_driver_start(void)
{
    list_init(&fake_requests);
    fake_now = 1;
    fake_timer = 0;
    fake_disk_count = fake_changes = fake_acks = fake_not_mine = 0;
}

static inline void fake_driver_end(void)
{
    list_for_each (struct fake_request, request, &fake_requests, link) {
        free(request->bytes);
        free(request);
    }
    while (fake_dma_count)
        free(fake_dma[--fake_dma_count]);
}

int64_t disk_host_open(struct disk_host *host, const char *function, const struct pci_device *pci,
                       const struct disk_driver *driver, void *context)
{
    (void)function;
    *host = (struct disk_host){.port = 1, .driver = driver, .context = context, .pci = pci};
    fake_driver = driver;
    fake_context = context;
    return 0;
}

int64_t disk_host_run(struct disk_host *host)
{
    (void)host;
    return 0;
}

uint32_t disk_ordinal(const char *function,
                      bool (*fits)(uint32_t class_code, uint16_t vendor, uint16_t device))
{
    (void)function;
    fake_require(
        fits(fake_description.class_code, fake_description.vendor, fake_description.device),
        "the driver is not for this device");
    return 0;
}

int64_t disk_add(struct disk_host *host, struct disk *disk)
{
    if (fake_disk_count == FAKE_DISKS)
        return -E_NO_MEMORY;
    fake_require(disk->geometry.size && disk->segments && disk->bytes, "a disk without a size");
    disk->host = host;
    fake_disks[fake_disk_count++] = disk;
    return 0;
}

void disk_changed(struct disk *disk)
{
    (void)disk;
    fake_changes++;
}

static inline void fake_answer(struct fake_request *request, int64_t status)
{
    fake_require(request->started, "a request is done that was not started");
    request->started = false;
    request->done++;
    request->status = status;
}

void disk_done(struct disk_request *request, int64_t status)
{
    fake_answer(container_of(request, struct fake_request, request), status);
}

static inline void fake_answer_all(struct disk *disk, int64_t status)
{
    list_for_each (struct fake_request, request, &fake_requests, link)
        if (request->started && request->request.disk == disk)
            fake_answer(request, status);
}

void disk_lost(struct disk *disk)
{
    fake_answer_all(disk, DISK_LOST);
}

void disk_remove(struct disk *disk)
{
    unsigned at = 0;

    fake_require(!fake_resetting, "a disk is removed while one is reset");
    fake_answer_all(disk, -E_NO_DEVICE);
    while (at < fake_disk_count && fake_disks[at] != disk)
        at++;
    fake_require(at < fake_disk_count, "a disk is removed that was not added");
    fake_disks[at] = fake_disks[--fake_disk_count];
    list_for_each (struct fake_request, request, &fake_requests, link)
        if (request->request.disk == disk)
            request->request.disk = NULL;
    if (fake_driver->released)
        fake_driver->released(disk);
}

/* Its memory is one piece, cut by pages. */
static inline struct fake_request *fake_request(struct disk *disk, uint32_t op, uint64_t sector,
                                                uint32_t count)
{
    struct fake_request *made = calloc(1, sizeof(*made));
    uint64_t length = (uint64_t)count * disk->geometry.sector, at = 0;

    list_append(&fake_requests, &made->link);
    made->request = (struct disk_request){
        .op = op, .sector = sector, .count = count, .disk = disk, .segments = made->segments};
    if (op != DISK_READ && op != DISK_WRITE)
        return made;
    made->bytes = aligned_alloc(PAGE_SIZE, ALIGN_UP(MAX(length, 1u), (uint64_t)PAGE_SIZE));
    while (at < length) {
        uint64_t part = MIN(length - at, (uint64_t)PAGE_SIZE);

        fake_require(made->request.segment_count < FAKE_SEGMENTS, "too long for a test");
        made->segments[made->request.segment_count++] =
            (struct disk_segment){(uintptr_t)made->bytes + at, (uint32_t)part};
        at += part;
    }
    return made;
}

static inline int64_t fake_start(struct fake_request *request)
{
    struct disk *disk = request->request.disk;

    if (!disk)
        return -E_NO_DEVICE;
    request->started = true;
    int64_t result = fake_driver->start(disk, &request->request);
    if (result < 0)
        request->started = false;
    else if (request->request.disk)
        fake_driver->send(disk);
    return result;
}

/* On the first disk: started, and what came of it once `settle` has let the device work. */
static inline struct fake_request *fake_started(uint32_t op, uint64_t sector, uint32_t count)
{
    struct fake_request *request = fake_request(fake_disks[0], op, sector, count);

    fake_require(fake_start(request) == 0, "a request that is not started");
    return request;
}

static inline int64_t fake_carried_out(void (*settle)(void), uint32_t op, uint64_t sector,
                                       uint32_t count)
{
    struct fake_request *request = fake_started(op, sector, count);

    settle();
    fake_require(request->done == 1, "a request that is not done once");
    return request->status;
}

/* A request was not done in time. What it does not bring back is removed. */
static inline int64_t fake_reset(struct disk *disk)
{
    fake_resetting = true;
    int64_t result = fake_driver->reset(disk);
    fake_resetting = false;
    if (result < 0)
        disk_remove(disk);
    else
        fake_answer_all(disk, DISK_LOST);
    return result;
}

static inline void fake_interrupt(uint64_t key)
{
    fake_driver->notified(fake_context, key, SIGNAL_READABLE);
}
