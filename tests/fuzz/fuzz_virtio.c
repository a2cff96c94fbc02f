// sources: lib/virtio/capabilities.c
/* Configuration spaces of devices that lie: what is found lies in a BAR of memory, whole. The input is the space, then the BARs. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/virtio/capabilities.h"

#define SPACE 256u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    struct pci_description description = {0};
    struct virtio_capabilities found;
    uint8_t *space = calloc(1, SPACE);

    memcpy(space, data, MIN(length, (size_t)SPACE));
    for (size_t i = 0; i < PCI_BARS && SPACE + 2 * i + 1 < length; i++) {
        description.bars[i].length = (uint64_t)data[SPACE + 2 * i]
                                     << (data[SPACE + 2 * i + 1] & 31);
        description.bars[i].flags = data[SPACE + 2 * i + 1] >> 7;
    }
    if (virtio_capabilities_find(space, &description, &found)) {
        for (unsigned i = 0; i < VIRTIO_STRUCTURES; i++) {
            const struct virtio_place *place = &found.places[i];

            if (!place->length)
                continue;
            if (place->bar >= PCI_BARS || description.bars[place->bar].flags & PCI_BAR_PORTS ||
                (uint64_t)place->offset + place->length > description.bars[place->bar].length)
                abort();
        }
        if (!found.places[VIRTIO_COMMON].length || found.places[VIRTIO_COMMON].offset % 4)
            abort();
    }
    free(space);
    return 0;
}
