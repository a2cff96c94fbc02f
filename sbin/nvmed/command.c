#include "sbin/nvmed/command.h"

#include "abi/errors.h"

/* The pages of the segments, one by one. Only the first may begin, and only the last may end within a page. */
struct pages {
    const struct disk_segment *segments;
    uint32_t count, at; /* of segments */
    uint64_t offset;    /* in the current one */
};

static bool pages_next(struct pages *pages, uint64_t *address)
{
    if (pages->at == pages->count)
        return false;
    const struct disk_segment *segment = &pages->segments[pages->at];
    *address = segment->address + pages->offset;
    pages->offset += NVME_PAGE - *address % NVME_PAGE;
    if (pages->offset >= segment->length) {
        pages->offset = 0;
        pages->at++;
    }
    return true;
}

static bool segments_fit(const struct disk_request *request)
{
    for (uint32_t i = 0; i < request->segment_count; i++) {
        const struct disk_segment *segment = &request->segments[i];
        bool first = i == 0, last = i + 1 == request->segment_count;
        if (!segment->length || segment->address % sizeof(uint32_t) ||
            (!first && segment->address % NVME_PAGE) ||
            (!last && (segment->address + segment->length) % NVME_PAGE))
            return false;
    }
    return request->segment_count != 0;
}

/* One page, two, or the list of all but the first (4.3). */
static int64_t pages_write(struct nvme_command *command, const struct disk_request *request,
                           const struct nvme_page *page)
{
    struct pages pages = {request->segments, request->segment_count, 0, 0};
    uint64_t address;
    uint32_t count = 0;
    if (!segments_fit(request) || !pages_next(&pages, &command->prp[0]))
        return -E_INVALID;
    while (pages_next(&pages, &address)) {
        if (count == NVME_PAGE / sizeof(uint64_t))
            return -E_RANGE;
        page->words[count++] = address;
    }
    command->prp[1] = count == 0 ? 0 : count == 1 ? page->words[0] : page->address;
    return 0;
}

static int64_t transfer_build(struct nvme_command *command, const struct disk_request *request,
                              const struct nvme_page *page)
{
    bool write = request->op == DISK_WRITE;
    if (request->count == 0 || request->count > NVME_BLOCKS_MAX)
        return -E_RANGE;
    command->op = write ? NVME_WRITE : NVME_READ;
    command->args[0] = (uint32_t)request->sector;
    command->args[1] = (uint32_t)(request->sector >> 32);
    command->args[2] =
        (request->count - 1) | (write && request->flags & DISK_THROUGH ? NVME_FUA : 0);
    return pages_write(command, request, page);
}

static int64_t discard_build(struct nvme_command *command, const struct disk_request *request,
                             const struct nvme_page *page)
{
    if (request->count == 0 || request->count > NVME_BLOCKS_MAX)
        return -E_RANGE;
    if (request->flags & DISK_ZERO) {
        command->op = NVME_WRITE_ZEROES;
        command->args[0] = (uint32_t)request->sector;
        command->args[1] = (uint32_t)(request->sector >> 32);
        command->args[2] = request->count - 1;
        return 0;
    }
    struct nvme_range *range = (struct nvme_range *)(void *)page->words;
    *range = (struct nvme_range){.blocks = request->count, .first = request->sector};
    command->op = NVME_DATASET;
    command->prp[0] = page->address;
    command->args[0] = 0; /* one range: they are counted from 0 */
    command->args[1] = NVME_DEALLOCATE;
    return 0;
}

int64_t nvme_command_build(struct nvme_command *command, const struct disk_request *request,
                           uint32_t namespace, const struct nvme_page *page)
{
    *command = (struct nvme_command){.namespace = namespace};
    switch (request->op) {
    case DISK_READ:
    case DISK_WRITE:
        return transfer_build(command, request, page);
    case DISK_DISCARD:
        return discard_build(command, request, page);
    case OP_SYNC:
        command->op = NVME_FLUSH;
        return 0;
    default:
        return -E_NOT_SUPPORTED;
    }
}
