/* See device.h. */
#include "sbin/fsd.fat32/device.h"

#include "abi/disk.h"
#include "lib/sys/file.h"

#define SECTOR 512u /* of a file that is no disk */

int64_t device_open(handle_t file, struct device *device)
{
    struct disk_geometry geometry;
    struct abi_stat stat;
    struct abi_command command = {
        .op = DISK_GEOMETRY, .out = (uintptr_t)&geometry, .out_length = sizeof(geometry)};
    int64_t result = file_command(file, &command);
    *device = (struct device){.file = file, .size = geometry.size, .sector = geometry.sector};
    if (result >= 0)
        return geometry.sector && geometry.sector <= PAGE_SIZE ? 0 : -E_BAD_FORMAT;
    result = file_stat(file, &stat);
    if (result >= 0 && stat.type != FILE_REGULAR)
        result = -E_NOT_SUPPORTED;
    if (result < 0)
        return result;
    device->size = stat.size;
    device->sector = SECTOR;
    return 0;
}

int64_t device_read(const struct device *device, uint64_t offset, void *bytes, size_t length)
{
    int64_t result = file_read(device->file, offset, bytes, length);
    return result == (int64_t)length ? 0 : -E_IO;
}

int64_t device_write(const struct device *device, uint64_t offset, const void *bytes, size_t length)
{
    int64_t result = file_write(device->file, offset, bytes, length);
    return result == (int64_t)length ? 0 : -E_IO;
}

int64_t device_flush(const struct device *device)
{
    struct abi_command command = {.op = OP_SYNC};
    return file_command(device->file, &command) < 0 ? -E_IO : 0;
}
