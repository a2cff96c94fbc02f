/* ACPI's DMAR, behind 256 bytes of a bridge's configuration space that paths may lead through: any bytes. */
// sources: sbin/pcid/dmar.c
#include <stdlib.h>

#include "abi/abi.h"
#include "sbin/pcid/dmar.h"
#include "tests/host/fake_pci.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct fake_pci bus;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config config = fake_config(&bus);
    struct dmar dmar;
    struct dmar_entry entry;
    uint32_t offset = 0, last = 0;

    if (size < 256)
        return 0;
    bus.count = 1;
    bus.functions[0].where = where_of(0, 0, 3, 0);
    bus.functions[0].size = 256;
    memcpy(bus.functions[0].bytes, data, 256);
    size -= 256;
    uint8_t *bytes = malloc(size + 1); /* its end is watched */
    memcpy(bytes, data + 256, size);
    if (dmar_open(&dmar, bytes, size)) {
        while (dmar_next(&dmar, &offset, &entry)) {
            if (offset <= last || entry.base % PAGE_SIZE ||
                entry.scopes + entry.scopes_length > bytes + size)
                abort();
            last = offset;
            for (uint32_t where = 0; where < 0x200; where += 7)
                dmar_covers(&config, &entry, where);
        }
    }
    free(bytes);
    return 0;
}
