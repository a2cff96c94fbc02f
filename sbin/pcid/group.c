/* Groups: see group.h. Root and context tables: VT-d 9.1, 9.3. */
#include "sbin/pcid/group.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/sys/error.h"
#include "lib/sys/startup.h"
#include "lib/sys/syscall.h"
#include "sbin/pcid/domain.h"
#include "sbin/pcid/pages.h"
#include "sbin/pcid/unit.h"

#define PRESENT UINT64_C(1)
#define TABLE   UINT64_C(0x000ffffffffff000)

struct group {
    struct group *next;
    const struct iommu *iommu;
    uint32_t requester;
    uint16_t id; /* of the function that came first: of no other group */
    unsigned members;
    struct domain domain;
};

static struct group *groups;

/* --- Contexts: whose requests are translated by which domain ------------------------------------------------------- */

/* The two words of a source's context; NULL: no table, and none was wanted or to be had. */
static uint64_t *context_of(const struct iommu *iommu, uint32_t source, bool create)
{
    uint64_t *entry = &iommu->root[2 * (source >> 8 & 0xff)], physical, *table;

    if (*entry) {
        table = pages_tables.at(*entry & TABLE);
    } else {
        table = create ? pages_tables.get(&physical) : NULL;
        if (!table)
            return NULL;
        *entry = physical | PRESENT;
        pages_tables.written(entry);
    }
    return table ? &table[2 * (source & 0xff)] : NULL;
}

/* The domain has changed, or a source has got it. */
static bool changed(const struct group *group, uint32_t source)
{
    if (!(group->iommu->capability & CAN_CACHE_NOTHING))
        return iommu_flush_writes(group->iommu);
    return iommu_forget_context(group->iommu, source, 0) &&
           iommu_forget_domain(group->iommu, group->id);
}

/* The word that makes it valid is written last. */
static int64_t context_set(const struct group *group, uint32_t source)
{
    uint64_t *context = context_of(group->iommu, source, true);

    if (!context)
        return -E_NO_MEMORY;
    context[1] = (uint64_t)group->id << 8 | (group->domain.levels - 2);
    pages_tables.written(&context[1]);
    __atomic_store_n(&context[0], group->domain.physical | PRESENT, __ATOMIC_RELEASE);
    pages_tables.written(&context[0]);
    return changed(group, source) ? 0 : -E_IO;
}

static bool context_clear(const struct group *group, uint32_t source)
{
    uint64_t *context = context_of(group->iommu, source, false);

    if (context) {
        __atomic_store_n(&context[0], 0, __ATOMIC_RELEASE);
        pages_tables.written(&context[0]);
    }
    return iommu_flush_writes(group->iommu) &&
           iommu_forget_context(group->iommu, source, group->id);
}

/* --- Members ------------------------------------------------------------------------------------------------------- */

static struct group *find(uint32_t requester)
{
    struct group *group = groups;

    while (group && group->requester != requester)
        group = group->next;
    return group;
}

static int64_t create(const struct iommu *iommu, uint32_t requester, uint16_t id,
                      struct group **result)
{
    if (id >> (4 + 2 * CAN_DOMAINS(iommu->capability)))
        return -E_QUOTA;

    struct group *group = calloc(1, sizeof(*group));

    if (!group || !domain_create(&pages_tables, iommu->levels, &group->domain)) {
        free(group);
        return -E_NO_MEMORY;
    }
    group->iommu = iommu;
    group->requester = requester;
    group->id = id;
    group->next = groups;
    groups = group;
    *result = group;
    return 0;
}

/* No context names its domain, and no IOMMU remembers it. */
static void destroy(struct group *group)
{
    struct group **link = &groups;

    while (*link != group)
        link = &(*link)->next;
    *link = group->next;
    domain_destroy(&pages_tables, &group->domain);
    free(group);
}

