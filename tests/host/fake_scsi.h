/* What a disk does with SCSI commands, whatever brings them.
 *
 *     fake_scsi_init(&scsi)
 *     fake_scsi_run(&scsi, bytes)                    whether it failed; else scsi.length bytes are in scsi.answer, or wanted:
 *     fake_scsi_take(&scsi, bytes, data, count)
 */
#pragma once

#include <stdbool.h>

#include "lib/usb/storage.h"
#include "tests/host/test.h"

#define FAKE_BLOCK  512u
#define FAKE_BLOCKS 64u

struct fake_scsi {
    uint8_t inquiry[36];
    uint64_t blocks;               /* as the capacity says; there are FAKE_BLOCKS */
    uint8_t mode[16], mode_length; /* 0: MODE SENSE is unknown */
    bool no_flush;
    uint32_t unmap_most, unmap_unit;     /* 0: it knows no UNMAP */
    uint8_t reported[8], reported_count; /* units; 0: REPORT LUNS is unknown */
    /* What it was asked for. */
    uint32_t flushes, starts;

    uint8_t content[FAKE_BLOCKS * FAKE_BLOCK], answer[FAKE_BLOCKS * FAKE_BLOCK];
    uint32_t length;
    struct scsi_sense told;
};

static uint64_t fake_number(const uint8_t *bytes, size_t count)
{
    uint64_t value = 0;
    while (count--)
        value = value << 8 | *bytes++;
    return value;
}

static uint8_t fake_scsi_page(struct fake_scsi *disk, uint8_t page)
{
    disk->told = (struct scsi_sense){5, 0x24, 0};
    if (!disk->unmap_most || (page != 0xb0 && page != 0xb2))
        return 1;
    disk->answer[1] = page;
    disk->answer[3] = 0x3c;
    if (page == 0xb2)
        disk->answer[5] = 0x80;
    else
        for (int i = 0; i < 4; i++) {
            disk->answer[20 + i] = (uint8_t)(disk->unmap_most >> (24 - 8 * i));
            disk->answer[24 + i] = 0xff;
            disk->answer[28 + i] = (uint8_t)(disk->unmap_unit >> (24 - 8 * i));
        }
    disk->length = 64;
    return 0;
}

/* What the command answers or takes; whether it failed, and then why stands in `told`. */
static uint8_t fake_scsi_run(struct fake_scsi *disk, const uint8_t *scsi)
{
    uint64_t block = scsi[0] & 0x80 ? fake_number(scsi + 2, 8) : fake_number(scsi + 2, 4);
    uint32_t count =
        (uint32_t)(scsi[0] & 0x80 ? fake_number(scsi + 10, 4) : fake_number(scsi + 7, 2));
    memset(disk->answer, 0, sizeof(disk->answer));
    disk->length = 0;
    switch (scsi[0]) {
    case 0x00:
        return 0;
    case 0x03:
        disk->answer[0] = 0x70;
        disk->answer[2] = disk->told.key;
        disk->answer[7] = 10;
        disk->answer[12] = disk->told.code;
        disk->answer[13] = disk->told.qualifier;
        disk->length = 18;
        disk->told = (struct scsi_sense){0};
        return 0;
    case 0x12:
        if (scsi[1] & 1)
            return fake_scsi_page(disk, scsi[2]);
        memcpy(disk->answer, disk->inquiry, disk->length = sizeof(disk->inquiry));
        return 0;
    case 0x1a:
        memcpy(disk->answer, disk->mode, disk->length = disk->mode_length);
        disk->told = (struct scsi_sense){5, 0x20, 0};
        return !disk->mode_length;
    case 0x1b:
        disk->starts++;
        return 0;
    case 0x25:
        for (int i = 0; i < 4; i++)
            disk->answer[i] =
                (uint8_t)(MIN(disk->blocks - 1, UINT64_C(0xffffffff)) >> (24 - 8 * i));
        disk->answer[6] = FAKE_BLOCK >> 8;
        disk->length = 8;
        return 0;
    case 0x9e:
        for (int i = 0; i < 8; i++)
            disk->answer[i] = (uint8_t)((disk->blocks - 1) >> (56 - 8 * i));
        disk->answer[10] = FAKE_BLOCK >> 8;
        disk->answer[13] = 3;
        disk->answer[14] = disk->unmap_most ? 0x80 : 0;
        disk->length = 32;
        return 0;
    case 0x28:
    case 0x88:
    case 0x2a:
    case 0x8a:
        disk->length = count * FAKE_BLOCK;
        if (!(scsi[0] & 2))
            memcpy(disk->answer, disk->content + block % FAKE_BLOCKS * FAKE_BLOCK, disk->length);
        return 0;
    case 0x42:
        disk->length = 24;
        disk->told = (struct scsi_sense){5, 0x20, 0};
        return !disk->unmap_most;
    case 0xa0:
        disk->answer[3] = 8 * disk->reported_count;
        for (uint32_t i = 0; i < disk->reported_count; i++)
            disk->answer[8 + 8 * i + 1] = disk->reported[i];
        disk->length = disk->reported_count ? 8 + 8u * disk->reported_count : 0;
        disk->told = (struct scsi_sense){5, 0x20, 0};
        return !disk->reported_count;
    case 0x35:
        disk->flushes++;
        disk->told = (struct scsi_sense){5, 0x20, 0};
        return disk->no_flush;
    default:
        disk->told = (struct scsi_sense){5, 0x20, 0};
        return 1;
    }
}

static void fake_scsi_unmap(struct fake_scsi *disk, const uint8_t *list, uint32_t count)
{
    CHECK_EQUAL(count, 24);
    CHECK_EQUAL(fake_number(list, 2), 22);
    CHECK_EQUAL(fake_number(list + 2, 2), 16);
    uint64_t block = fake_number(list + 8, 8), blocks = fake_number(list + 16, 4);
    CHECK(blocks <= disk->unmap_most && block + blocks <= FAKE_BLOCKS);
    memset(disk->content + block * FAKE_BLOCK, 0, blocks * FAKE_BLOCK);
}

static void fake_scsi_take(struct fake_scsi *disk, const uint8_t *scsi, const uint8_t *data,
                           uint32_t count)
{
    uint64_t block = fake_number(scsi + 2, scsi[0] & 0x80 ? 8 : 4);
    if (scsi[0] == 0x42)
        fake_scsi_unmap(disk, data, count);
    else
        memcpy(disk->content + block % FAKE_BLOCKS * FAKE_BLOCK, data, count);
}

static void fake_scsi_init(struct fake_scsi *disk)
{
    memcpy(disk->inquiry, "\0\0\5\2\37\0\0\0FAKE    A disk\x01         1.0 ", 36);
    for (uint32_t i = 0; i < sizeof(disk->content); i++)
        disk->content[i] = (uint8_t)(i * 7 + i / FAKE_BLOCK);
    if (!disk->blocks)
        disk->blocks = FAKE_BLOCKS;
}
