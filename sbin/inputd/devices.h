/* The devices that drivers opened: which of their events were seen, and which of their keys are down.
 *
 * How far a driver's events were taken lies in memory kept with input://, so an inputd that comes back takes none twice. What is
 * held down does not: a key that is let go of while nobody listens is up all the same.
 */
#pragma once

#include "abi/input.h"
#include "lib/base/list.h"
#include "lib/sys/life.h"
#include "lib/sys/service.h"

struct device_kept {
    char name[LIFE_NAME_SIZE]; /* "": free */
    uint64_t life;             /* of the driver: the id in the URI */
    uint64_t next;             /* number of the event that is wanted next */
};

struct device {
    struct list link;
    char name[LIFE_NAME_SIZE];
    uint64_t life;
    size_t slot; /* in the kept array */
    uint32_t files;
    uint8_t down[INPUT_KEYS / 8];
};

/* False: no memory. What is kept is looked at, not believed. */
MUST_CHECK bool devices_init(handle_t port);

/* A driver opens "<name>/<life in hexadecimal>": E_INVALID, E_NO_MEMORY. */
MUST_CHECK int64_t device_open(const char *path, size_t length, struct device **device);
/* True: it was the last file; the keys are up, and the device is gone. */
MUST_CHECK bool device_close(struct device *device);

/* The event with this number comes: false if it was here before. */
MUST_CHECK bool device_take(struct device *device, uint64_t number);

/* A key's new state; false: it had it already. */
MUST_CHECK bool device_key(struct device *device, uint16_t code, bool down);

/* The keys that any device holds down. */
void devices_down(uint8_t down[INPUT_KEYS / 8]);
