/* The table: see table.h. */
#include "sbin/pcid/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sys/map.h"
#include "lib/sys/syscall.h"
#include "sbin/pcid/names.h"

#define TABLE_KEY   0u
#define TABLE_MAGIC UINT64_C(0x32656c6261746370)

struct table {
    uint64_t magic, count;
    struct record records[];
};

static struct table *table;

uint32_t table_count(void)
{
    return (uint32_t)table->count;
}

struct record *table_at(uint32_t index)
{
    return &table->records[index];
}

void table_report(uint32_t index, const char *what)
{
    char name[NAME_SIZE];

    function_name(&table->records[index].function, name);
    fprintf(stderr, "%s: %s\n", name, what);
}

bool kept_next(handle_t port, uint64_t *from, uint64_t end)
{
    struct abi_kept kept = {.key = *from};

    if (sys_port_kept(port, &kept) < 0)
        return false;
    handle_drop(kept.handle);
    *from = kept.key;
    return kept.key < end;
}

bool kept_used(handle_t port, uint64_t from, uint64_t end)
{
    struct abi_kept kept = {.key = from};

    while (sys_port_kept(port, &kept) >= 0) {
        handle_drop(kept.handle);
        if (kept.key >= end)
            return false;
        if (kept.flags & KEPT_USED)
            return true;
        kept = (struct abi_kept){.key = kept.key + 1};
    }
    return false;
}

/* --- Made, or found ------------------------------------------------------------------------------------------------ */

struct found {
    struct record *records;
    size_t count, room;
    bool failed;
};

static bool add_found(void *context, const struct pci_function *function)
{
    struct found *found = context;

    if (found->count == found->room) {
        size_t room = found->room ? 2 * found->room : 32;
        struct record *records = realloc(found->records, room * sizeof(*records));

        if (!records) {
            found->failed = true;
            return false;
        }
        found->records = records;
        found->room = room;
    }
    found->records[found->count++] = (struct record){.function = *function};
    return true;
}

static int64_t map_table(handle_t memory, uint64_t size)
{
    int64_t address = memory_map(memory, 0, size, PROT_READ_ | PROT_WRITE_);

    if (address >= 0)
        table = (struct table *)(uintptr_t)address;
    return address < 0 ? address : 0;
}

static int64_t make_table(handle_t port)
{
    struct found found = {0};
    struct config_segment segment;

    for (unsigned n = 0; config_segment_at(n, &segment); n++)
        pci_walk(&config_machine, segment.segment, segment.first_bus, segment.last_bus, add_found,
                 &found);
    if (found.failed) {
        free(found.records);
        return -E_NO_MEMORY;
    }
    uint64_t size = sizeof(*table) + found.count * sizeof(struct record);
    int64_t memory = sys_memory_create(size, 0);
    int64_t result = memory < 0 ? memory : map_table((handle_t)memory, size);
    if (result >= 0) {
        memcpy(table->records, found.records, found.count * sizeof(struct record));
        table->count = found.count;
        table->magic = TABLE_MAGIC; /* last: a table without it is made anew */
        result = sys_port_keep(port, TABLE_KEY, (handle_t)memory);
    }
    free(found.records);
    if (memory >= 0)
        handle_drop((handle_t)memory);
    return result;
}

static int64_t find_table(handle_t port)
{
    struct abi_kept kept = {.key = TABLE_KEY, .flags = KEPT_EXACT};
    int64_t result = sys_port_kept(port, &kept);

    if (result < 0)
        return result;
    result = map_table(kept.handle, kept.size);
    handle_drop(kept.handle);
    if (result < 0)
        return result;
    return table->magic == TABLE_MAGIC &&
                   table->count <= (kept.size - sizeof(*table)) / sizeof(struct record)
               ? 0
               : -E_NOT_FOUND;
}

int64_t table_start(handle_t port)
{
    int64_t result = find_table(port);

    return result == -E_NOT_FOUND ? make_table(port) : result;
}
