/* Names of PCI vendors, devices and classes: the distribution's pci.ids, as tools/pci_ids.py packs it.
 *
 *     struct pci_ids ids;
 *     pci_ids_load(&ids)                                   the system's; without it nothing has a name
 *     pci_ids_find(&ids, PCI_IDS_VENDOR, 0x8086)           "Intel Corporation"; NULL: it has none
 *     pci_ids_describe(&ids, &what, text, sizeof(text))    "SATA controller: Intel Corporation 82801IR ... SATA Controller"
 *
 * The file is a struct pci_ids_head, `count` struct pci_ids_entry in ascending order of (kind, id), and `strings` bytes of names, the
 * last of which is zero. It is used where it lies; whatever a broken one holds, nothing outside it is read.
 */
#pragma once

#include "lib/base/base.h"

#define PCI_IDS_FILE  "initfs:///usr/share/misc/pci.ids.packed"
#define PCI_IDS_MAGIC UINT64_C(0x3173646969637063)

/* Kinds, and what their ids are: numbers as in configuration space. */
enum pci_ids_kind {
    PCI_IDS_VENDOR = 1,
    PCI_IDS_DEVICE = 2,    /* vendor << 16 | device */
    PCI_IDS_CLASS = 3,     /* base class */
    PCI_IDS_SUBCLASS = 4,  /* base << 8 | sub */
    PCI_IDS_INTERFACE = 5, /* base << 16 | sub << 8 | interface */
};

struct pci_ids_head {
    uint64_t magic;
    uint32_t count, strings;
};

struct pci_ids_entry {
    uint32_t kind, id, name; /* name: offset in the strings */
};

struct pci_ids {
    const struct pci_ids_entry *entries;
    const char *strings;
    uint32_t count, strings_size; /* 0: no names */
};

struct pci_identity {
    uint16_t vendor, device;
    uint32_t class_code; /* 24 bits */
};

/* bytes: aligned to 4, and the caller's as long as ids are used. False: not such a file, *ids knows no name. */
bool pci_ids_open(struct pci_ids *ids, const void *bytes, uint64_t size);
/* 0 or -E_*; *ids can be used in any case. */
int64_t pci_ids_load(struct pci_ids *ids);

const char *pci_ids_find(const struct pci_ids *ids, enum pci_ids_kind kind, uint32_t id);
/* As precise as is known: "NVMe" has a name, or its class has; else "Class 1234". */
void pci_ids_class(const struct pci_ids *ids, uint32_t class_code, char *text, size_t size);
/* "CLASS: VENDOR DEVICE", numbers where there are no names; cut at size. */
void pci_ids_describe(const struct pci_ids *ids, const struct pci_identity *what, char *text,
                      size_t size);
