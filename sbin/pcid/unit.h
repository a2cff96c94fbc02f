/* An IOMMU as group.c knows it: where its tables begin, and what it is to forget. Everything else is iommu.c's. */
#pragma once

#include "abi/abi.h"
#include "sbin/pcid/dmar.h"

struct iommu {
    struct iommu *next;
    struct dmar_entry entry;
    uint32_t number;
    volatile uint8_t *registers;
    uint64_t mapped; /* bytes */
    uint64_t capability, extended;
    unsigned levels;
    uint64_t *root;
    uint64_t root_physical;
    handle_t irq;
    bool on;
};

#define CAN_DOMAINS(capability) ((capability)&7)
#define CAN_CACHE_NOTHING       UINT64_C(0x80) /* caching mode: what is not there is cached, too */

/* The one that the function is behind; NULL: none. */
struct iommu *iommu_of(uint32_t where);
/* The next region of memory that firmware says the function uses; *offset begins at 0. */
bool iommu_reserved_next(uint32_t where, uint32_t *offset, struct dmar_entry *entry);

/* When these have returned true, what was written to tables before is what the IOMMU goes by. False: it does not answer. */
MUST_CHECK bool iommu_flush_writes(const struct iommu *iommu);
MUST_CHECK bool iommu_forget_context(const struct iommu *iommu, uint32_t source, uint16_t domain);
MUST_CHECK bool iommu_forget_domain(const struct iommu *iommu, uint16_t domain);
