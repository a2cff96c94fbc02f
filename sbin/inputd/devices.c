#include "sbin/inputd/devices.h"

#include <stdlib.h>
#include <string.h>

#include "lib/sys/keep.h"

#define KEY_DEVICES 2
#define FIRST_SLOTS 16u

static struct list devices = LIST_INIT(devices);
static struct device_kept *kept;
static size_t slots;
static handle_t kept_port;

bool devices_init(handle_t port)
{
    kept_port = port;
    slots = FIRST_SLOTS;
    kept = keep_memory(port, KEY_DEVICES, slots * sizeof(*kept));
    for (size_t i = 0; kept && i < slots; i++)
        kept[i].name[LIFE_NAME_SIZE - 1] = '\0';
    return kept != NULL;
}

static bool slots_grow(void)
{
    struct device_kept *more = keep_memory(kept_port, KEY_DEVICES, 2 * slots * sizeof(*kept));
    if (!more)
        return false;
    keep_release(kept, slots * sizeof(*kept));
    kept = more;
    slots *= 2;
    return true;
}

/* The slot of this name: the one it had, a free one, or that of a device which is not there any more. */
static bool slot_find(const char *name, size_t *slot)
{
    for (size_t pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < slots; i++)
            if (strcmp(kept[i].name, pass ? "" : name) == 0) {
                *slot = i;
                return true;
            }
    for (size_t i = 0; i < slots; i++) {
        bool used = false;
        list_for_each (struct device, device, &devices, link)
            used |= device->slot == i;
        if (!used) {
            *slot = i;
            return true;
        }
    }
    *slot = slots;
    return slots_grow();
}

int64_t device_open(const char *path, size_t length, struct device **result)
{
    char name[LIFE_NAME_SIZE];
    uint64_t life;
    size_t slot;
    if (!life_read(path, length, name, &life))
        return -E_INVALID;
    list_for_each (struct device, device, &devices, link) {
        if (strcmp(device->name, name) == 0 && device->life == life) {
            device->files++;
            *result = device;
            return 0;
        }
    }
    struct device *device = calloc(1, sizeof(*device));
    if (!device || !slot_find(name, &slot)) {
        free(device);
        return -E_NO_MEMORY;
    }
    if (strcmp(kept[slot].name, name) != 0 || kept[slot].life != life) {
        kept[slot] = (struct device_kept){.life = life};
        memcpy(kept[slot].name, name, sizeof(name));
    }
    memcpy(device->name, name, sizeof(name));
    device->life = life;
    device->slot = slot;
    device->files = 1;
    list_append(&devices, &device->link);
    *result = device;
    return 0;
}

bool device_close(struct device *device)
{
    if (--device->files)
        return false;
    list_remove(&device->link);
    free(device);
    return true;
}

bool device_take(struct device *device, uint64_t number)
{
    if (number < kept[device->slot].next)
        return false;
    kept[device->slot].next = number + 1;
    return true;
}

bool device_key(struct device *device, uint16_t code, bool down)
{
    uint8_t bit = (uint8_t)(1u << code % 8);
    if (!(device->down[code / 8] & bit) == !down)
        return false;
    device->down[code / 8] ^= bit;
    return true;
}

void devices_down(uint8_t down[INPUT_KEYS / 8])
{
    memset(down, 0, INPUT_KEYS / 8);
    list_for_each (struct device, device, &devices, link)
        for (size_t i = 0; i < INPUT_KEYS / 8; i++)
            down[i] |= device->down[i];
}
