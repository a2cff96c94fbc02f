/* The system's names, mapped out of the archive. */
#include "abi/abi.h"
#include "lib/pci/ids.h"
#include "lib/sys/file.h"

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
    struct abi_map map = {.length = ALIGN_UP(size, (uint64_t)PAGE_SIZE),
                          .memory = memory,
                          .offset = offset,
                          .protection = PROT_READ_,
                          .flags = MAP_SHARED_};
    result = size ? sys_space_map(HANDLE_SELF, &map) : -E_BAD_FORMAT;
    handle_drop(memory);
    if (result < 0)
        return result;
    return pci_ids_open(ids, (const void *)(uintptr_t)result, size) ? 0 : -E_BAD_FORMAT;
}
