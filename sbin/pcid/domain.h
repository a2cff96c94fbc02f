/* What a function can reach by DMA: second-level page tables (VT-d 3.7, 9.8), in which every address is itself, or is not there.
 *
 *     domain_create(&pages, levels, &domain)           nothing can be reached
 *     domain_map(&pages, &domain, address, count)      count pages, readable and writable
 *     domain_unmap(...)                                no tables are given back before domain_destroy
 *     domain_destroy(&pages, &domain)                  when no IOMMU looks at it any more
 *
 * 3 levels translate 39 bits, 4 levels 48. Translations that an IOMMU has cached are its owner's affair (iommu.h).
 */
#pragma once

#include "lib/base/base.h"

/* Where tables come from. */
struct table_pages {
    uint64_t *(*get)(uint64_t *physical); /* a zero page; NULL: no memory */
    void (*put)(uint64_t *page);
    uint64_t *(*at)(uint64_t physical);     /* the page that get gave with that address */
    void (*written)(const uint64_t *entry); /* an IOMMU is to see it */
};

struct domain {
    uint64_t *root; /* NULL: there is none */
    uint64_t physical;
    unsigned levels;
};

MUST_CHECK bool domain_create(const struct table_pages *pages, unsigned levels,
                              struct domain *domain);
/* False: no memory for tables, or an address is beyond the levels; then nothing of it is mapped that was not before. */
MUST_CHECK bool domain_map(const struct table_pages *pages, struct domain *domain, uint64_t address,
                           uint64_t count);
void domain_unmap(const struct table_pages *pages, struct domain *domain, uint64_t address,
                  uint64_t count);
bool domain_maps(const struct table_pages *pages, const struct domain *domain, uint64_t address);
void domain_destroy(const struct table_pages *pages, struct domain *domain);
