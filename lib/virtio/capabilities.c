#include "lib/virtio/capabilities.h"

#include <string.h>

#define CONFIG_SIZE       256u
#define STATUS            0x06u
#define STATUS_LIST       0x10u
#define FIRST             0x34u
#define HEADER            0x40u /* capabilities lie behind it */
#define CAPABILITIES_MOST ((CONFIG_SIZE - HEADER) / 4)
#define VENDOR            0x09u

/* In a capability. */
#define NEXT            1u
#define LENGTH          2u
#define TYPE            3u
#define BAR             4u
#define OFFSET          8u
#define PLACE_LENGTH    12u
#define PLACE_SIZE      16u
#define MULTIPLIER      16u
#define MULTIPLIER_SIZE 4u

/* What a structure needs at least, and how its offset must be aligned (4.1.4.3.1 and on). */
static const struct {
    uint32_t length, alignment;
} needs[VIRTIO_STRUCTURES] = {[VIRTIO_COMMON] = {56, 4},
                              [VIRTIO_NOTIFY] = {2, 2},
                              [VIRTIO_ISR] = {1, 1},
                              [VIRTIO_CONFIG] = {1, 4}};

static uint32_t word(const uint8_t *config, uint32_t at)
{
    uint32_t value;
    memcpy(&value, config + at, sizeof(value));
    return value;
}

static bool place_is_good(const struct virtio_place *place, uint32_t type,
                          const struct pci_description *description)
{
    if (place->bar >= PCI_BARS || description->bars[place->bar].flags & PCI_BAR_PORTS)
        return false;
    uint64_t size = description->bars[place->bar].length;
    return place->length >= needs[type].length && place->offset % needs[type].alignment == 0 &&
           place->offset <= size && place->length <= size - place->offset;
}

/* One capability at `at`, whose first four bytes are within the space. */
static void take(const uint8_t *config, uint32_t at, const struct pci_description *description,
                 struct virtio_capabilities *found)
{
    uint32_t length = config[at + LENGTH], type = config[at + TYPE];
    uint32_t size = PLACE_SIZE + (type == VIRTIO_NOTIFY ? MULTIPLIER_SIZE : 0);
    if (config[at] != VENDOR || type == 0 || type >= VIRTIO_STRUCTURES || length < size ||
        size > CONFIG_SIZE - at || found->places[type].length)
        return;
    struct virtio_place place = {config[at + BAR], word(config, at + OFFSET),
                                 word(config, at + PLACE_LENGTH)};
    if (!place_is_good(&place, type, description))
        return;
    found->places[type] = place;
    if (type == VIRTIO_NOTIFY)
        found->notify_multiplier = word(config, at + MULTIPLIER);
}

bool virtio_capabilities_find(const uint8_t *config, const struct pci_description *description,
                              struct virtio_capabilities *found)
{
    *found = (struct virtio_capabilities){.notify_multiplier = 0};
    uint32_t at = config[STATUS] & STATUS_LIST ? config[FIRST] & ~3u : 0;
    for (uint32_t i = 0; i < CAPABILITIES_MOST && at >= HEADER; i++) {
        take(config, at, description, found);
        at = config[at + NEXT] & ~3u;
    }
    return found->places[VIRTIO_COMMON].length && found->places[VIRTIO_NOTIFY].length &&
           found->places[VIRTIO_ISR].length;
}
