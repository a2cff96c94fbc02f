/* NVM Express as it is written: registers, entries of queues, what is in them. Names and numbers of the NVM Express Base
 * Specification 1.4. All numbers in memory are little endian.
 */
#pragma once

#include "lib/base/base.h"

#define NVME_PAGE 4096u /* the memory page of the controller; CC.MPS is 0 */

/* 3.1 */
enum nvme_register {
    NVME_CAP = 0x00, /* 64 bits */
    NVME_VS = 0x08,
    NVME_INTMS = 0x0c,
    NVME_INTMC = 0x10,
    NVME_CC = 0x14,
    NVME_CSTS = 0x1c,
    NVME_AQA = 0x24,
    NVME_ASQ = 0x28, /* 64 bits */
    NVME_ACQ = 0x30, /* 64 bits */
    NVME_BELLS = 0x1000,
};

#define NVME_CAP_ENTRIES(cap)  ((uint32_t)((cap)&0xffff) + 1)   /* that a queue may have */
#define NVME_CAP_TIMEOUT(cap)  ((uint32_t)((cap) >> 24 & 0xff)) /* half seconds, to become ready */
#define NVME_CAP_STRIDE(cap)   (4u << ((cap) >> 32 & 0xf)) /* bytes from a doorbell to the next */
#define NVME_CAP_NVM           (UINT64_C(1) << 37)         /* it knows the NVM command set */
#define NVME_CAP_PAGE_MIN(cap) ((uint32_t)((cap) >> 48 & 0xf)) /* 0: 4 KiB */

#define NVME_CC_ENABLE   0x1u
#define NVME_CC_SHUTDOWN (1u << 14)
#define NVME_CC_ENTRIES  (6u << 16 | 4u << 20) /* 64 and 16 bytes, as logarithms */

#define NVME_CSTS_READY         0x1u
#define NVME_CSTS_FATAL         0x2u
#define NVME_CSTS_SHUTDOWN      0xcu
#define NVME_CSTS_SHUTDOWN_DONE 0x8u
#define NVME_GONE               UINT32_MAX /* what any register of a function that is not there says */

/* 4.2 */
struct nvme_command {
    uint8_t op, flags;
    uint16_t id;
    uint32_t namespace;
    uint64_t reserved, metadata;
    uint64_t prp[2];
    uint32_t args[6]; /* command dwords 10 to 15 */
};

/* 4.6 */
struct nvme_completion {
    uint32_t result, reserved;
    uint16_t submission_head, submission_queue;
    uint16_t id;
    uint16_t status; /* bit 0: the phase */
};

_Static_assert(sizeof(struct nvme_command) == 64 && sizeof(struct nvme_completion) == 16, "");

#define NVME_PHASE 0x1u

/* Admin commands: 5 */
enum nvme_admin_op {
    NVME_SUBMISSION_CREATE = 0x01,
    NVME_GET_LOG = 0x02,
    NVME_COMPLETION_CREATE = 0x05,
    NVME_IDENTIFY = 0x06,
    NVME_SET_FEATURES = 0x09,
    NVME_EVENT_REQUEST = 0x0c,
};

/* NVM commands: 6 */
enum nvme_op {
    NVME_FLUSH = 0x00,
    NVME_WRITE = 0x01,
    NVME_READ = 0x02,
    NVME_WRITE_ZEROES = 0x08,
    NVME_DATASET = 0x09,
};

#define NVME_FUA          (1u << 30) /* args[2] of a write */
#define NVME_DEALLOCATE   0x4u       /* args[1] of a dataset command */
#define NVME_BLOCKS_MAX   65536u     /* of one command; they are counted from 0 */
#define NVME_QUEUE_LINEAR 0x1u /* args[1] of the commands that create queues: one piece of memory */
#define NVME_QUEUE_TELLS  0x2u /* ... its completions interrupt */

/* Dataset management: 6.7.1 */
struct nvme_range {
    uint32_t attributes, blocks;
    uint64_t first;
};

#define NVME_RANGES_MAX 256u

enum nvme_identify_what { NVME_IDENTIFY_NAMESPACE, NVME_IDENTIFY_CONTROLLER, NVME_IDENTIFY_LIST };

#define NVME_LIST_ENTRIES (NVME_PAGE / 4) /* numbers of namespaces in a list */

enum nvme_feature { NVME_FEATURE_QUEUES = 0x07, NVME_FEATURE_EVENTS = 0x0b };

/* Asynchronous events: 5.2 */
enum nvme_event { NVME_EVENT_ERROR, NVME_EVENT_HEALTH, NVME_EVENT_NOTICE };

#define NVME_EVENT_TYPE(result) ((result)&0x7)
#define NVME_EVENT_INFO(result) ((result) >> 8 & 0xff)
#define NVME_EVENT_PAGE(result) ((result) >> 16 & 0xff)
#define NVME_NOTICE_NAMESPACES  0x00u /* info: the list of namespaces has changed */
#define NVME_TELL_HEALTH        0x1fu /* args[1] of the feature: all critical warnings */
#define NVME_TELL_NAMESPACES    0x100u
