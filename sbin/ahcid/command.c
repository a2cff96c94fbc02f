#include "sbin/ahcid/command.h"

#include <string.h>

#include "abi/errors.h"

static void piece_write(struct ahci_table *table, struct ahci_work *work, uint64_t address,
                        uint32_t length)
{
    table->pieces[work->pieces++] = (struct ahci_piece){.address = address, .length = length - 1};
    work->bytes += length;
}

static int64_t pieces_write(struct ahci_table *table, const struct disk_request *request,
                            struct ahci_work *work)
{
    if (request->segment_count > AHCI_TABLE_ROOM)
        return -E_RANGE;
    for (uint32_t i = 0; i < request->segment_count; i++) {
        const struct disk_segment *segment = &request->segments[i];
        if (!segment->length || segment->length % 2 || segment->address % 2)
            return -E_INVALID;
        if (segment->length > AHCI_PIECE_MOST)
            return -E_RANGE;
        piece_write(table, work, segment->address, segment->length);
    }
    return 0;
}

static int64_t trim_write(uint8_t *page, uint64_t address, const struct disk_request *request,
                          struct ahci_work *work)
{
    uint64_t *ranges = (uint64_t *)(void *)(page + AHCI_TRIM_AT);
    if (ata_trim_build(ranges, ATA_TRIM_RANGES, request->sector, request->count) != request->count)
        return -E_RANGE;
    piece_write((struct ahci_table *)(void *)page, work, address + AHCI_TRIM_AT, ATA_TRIM_BLOCK);
    return 0;
}

int64_t ahci_command_build(void *page, uint64_t address, const struct disk_request *request,
                           bool queued, uint32_t slot, struct ahci_work *work)
{
    struct ahci_table *table = page;
    struct ata_command command = {.first = request->sector, .sectors = request->count};
    bool write = request->op != DISK_READ && request->op != OP_SYNC;
    int64_t result = 0;
    *work =
        (struct ahci_work){.flags = (uint16_t)(AHCI_FIS_WORDS | (write ? AHCI_HEADER_WRITE : 0))};
    switch (request->op) {
    case DISK_READ:
    case DISK_WRITE:
        command.op = write    ? queued ? ATA_WRITE_QUEUED : ATA_WRITE
                     : queued ? ATA_READ_QUEUED
                              : ATA_READ;
        result = request->count == 0 || request->count > ATA_SECTORS_MAX
                     ? -E_RANGE
                     : pieces_write(table, request, work);
        break;
    case DISK_DISCARD:
        command = (struct ata_command){.op = ATA_DATASET, .sectors = 1};
        result = trim_write(page, address, request, work);
        break;
    case OP_SYNC:
        command = (struct ata_command){.op = ATA_FLUSH};
        break;
    default:
        return -E_NOT_SUPPORTED;
    }
    ata_fis_build(table->fis, &command, slot);
    return result;
}

void ahci_identify_build(struct ahci_table *table, uint64_t answer, struct ahci_work *work)
{
    *work = (struct ahci_work){.flags = AHCI_FIS_WORDS};
    piece_write(table, work, answer, ATA_IDENTIFY_BYTES);
    ata_fis_build(table->fis, &(struct ata_command){.op = ATA_IDENTIFY}, 0);
}

void ahci_flush_build(struct ahci_table *table, struct ahci_work *work)
{
    *work = (struct ahci_work){.flags = AHCI_FIS_WORDS};
    ata_fis_build(table->fis, &(struct ata_command){.op = ATA_FLUSH}, 0);
}
