/* Names of PCI devices, out of a packed file. */
// sources: lib/pci/ids.c
#include "lib/pci/ids.h"
#include "tests/host/test.h"

struct PACKED file {
    struct pci_ids_head head;
    struct pci_ids_entry entries[4];
    char strings[32];
};

static const struct file sound = {
    .head = {PCI_IDS_MAGIC, 4, 32},
    .entries = {{PCI_IDS_VENDOR, 0x8086, 0},
                {PCI_IDS_DEVICE, 0x80862922, 6},
                {PCI_IDS_CLASS, 0x01, 16},
                {PCI_IDS_SUBCLASS, 0x0106, 24}},
    .strings = "Intel\0ICH9-AHCI\0storage\0SATA",
};

static void describe(const struct pci_ids *ids, uint16_t vendor, uint16_t device,
                     uint32_t class_code, const char *want)
{
    struct pci_identity what = {vendor, device, class_code};
    char text[128];
    pci_ids_describe(ids, &what, text, sizeof(text));
    CHECK_STRING(text, want);
}

TEST(names_and_numbers_where_there_are_none)
{
    struct pci_ids ids, none = {0};
    CHECK(pci_ids_open(&ids, &sound, sizeof(sound)));
    describe(&ids, 0x8086, 0x2922, 0x010601, "SATA: Intel ICH9-AHCI");
    describe(&ids, 0x8086, 0x1234, 0x010701, "storage: Intel Device 1234");
    describe(&ids, 0x1234, 0x11e8, 0xff0000, "Class ff00: Device 1234:11e8");
    describe(&none, 0x8086, 0x2922, 0x010601, "Class 0106: Device 8086:2922");
}

TEST(broken_files)
{
    struct pci_ids ids;
    struct file file = sound;
    CHECK(!pci_ids_open(&ids, &file, sizeof(file) - 1));
    CHECK(!pci_ids_open(&ids, &file, 8));
    file.head.count = UINT32_MAX;
    CHECK(!pci_ids_open(&ids, &file, sizeof(file)));
    file = sound;
    file.head.magic++;
    CHECK(!pci_ids_open(&ids, &file, sizeof(file)));
    file = sound;
    file.strings[31] = 'x'; /* the last name has no end */
    CHECK(!pci_ids_open(&ids, &file, sizeof(file)));
    CHECK(!pci_ids_find(&ids, PCI_IDS_VENDOR, 0x8086));
    file = sound;
    file.entries[0].name = 32;
    CHECK(pci_ids_open(&ids, &file, sizeof(file)));
    CHECK(!pci_ids_find(&ids, PCI_IDS_VENDOR, 0x8086));
}
