/* The system's names, mapped out of the archive. */
#include "abi/abi.h"
#include "lib/pci/ids.h"
#include "lib/sys/file.h"

int64_t pci_ids_load(struct pci_ids *ids)
{
    const void *bytes;
    uint64_t size;

    *ids = (struct pci_ids){0};
    int64_t result = file_map(HANDLE_SELF, PCI_IDS_FILE, &bytes, &size);
    if (result < 0)
        return result;
    return pci_ids_open(ids, bytes, size) ? 0 : -E_BAD_FORMAT;
}
