/* virtiorngd: a virtio-rng device (Virtual I/O Device 1.2, 5.4) as a source of rng://.
 *
 *     rngd wants bytes: SIGNAL_WRITABLE --> a buffer for the device --its interrupt--> OP_WRITE to rng:///source/<function>
 *
 * Started with the function's URI. It waits for rngd and for its device, for as long as they like, and nobody waits for it.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/sys/error.h"
#include "lib/sys/file.h"
#include "lib/sys/wait.h"
#include "lib/virtio/device.h"

#define BYTES      64u /* each time: what the pool of rngd holds */
#define QUEUE_SIZE 1u

struct rng {
    struct virtio_device device;
    struct virtio_queue queue;
    struct pci_dma memory;
};

static int64_t rng_start(struct rng *rng, const char *function)
{
    int64_t result = virtio_open(&rng->device, function, VIRTIO_RNG);
    if (result >= 0)
        result = virtio_negotiate(&rng->device, 0);
    if (result >= 0)
        result = virtio_interrupts(&rng->device, 1);
    if (result >= 0)
        result = virtio_queue_open(&rng->device, 0, QUEUE_SIZE, 0, &rng->queue);
    if (result >= 0)
        result = pci_dma_alloc(&rng->device.pci, BYTES, MEMORY_CONTIGUOUS, &rng->memory);
    return result < 0 ? result : virtio_start(&rng->device);
}

/* Bytes of the device's: how many, at least one. E_IO: it makes no sense. */
static int64_t rng_read(struct rng *rng, uint8_t bytes[BYTES])
{
    struct virtqueue_buffer buffer = {pci_dma_address(&rng->memory, 0), BYTES};
    void *request;
    uint32_t count = 0;
    int64_t result = virtqueue_add(&rng->queue.ring, &buffer, 0, 1, rng);
    if (result < 0)
        return result;
    virtio_queue_send(&rng->queue);
    while (!virtqueue_take(&rng->queue.ring, &request, &count)) {
        struct abi_wait wait = {.handle = rng->device.irqs[0], .signals = SIGNAL_READABLE};
        if (rng->queue.ring.broken)
            return -E_IO;
        result = sys_wait_many(&wait, 1, DEADLINE_NEVER);
        if (result < 0 && result != -E_INTERRUPTED)
            return result;
        virtio_interrupt_ack(&rng->device, 0);
    }
    memcpy(bytes, rng->memory.bytes, count);
    memset(rng->memory.bytes, 0, BYTES);
    return count ? (int64_t)count : -E_IO;
}

static void wait_a_second(void)
{
    nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
}

/* rng:// may be down for longer than callers are held: asked again each second. */
static handle_t source_open(const char *name)
{
    char uri[64];
    handle_t file;
    snprintf(uri, sizeof(uri), "rng:///source/%s", name);
    while (file_open(HANDLE_SELF, uri, OPEN_WRITE, &file) < 0)
        wait_a_second();
    return file;
}

/* Returns when the device fails. */
static int64_t serve(struct rng *rng, const char *name)
{
    uint8_t bytes[BYTES];
    handle_t source = source_open(name);
    for (;;) {
        int64_t result = handle_wait(source, SIGNAL_WRITABLE, DEADLINE_NEVER);
        if (result < 0)
            return result;
        int64_t count = rng_read(rng, bytes);
        if (count < 0)
            return count;
        if (file_write(source, 0, bytes, (size_t)count) < 0) {
            handle_drop(source);
            wait_a_second();
            source = source_open(name);
        }
    }
}

int main(int argc, char **argv)
{
    static struct rng rng;
    const char *name = argc == 2 ? strrchr(argv[1], '/') : NULL;
    if (!name) {
        fprintf(stderr, "usage: virtiorngd pci:///FUNCTION\n");
        return 2;
    }
    int64_t result = rng_start(&rng, argv[1]);
    if (result >= 0)
        result = serve(&rng, name + 1);
    fprintf(stderr, "%s: %s\n", argv[1], error_text(result));
    return 1;
}
