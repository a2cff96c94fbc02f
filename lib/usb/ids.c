/* Names: see ids.h. */
#include "lib/usb/ids.h"

#include <stdio.h>

#include "abi/errors.h"
#include "lib/sys/file.h"

int64_t usb_ids_load(struct pci_ids *ids)
{
    const void *bytes;
    uint64_t size;
    *ids = (struct pci_ids){0};
    int64_t result = file_map(HANDLE_SELF, USB_IDS_FILE, &bytes, &size);
    if (result < 0)
        return result;
    return pci_ids_open(ids, bytes, size) ? 0 : -E_BAD_FORMAT;
}

void usb_ids_class(const struct pci_ids *ids, uint32_t class_code, char *text, size_t size)
{
    const char *name = pci_ids_find(ids, PCI_IDS_INTERFACE, class_code);
    if (!name || (class_code & 0xff) == 0)
        name = pci_ids_find(ids, PCI_IDS_CLASS, class_code >> 16);
    if (name)
        snprintf(text, size, "%s", name);
    else
        snprintf(text, size, "Class %02x", class_code >> 16);
}