/* What firmware calls reserved must not be RAM of the kernel's. */
static bool map_reserved(struct group *group, uint32_t where)
{
    struct dmar_entry entry;
    uint32_t offset = 0;

    while (iommu_reserved_next(where, &offset, &entry)) {
        uint64_t length = entry.limit + 1 - entry.base;
        int64_t memory =
            sys_memory_physical(startup_handle("memory:0x0"), entry.base, length, CACHE_BACK);

        if (memory < 0) {
            fprintf(stderr, "reserved memory at 0x%" PRIx64 " is none: %s\n", entry.base,
                    error_text(memory));
            continue;
        }
        handle_drop((handle_t)memory);
        if (!domain_map(&pages_tables, &group->domain, entry.base, length / PAGE_SIZE))
            return false;
    }
    return true;
}

/* A bridge may leave a request its own name, too (PCI-X): the function has both contexts. */
static int64_t enter(struct group *group, uint32_t where)
{
    int64_t result = map_reserved(group, where) ? 0 : -E_NO_MEMORY;

    if (result >= 0 && group->members == 1)
        result = context_set(group, group->requester);
    if (result >= 0 && where != group->requester)
        result = context_set(group, where);
    return result;
}

int64_t group_join(const struct pci_function *function, uint16_t id, struct group **result)
{
    const struct iommu *iommu = iommu_of(function->where);
    struct group *group = iommu ? find(function->requester) : NULL;

    *result = NULL;
    if (!iommu)
        return 0;
    int64_t error = group ? 0 : create(iommu, function->requester, id, &group);
    if (error < 0)
        return error;
    group->members++;
    error = enter(group, function->where);
    *result = group;
    if (error < 0 && !group_leave(result, function))
        error = -E_IO;
    return error;
}

bool group_has_others(const struct group *group)
{
    return group && group->members > 1;
}

bool group_leave(struct group **left, const struct pci_function *function)
{
    struct group *group = *left;
    bool last = group && group->members == 1;

    if (!group)
        return true;
    if (function->where != group->requester && !context_clear(group, function->where))
        return false;
    if (last && !context_clear(group, group->requester))
        return false;
    if (!iommu_forget_domain(group->iommu, group->id))
        return false;
    group->members--;
    if (last)
        destroy(group);
    *left = NULL;
    return true;
}

/* --- Memory -------------------------------------------------------------------------------------------------------- */

#define PIECE 64u /* pages */

typedef bool page_change(struct group *group, uint64_t address);

static bool page_map(struct group *group, uint64_t address)
{
    return domain_map(&pages_tables, &group->domain, address, 1);
}

static bool page_unmap(struct group *group, uint64_t address)
{
    domain_unmap(&pages_tables, &group->domain, address, 1);
    return true;
}

static int64_t each_page(struct group *group, handle_t memory, uint64_t length, page_change *change)
{
    uint64_t addresses[PIECE];

    for (uint64_t at = 0; at < length; at += PIECE * PAGE_SIZE) {
        uint64_t piece = MIN(PIECE * PAGE_SIZE, length - at);
        int64_t result = sys_memory_op(memory, MEMORY_OP_PHYSICAL, at, piece, addresses);

        if (result < 0)
            return result;
        for (uint64_t i = 0; i < piece / PAGE_SIZE; i++)
            if (!change(group, addresses[i]))
                return -E_NO_MEMORY;
    }
    return 0;
}

int64_t group_map(struct group *group, handle_t memory, uint64_t length)
{
    if (!group)
        return 0;
    length = ALIGN_UP(length, (uint64_t)PAGE_SIZE);
    int64_t result = each_page(group, memory, length, page_map);
    return result < 0 ? result : changed(group, group->requester) ? 0 : -E_IO;
}

bool group_unmap(struct group *group, handle_t memory, uint64_t length)
{
    if (!group)
        return true;
    length = ALIGN_UP(length, (uint64_t)PAGE_SIZE);
    return each_page(group, memory, length, page_unmap) >= 0 &&
           iommu_forget_domain(group->iommu, group->id);
}
