/* A virtio-gpu, as far as it shows pixels of memory (Virtual I/O Device 1.2, 5.7).
 *
 *     gpu_start(&gpu, claim, function, kept)        reset and made ready; says which outputs it has, and how large they are
 *     gpu_pixels(&gpu, width, height, &memory)      memory that it can show
 *     gpu_show(&gpu, output, width, height, memory) a resource of that memory, on the output
 *     gpu_damage(&gpu, output, &rectangle)          was drawn: copied to the resource, and shown; never waits
 *     gpu_interrupt(&gpu)                           when gpu.device.irqs[0] fired
 *
 * The device shows a copy of its own. Of what is damaged while the last copy is under way only the rectangle around all of it is
 * remembered, so however fast somebody draws, an output has one copy under way. At the start the device is asked and waited for, up to a
 * deadline; afterwards it never is.
 */
#pragma once

#include "lib/virtio/device.h"

#define GPU_OUTPUTS 16u /* 5.7.4: no device has more */

/* Rectangles with left == right are empty. */
struct gpu_rectangle {
    uint32_t left, top, right, bottom;
};

/* What outlives fbd with the claim: DMA memory for the device's requests. */
struct gpu_kept {
    uint64_t memories[2]; /* number + 1 */
};

struct gpu_output {
    uint32_t width, height; /* 0: off */
    struct gpu_rectangle damage;
    uint32_t under_way; /* requests */
};

struct gpu {
    struct virtio_device device;
    struct virtio_queue queue;
    struct pci_dma memory; /* struct gpu_memory */
    struct gpu_output outputs[GPU_OUTPUTS];
    bool complained;
};

/* claim: of a driver before us, which becomes the gpu's; HANDLE_NONE: to be claimed. */
MUST_CHECK int64_t gpu_start(struct gpu *gpu, handle_t claim, const char *function,
                             struct gpu_kept *kept);
MUST_CHECK int64_t gpu_pixels(struct gpu *gpu, uint32_t width, uint32_t height, handle_t *memory);
MUST_CHECK int64_t gpu_show(struct gpu *gpu, uint32_t output, uint32_t width, uint32_t height,
                            handle_t memory);
void gpu_damage(struct gpu *gpu, uint32_t output, const struct gpu_rectangle *rectangle);
/* False: the device makes no sense any more. */
MUST_CHECK bool gpu_interrupt(struct gpu *gpu);
