/* The disk under the volume: any file that is read and written at offsets (abi/disk.h, or a plain one). */
#pragma once

#include "lib/sys/syscall.h"

struct device {
    handle_t file;
    uint64_t size;   /* bytes */
    uint32_t sector; /* bytes: offsets and lengths are multiples */
    /* What the device reads into by itself, DEVICE_MEMORY bytes; HANDLE_NONE: it cannot. */
    handle_t memory;
    uint8_t *bytes;
};

#define DEVICE_MEMORY (UINT64_C(1) << 20)

/* file: the device's from now on, if this succeeds. What its service says. */
MUST_CHECK int64_t device_open(handle_t file, struct device *device);
void device_close(struct device *device);
/* All of it, or E_IO. No byte is copied if they are to lie in device->bytes. */
MUST_CHECK int64_t device_read(const struct device *device, uint64_t offset, void *bytes,
                               size_t length);
MUST_CHECK int64_t device_write(const struct device *device, uint64_t offset, const void *bytes,
                                size_t length);
/* What was written is on the platter. */
MUST_CHECK int64_t device_flush(const struct device *device);
