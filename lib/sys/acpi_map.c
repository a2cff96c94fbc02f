/* acpi_tables_map: apart, as the rest needs no system. */
#include "lib/sys/acpi_tables.h"
#include "lib/sys/startup.h"
#include "lib/sys/syscall.h"

const uint8_t *acpi_tables_map(uint64_t *length)
{
    handle_t memory = startup_handle("acpi");
    if (memory == HANDLE_NONE)
        return NULL;
    int64_t size = sys_memory_op(memory, MEMORY_OP_SIZE, 0, 0, NULL);
    if (size <= 0)
        return NULL;
    struct abi_map map = {
        .length = (uint64_t)size,
        .memory = memory,
        .protection = PROT_READ_,
        .flags = MAP_SHARED_,
    };
    int64_t address = sys_space_map(HANDLE_SELF, &map);
    *length = (uint64_t)size;
    return address < 0 ? NULL : (const uint8_t *)address;
}
