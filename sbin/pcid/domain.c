/* Page tables of devices: see domain.h. */
#include "sbin/pcid/domain.h"

#include "abi/abi.h"

#define READ    UINT64_C(1)
#define WRITE   UINT64_C(2)
#define ADDRESS UINT64_C(0x000ffffffffff000)
#define ENTRIES 512u
#define BITS    9u /* of the address, a level */

static unsigned index_at(uint64_t address, unsigned level)
{
    return address >> (12 + BITS * level) & (ENTRIES - 1);
}

static bool is_within(const struct domain *domain, uint64_t address)
{
    return address >> (12 + BITS * domain->levels) == 0;
}

bool domain_create(const struct table_pages *pages, unsigned levels, struct domain *domain)
{
    domain->levels = levels;
    domain->root = pages->get(&domain->physical);
    return domain->root;
}

/* The entry of the address's page; NULL: there is no table for it, and none was wanted or to be had. */
static uint64_t *find_entry(const struct table_pages *pages, const struct domain *domain,
                            uint64_t address, bool create)
{
    uint64_t *table = domain->root;

    for (unsigned level = domain->levels - 1; table && level > 0; level--) {
        uint64_t *entry = &table[index_at(address, level)], physical;

        if (*entry) {
            table = pages->at(*entry & ADDRESS);
            continue;
        }
        table = create ? pages->get(&physical) : NULL;
        if (!table)
            return NULL;
        *entry = physical | READ | WRITE;
        pages->written(entry);
    }
    return table ? &table[index_at(address, 0)] : NULL;
}

bool domain_map(const struct table_pages *pages, struct domain *domain, uint64_t address,
                uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        uint64_t at = address + i * PAGE_SIZE;
        uint64_t *entry = is_within(domain, at) ? find_entry(pages, domain, at, true) : NULL;

        if (!entry) {
            domain_unmap(pages, domain, address, i);
            return false;
        }
        *entry = at | READ | WRITE;
        pages->written(entry);
    }
    return true;
}

void domain_unmap(const struct table_pages *pages, struct domain *domain, uint64_t address,
                  uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        uint64_t at = address + i * PAGE_SIZE;
        uint64_t *entry = is_within(domain, at) ? find_entry(pages, domain, at, false) : NULL;

        if (!entry)
            continue;
        *entry = 0;
        pages->written(entry);
    }
}

bool domain_maps(const struct table_pages *pages, const struct domain *domain, uint64_t address)
{
    uint64_t *entry = is_within(domain, address) ? find_entry(pages, domain, address, false) : NULL;

    return entry && *entry == ((address & ADDRESS) | READ | WRITE);
}

/* At most four deep. */
static void destroy_table(const struct table_pages *pages, uint64_t *table, unsigned level)
{
    for (unsigned i = 0; level > 0 && i < ENTRIES; i++) {
        uint64_t *below = table[i] ? pages->at(table[i] & ADDRESS) : NULL;

        if (below)
            destroy_table(pages, below, level - 1);
    }
    pages->put(table);
}

void domain_destroy(const struct table_pages *pages, struct domain *domain)
{
    if (domain->root)
        destroy_table(pages, domain->root, domain->levels - 1);
    *domain = (struct domain){0};
}
