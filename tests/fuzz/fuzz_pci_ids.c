/* A packed pci.ids: any bytes behind a right beginning, so that most are looked into. */
// sources: lib/pci/ids.c
#include <stdlib.h>
#include <string.h>

#include "lib/pci/ids.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pci_ids ids;
    uint8_t *bytes = malloc(size + 1);
    char text[64];

    memcpy(bytes, data, size);
    if (size >= sizeof(struct pci_ids_head)) {
        struct pci_ids_head *head = (struct pci_ids_head *)(void *)bytes;
        uint64_t rest = size - sizeof(*head);

        if (data[0] % 4) {
            head->magic = PCI_IDS_MAGIC;
            head->count %= rest / sizeof(struct pci_ids_entry) + 1;
            head->strings = (uint32_t)(rest - head->count * sizeof(struct pci_ids_entry));
        }
    }
    pci_ids_open(&ids, bytes, size);
    for (uint32_t i = 0; i < ids.count && i < 64; i++)
        pci_ids_find(&ids, (enum pci_ids_kind)ids.entries[i].kind, ids.entries[i].id);
    struct pci_identity what = {0x8086, 0x2922, 0x010601};
    pci_ids_describe(&ids, &what, text, sizeof(text));
    free(bytes);
    return 0;
}
