/* Looking names up: see ids.h. */
#include "lib/pci/ids.h"

#include <stdio.h>

#include "abi/errors.h"

bool pci_ids_open(struct pci_ids *ids, const void *bytes, uint64_t size)
{
    const struct pci_ids_head *head = bytes;
    uint64_t entries;

    *ids = (struct pci_ids){0};
    if (size < sizeof(*head) || head->magic != PCI_IDS_MAGIC)
        return false;
    entries = (uint64_t)head->count * sizeof(struct pci_ids_entry);
    if (head->strings == 0 || size != sizeof(*head) + entries + head->strings)
        return false;
    ids->entries = (const struct pci_ids_entry *)(head + 1);
    ids->strings = (const char *)ids->entries + entries;
    if (ids->strings[head->strings - 1] != '\0') {
        *ids = (struct pci_ids){0};
        return false;
    }
    ids->count = head->count;
    ids->strings_size = head->strings;
    return true;
}

static int compare(const struct pci_ids_entry *entry, uint32_t kind, uint32_t id)
{
    if (entry->kind != kind)
        return entry->kind < kind ? -1 : 1;
    return entry->id < id ? -1 : entry->id > id;
}

const char *pci_ids_find(const struct pci_ids *ids, enum pci_ids_kind kind, uint32_t id)
{
    uint32_t low = 0, high = ids->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct pci_ids_entry *entry = &ids->entries[middle];
        int order = compare(entry, kind, id);

        if (order == 0)
            return entry->name < ids->strings_size ? ids->strings + entry->name : NULL;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

void pci_ids_class(const struct pci_ids *ids, uint32_t class_code, char *text, size_t size)
{
    const char *name = pci_ids_find(ids, PCI_IDS_SUBCLASS, class_code >> 8);

    if (!name)
        name = pci_ids_find(ids, PCI_IDS_CLASS, class_code >> 16);
    if (name)
        snprintf(text, size, "%s", name);
    else
        snprintf(text, size, "Class %04x", class_code >> 8);
}

void pci_ids_describe(const struct pci_ids *ids, const struct pci_identity *what, char *text,
                      size_t size)
{
    const char *vendor = pci_ids_find(ids, PCI_IDS_VENDOR, what->vendor);
    const char *device =
        pci_ids_find(ids, PCI_IDS_DEVICE, (uint32_t)what->vendor << 16 | what->device);
    char class_name[128];

    pci_ids_class(ids, what->class_code, class_name, sizeof(class_name));
    if (vendor && device)
        snprintf(text, size, "%s: %s %s", class_name, vendor, device);
    else if (vendor)
        snprintf(text, size, "%s: %s Device %04x", class_name, vendor, what->device);
    else
        snprintf(text, size, "%s: Device %04x:%04x", class_name, what->vendor, what->device);
}
