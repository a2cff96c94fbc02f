/* A request of lib/disk as a command of the NVM command set (6), with its memory as physical region pages (PRPs, 4.3). Pure. */
#pragma once

#include "lib/disk/driver.h"
#include "sbin/nvmed/nvme.h"

/* With a page for the list, so much memory has a place in one command whatever its first byte's offset in its page is. */
#define NVME_TRANSFER_MAX (NVME_PAGE / sizeof(uint64_t) * NVME_PAGE) /* 2 MiB */

/* The page that belongs to a command: the list of its pages, or the ranges it discards. */
struct nvme_page {
    uint64_t *words; /* NVME_PAGE bytes */
    uint64_t address;
};

/* 0, or -E_INVALID: memory in pieces that do not begin and end with pages; -E_RANGE: too much of it; -E_NOT_SUPPORTED: no such
 * request. */
MUST_CHECK int64_t nvme_command_build(struct nvme_command *command,
                                      const struct disk_request *request, uint32_t namespace,
                                      const struct nvme_page *page);
