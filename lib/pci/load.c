/* The system's names, mapped out of the archive. */
#include "abi/abi.h"
#include "lib/pci/ids.h"
#include "lib/sys/file.h"
#include "lib/sys/map.h"

int64_t pci_ids_load(struct pci_ids *ids)
{
    handle_t file, memory;
    uint64_t offset, size;

    *ids = (struct pci_ids){0};
    int64_t result = file_open(HANDLE_SELF, PCI_IDS_FILE, OPEN_READ, &file);
    if (result < 0)
        return result;
    result = file_memory(file, &memory, &offset, &size);
    handle_drop(file);
    if (result < 0)
        return result;
    result = size ? memory_map(memory, offset, size, PROT_READ_) : -E_BAD_FORMAT;
    handle_drop(memory);
    if (result < 0)
        return result;
    return pci_ids_open(ids, (const void *)(uintptr_t)result, size) ? 0 : -E_BAD_FORMAT;
}
