/* See device.h. */
#include "sbin/fsd.fat32/device.h"

#include "abi/disk.h"
#include "lib/sys/file.h"
#include "lib/sys/map.h"

#define SECTOR 512u /* of a file that is no disk */

/* A disk that can reads into memory that we have, too. Others, and files that serve as disks, copy. */
static void memory_open(struct device *device)
{
    struct abi_command command = {.op = DISK_MEMORY, .args = {DEVICE_MEMORY}};
    int64_t result = file_command(device->file, &command);
    if (result < 0 || !command.receive_count)
        return;
    result = command.values[0] < DEVICE_MEMORY
                 ? -E_NO_MEMORY
                 : memory_map(command.receive[0], 0, DEVICE_MEMORY, PROT_READ_ | PROT_WRITE_);
    if (result < 0) {
        handle_drop(command.receive[0]);
        return;
    }
    device->memory = command.receive[0];
    device->bytes = (uint8_t *)result;
}

int64_t device_open(handle_t file, struct device *device)
{
    struct disk_geometry geometry;
    struct abi_stat stat;
    struct abi_command command = {
        .op = DISK_GEOMETRY, .out = (uintptr_t)&geometry, .out_length = sizeof(geometry)};
    int64_t result = file_command(file, &command);
    *device = (struct device){
        .file = file, .memory = HANDLE_NONE, .size = geometry.size, .sector = geometry.sector};
    if (result >= 0) {
        memory_open(device);
        return geometry.sector && geometry.sector <= PAGE_SIZE ? 0 : -E_BAD_FORMAT;
    }
    result = file_stat(file, &stat);
    if (result >= 0 && stat.type != FILE_REGULAR)
        result = -E_NOT_SUPPORTED;
    if (result < 0)
        return result;
    device->size = stat.size;
    device->sector = SECTOR;
    return 0;
}

void device_close(struct device *device)
{
    if (device->memory != HANDLE_NONE)
        sys_ignore(sys_space_unmap(HANDLE_SELF, (uintptr_t)device->bytes, DEVICE_MEMORY));
    handle_drop(device->memory);
    handle_drop(device->file);
    device->memory = device->file = HANDLE_NONE;
}

static int64_t read_memory(const struct device *device, uint64_t offset, uint64_t place,
                           size_t length)
{
    struct abi_command command = {.op = DISK_READ, .args = {offset, 0, place, length}};
    return file_command(device->file, &command) < 0 ? -E_IO : 0;
}

int64_t device_read(const struct device *device, uint64_t offset, void *bytes, size_t length)
{
    uint64_t place = (uintptr_t)bytes - (uintptr_t)device->bytes;
    if (device->memory != HANDLE_NONE && place < DEVICE_MEMORY)
        return read_memory(device, offset, place, length);
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
