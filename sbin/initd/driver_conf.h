/* /etc/drivers, which service drives what, and the lists of devices it is held against.
 *
 *     pci 1af4:1044 virtio-rngd       a process of that service for each device on pci:// with these ids
 *     pci 0108* nvmed                 ... of that class
 *
 * A bus lists its devices in <bus>:///devices, a line each: NAME CLASS VENDOR:DEVICE RESETS and whatever it likes. RESETS changes
 * when the bus has taken the device from its driver, which is to begin anew. A rule's pattern (fnmatch) fits the class or the
 * ids; the first rule that fits counts.
 *
 * Strings lie in the text that was read, which is cut into words.
 */
#pragma once

#include "abi/bus.h"
#include "lib/sys/conf.h"

struct driver_rule {
    const char *bus, *pattern, *service;
};

struct bus_device {
    const char *name; /* 1 to BUS_NAME_MAX letters, digits, '.', ':', '-', '_' */
    const char *class_code, *ids;
    uint64_t resets;
};

/* 1: a rule; 0: the end; -E_BAD_FORMAT: a line that is wrong (reader->problem), the rest can still be read. */
MUST_CHECK int driver_rule_next(struct conf_reader *reader, struct driver_rule *rule);

/* The next device of a list, of which *text is what is left (terminated); lines that are no such are passed over. */
bool bus_device_next(char **text, struct bus_device *device);

bool driver_rule_fits(const struct driver_rule *rule, const char *bus,
                      const struct bus_device *device);
