/* What a controller and a namespace say of themselves (Identify, 5.15.2). Pure.
 *
 * The structures are the device's word: what no driver could work with is refused, everything else is brought within bounds.
 */
#pragma once

#include "sbin/nvmed/nvme.h"

#define NVME_SERIAL_MAX   20u
#define NVME_MODEL_MAX    40u
#define NVME_FIRMWARE_MAX 8u

struct nvme_controller_facts {
    /* Printable, without blanks at either end. */
    char serial[NVME_SERIAL_MAX + 1], firmware[NVME_FIRMWARE_MAX + 1], model[NVME_MODEL_MAX + 1];
    uint32_t namespaces; /* their numbers are 1 to this */
    uint32_t
        transfer_most; /* bytes of one command, a power of two; UINT32_MAX: as many as one likes */
    bool lists;        /* it lists its namespaces (1.1 and later) */
    bool cache;        /* what is written may be lost until it is flushed */
    bool dataset, write_zeroes;
    bool tells_namespaces; /* asynchronous events say that the list has changed */
};

struct nvme_namespace_facts {
    uint64_t blocks;
    uint32_t block_shift;    /* 9 to 12 */
    uint32_t physical_shift; /* what it writes at once, at least block_shift */
    bool read_only;
};

/* bytes: NVME_PAGE of them, with nobody writing there. version: NVME_VS. E_NOT_SUPPORTED: its queues have other entries. */
MUST_CHECK int64_t nvme_controller_parse(const uint8_t *bytes, uint32_t version,
                                         struct nvme_controller_facts *facts);
/* E_NOT_FOUND: there is none of this number. E_NOT_SUPPORTED: blocks with metadata, or of a size that is no sector's. */
MUST_CHECK int64_t nvme_namespace_parse(const uint8_t *bytes, struct nvme_namespace_facts *facts);
