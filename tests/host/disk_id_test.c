/* Names of disks by what they say of themselves, as udev makes them. */
// sources: sbin/diskd/id.c
#include "sbin/diskd/id.h"

#include "tests/host/test.h"

static char id[DISK_ID_MAX];

static const char *id_of(const char *bus, const char *model, const char *serial, uint32_t unit)
{
    struct disk_geometry geometry = {.unit = unit};

    strncpy(geometry.bus, bus, sizeof(geometry.bus));
    strncpy(geometry.model, model, sizeof(geometry.model));
    strncpy(geometry.serial, serial, sizeof(geometry.serial));
    memset(id, 'x', sizeof(id));
    disk_id(&geometry, id);
    return id;
}

TEST(as_linux_has_them)
{
    CHECK_STRING(id_of("virtio", "virtio", "disk0", 0), "virtio-disk0");
    CHECK_STRING(id_of("ata", "QEMU HARDDISK", "QM00001", 0), "ata-QEMU_HARDDISK_QM00001");
    CHECK_STRING(id_of("nvme", "QEMU NVMe Ctrl", "deadbeef", 1), "nvme-QEMU_NVMe_Ctrl_deadbeef");
    CHECK_STRING(id_of("nvme", "QEMU NVMe Ctrl", "deadbeef", 2), "nvme-QEMU_NVMe_Ctrl_deadbeef_2");
    CHECK_STRING(id_of("usb", "SanDisk Cruzer Blade", "4C530001", 3),
                 "usb-SanDisk_Cruzer_Blade_4C530001-0:3");
}

TEST(who_does_not_say_enough)
{
    CHECK_STRING(id_of("virtio", "virtio", "", 0), "");
    CHECK_STRING(id_of("virtio", "virtio", " \t ", 0), "");
    CHECK_STRING(id_of("nvme", "model", "", 1), "");
    CHECK_STRING(id_of("ata", "model", "", 0), "ata-model");
    CHECK_STRING(id_of("ata", "", "serial", 0), "ata-serial");
    CHECK_STRING(id_of("usb", "", "", 0), "");
    CHECK_STRING(id_of("", "model", "serial", 0), "");
    CHECK_STRING(id_of("virtio0", "model", "serial", 0), "");
    CHECK_STRING(id_of("virtio.or.so", "model", "serial", 0), "");
}

TEST(rubbish)
{
    CHECK_STRING(id_of("ata", "  two  \t words ", "\n1 ", 0), "ata-two_words_1");
    CHECK_STRING(id_of("virtio", "", "../../vd0", 0), "virtio-.._.._vd0");
    CHECK_STRING(id_of("virtio", "", "a\\b\"c%d?e\x7f\x1b\xff\xc3\xa4", 0),
                 "virtio-a_b_c_d_e_____");
    CHECK_STRING(id_of("virtio", "", "#+-.:=@_", 0), "virtio-#+-.:=@_");
}

/* The longest there is, none of it terminated. */
TEST(whole)
{
    struct disk_geometry geometry = {.bus = "usb", .unit = UINT32_MAX};
    char part[DISK_ID_MAX];

    memset(geometry.model, 'm', sizeof(geometry.model));
    memset(geometry.serial, 's', sizeof(geometry.serial));
    disk_id(&geometry, id);
    CHECK_EQUAL(strlen(id),
                strlen("usb-_-0:4294967295") + sizeof(geometry.model) + sizeof(geometry.serial));
    disk_id_of_part(id, UINT32_MAX, part);
    CHECK_EQUAL(strlen(part), strlen(id) + strlen("-part4294967295"));
    CHECK_STRING(part + strlen(id), "-part4294967295");
    disk_id_of_part("", 1, part);
    CHECK_STRING(part, "");
}
