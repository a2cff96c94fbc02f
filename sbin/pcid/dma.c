/* DMA memory: see dma.h. */
#include "sbin/pcid/dma.h"

#include <stdlib.h>

#include "lib/sys/startup.h"
#include "lib/sys/syscall.h"
#include "sbin/pcid/group.h"
#include "sbin/pcid/iommu.h"
#include "sbin/pcid/table.h"

#define BYTES_MOST (UINT64_C(256) << 20) /* of one function */
#define NUMBERS    UINT64_C(0x7fffffff)  /* of each kind */

static handle_t port;
static struct group **groups; /* by index of the function; NULL: not confined */

/* Of nobody, it reaches nothing but what firmware wants it to; of somebody, his DMA memory besides. */
int64_t dma_confine(uint32_t index)
{
    struct abi_kept kept = {.key = KEY_FUNCTION(index)};
    int64_t result = groups[index] ? 0
                                   : group_join(&table_at(index)->function, (uint16_t)(index + 1),
                                                &groups[index]);

    while (result >= 0 && sys_port_kept(port, &kept) >= 0) {
        if (kept.key < KEY_FUNCTION(index + 1))
            result = group_map(groups[index], kept.handle, kept.size);
        handle_drop(kept.handle);
        if (kept.key >= KEY_FUNCTION(index + 1))
            break;
        kept = (struct abi_kept){.key = kept.key + 1};
    }
    if (result < 0)
        table_report(index, "its DMA cannot be confined");
    return result;
}

static int64_t forget(uint32_t index, uint64_t key)
{
    struct record *record = table_at(index);
    struct abi_kept kept = {.key = key, .flags = KEPT_EXACT};
    int64_t result = sys_port_kept(port, &kept);

    if (result < 0)
        return result;
    bool reached = !group_unmap(groups[index], kept.handle, kept.size);
    handle_drop(kept.handle);
    if (reached)
        return -E_IO;
    result = sys_port_keep(port, key, HANDLE_NONE);
    record->dma_bytes -= MIN(record->dma_bytes, kept.size);
    return result;
}

/* The function reaches it from now on, and it is kept until that has ended. */
static int64_t enter(uint32_t index, handle_t memory, uint64_t length, bool lent, uint64_t *number)
{
    struct record *record = table_at(index);
    uint64_t key = (lent ? KEY_LENT(index) : KEY_FUNCTION(index)) | record->next_dma;
    int64_t result = sys_port_keep(port, key, memory);

    if (result < 0)
        return result;
    *number = (uint32_t)key;
    record->next_dma = (record->next_dma + 1) % NUMBERS;
    record->dma_bytes += ALIGN_UP(length, (uint64_t)PAGE_SIZE);
    result = group_map(groups[index], memory, length);
    if (result < 0)
        sys_ignore(forget(index, key));
    return result;
}

static bool too_much(uint32_t index, uint64_t length)
{
    return length > BYTES_MOST - MIN(table_at(index)->dma_bytes, BYTES_MOST);
}

int64_t dma_give(uint32_t index, uint64_t length, uint32_t flags, bool lent, uint64_t *number)
{
    handle_t resource = startup_handle("dma:0x0");

    if (flags & ~(MEMORY_STAYS | MEMORY_CONTIGUOUS | MEMORY_DMA32))
        return -E_INVALID;
    if (too_much(index, length))
        return -E_QUOTA;
    int64_t memory = sys_memory_physical(resource, 0, length, flags | MEMORY_STAYS);
    if (memory < 0)
        return memory;
    int64_t result = enter(index, (handle_t)memory, length, lent, number);
    if (result < 0)
        handle_drop((handle_t)memory);
    return result < 0 ? result : memory;
}

/* Addresses are told of memory that stays where it is and of device memory, which has no pages of its own. */
static bool is_dma(handle_t memory, int64_t size)
{
    uint64_t address;

    return size > 0 &&
           sys_memory_op(memory, MEMORY_OP_COUNT, 0, 0, NULL) * (int64_t)PAGE_SIZE == size &&
           sys_memory_op(memory, MEMORY_OP_PHYSICAL, 0, PAGE_SIZE, &address) >= 0;
}

int64_t dma_again(uint32_t index, handle_t memory, uint64_t *number)
{
    int64_t size = sys_memory_op(memory, MEMORY_OP_SIZE, 0, 0, NULL);

    if (!is_dma(memory, size))
        return -E_INVALID;
    if (too_much(index, (uint64_t)size))
        return -E_QUOTA;
    return enter(index, memory, (uint64_t)size, true, number);
}

int64_t dma_forget(uint32_t index, uint64_t number)
{
    return number > UINT32_MAX ? -E_NOT_FOUND : forget(index, KEY_FUNCTION(index) | number);
}

/* False: something is still in the device's reach. */
static bool forget_all(uint32_t index)
{
    uint64_t key = KEY_FUNCTION(index);

    for (; kept_next(port, &key, KEY_FUNCTION(index + 1)); key++)
        if (forget(index, key) < 0)
            return false;
    table_at(index)->dma_bytes = 0;
    return true;
}

/* A domain that goes on for others loses the memory first; else it goes as a whole. */
bool dma_end(uint32_t index)
{
    if (group_has_others(groups[index]) && !forget_all(index))
        return false;
    return group_leave(&groups[index], &table_at(index)->function) && forget_all(index);
}

int64_t dma_start(handle_t own)
{
    port = own;
    groups = calloc(table_count() + 1, sizeof(struct group *));
    if (!groups)
        return -E_NO_MEMORY;
    iommu_find(port);
    for (uint32_t i = 0; i < table_count(); i++)
        if (table_at(i)->function.owner || iommu_needed(table_at(i)->function.where))
            sys_ignore(dma_confine(i));
    iommu_enable();
    return 0;
}
