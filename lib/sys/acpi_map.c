/* acpi_tables_map: apart, as the rest needs no system. */
#include "lib/sys/acpi_tables.h"
#include "lib/sys/map.h"
#include "lib/sys/startup.h"

const uint8_t *acpi_tables_map(uint64_t *length)
{
    handle_t memory = startup_handle("acpi");
    if (memory == HANDLE_NONE)
        return NULL;
    int64_t size = sys_memory_op(memory, MEMORY_OP_SIZE, 0, 0, NULL);
    if (size <= 0)
        return NULL;
    int64_t address = memory_map(memory, 0, (uint64_t)size, PROT_READ_);
    *length = (uint64_t)size;
    return address < 0 ? NULL : (const uint8_t *)address;
}
