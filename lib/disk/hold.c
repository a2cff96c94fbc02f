/* Holds: parts of disks that one open file has for itself (OPEN_EXCLUSIVE; docs/decisions/031).
 *
 *     hold_open(file)                    takes one, or finds its own again: E_BUSY
 *     hold_check(file, offset, length)   may it write there?
 *     hold_drop(file)                    it ends
 *     hold_recover(host, key)            one that was taken with the driver before
 *
 * A hold is the file's, by the relay's number of it, and is kept with the port before the file is open: so it goes on whoever of the driver
 * and the file's owner is killed, until the relay knows the file no longer. The relay is asked when somebody else comes for it, as
 * closings are heard of late, and never of files that were not opened again since the driver began.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/disk/internal.h"
#include "lib/sys/error.h"
#include "lib/sys/keep.h"

/* As it lies with the port, under DISK_HELD and the file's id. */
struct hold_record {
    uint64_t start, length;
    char disk[DISK_NAME_MAX + 1];
    uint32_t flags; /* OPEN_* */
    uint32_t whole; /* written last */
};

struct disk_hold {
    struct list link;       /* of the host's */
    struct disk_file *file; /* NULL: not opened again yet */
    uint64_t id;
    struct hold_record record;
};

static bool overlap(uint64_t start, uint64_t length, uint64_t other_start, uint64_t other_length)
{
    if (!length || !other_length)
        return false;
    return start < other_start ? length > other_start - start : other_length > start - other_start;
}

static bool covers(const struct disk_hold *hold, const struct disk_file *file)
{
    const struct hold_record *record = &hold->record;
    return file->start >= record->start && file->start - record->start <= record->length &&
           file->length <= record->length - (file->start - record->start);
}

static void hold_remove(struct disk_host *host, struct disk_hold *hold)
{
    if (hold->file)
        hold->file->hold = NULL;
    sys_ignore(sys_port_keep(host->port, DISK_HELD | hold->id, HANDLE_NONE));
    list_remove(&hold->link);
    free(hold);
}

/* Its commands may be under way still when the file is closed. */
static bool is_in_use(const struct disk_hold *hold, struct disk *disk)
{
    const struct disk_driver *driver = disk->host->driver;
    if (hold->file && hold->file->jobs)
        return true;
    if (driver->opens && driver->opens(disk, hold->id) < 0)
        return false; /* of a medium that was here before */
    return sys_file_ready(disk->host->port, hold->id, READY_TELL, 0) != -E_NOT_FOUND;
}

/* Another file's on a part of this range of the disk, that was opened with these flags; NULL: there is none. */
static struct disk_hold *hold_find(const struct disk_file *file, uint64_t start, uint64_t length,
                                   uint32_t flags)
{
    list_for_each (struct disk_hold, hold, &file->host->holds, link) {
        if (hold->id == file->id || (hold->record.flags & flags) != flags ||
            strcmp(hold->record.disk, file->disk->name) != 0 ||
            !overlap(start, length, hold->record.start, hold->record.length))
            continue;
        if (is_in_use(hold, file->disk))
            return hold;
        hold_remove(file->host, hold);
    }
    return NULL;
}

static bool others_write(const struct disk_file *file)
{
    list_for_each (struct disk_job, job, &file->disk->jobs, link)
        if (job->file != file && job_writes(job) &&
            overlap(job->offset, job->length, file->start, file->length))
            return true;
    return false;
}

static int64_t hold_keep(const struct disk_host *host, const struct disk_hold *hold)
{
    struct hold_record *kept = keep_memory(host->port, DISK_HELD | hold->id, sizeof(*kept));
    if (!kept)
        return -E_NO_MEMORY;
    *kept = hold->record;
    keep_commit(&kept->whole, 1);
    keep_release(kept, sizeof(*kept));
    return 0;
}

static int64_t hold_take(struct disk_file *file)
{
    if (hold_find(file, file->start, file->length, 0) || others_write(file))
        return -E_BUSY;
    struct disk_hold *hold = calloc(1, sizeof(*hold));
    if (!hold)
        return -E_NO_MEMORY;
    hold->file = file;
    hold->id = file->id;
    hold->record.start = file->start;
    hold->record.length = file->length;
    hold->record.flags = file->flags;
    strcpy(hold->record.disk, file->disk->name);
    int64_t result = hold_keep(file->host, hold);
    if (result < 0) {
        free(hold);
        return result;
    }
    list_append(&file->host->holds, &hold->link);
    file->hold = hold;
    return 0;
}

/* The relay opens it again, without the flag. */
static bool hold_again(struct disk_file *file)
{
    list_for_each (struct disk_hold, hold, &file->host->holds, link)
        if (hold->id == file->id) {
            hold->file = file;
            file->hold = hold;
            return true;
        }
    return false;
}

int64_t hold_open(struct disk_file *file)
{
    if (hold_again(file) || file->flags & OPEN_PATH)
        return 0;
    if (file->flags & OPEN_EXCLUSIVE)
        return hold_take(file);
    if (!(file->flags & OPEN_WRITE))
        return 0;
    /* Who could write nowhere is told at once, but not again who had it open before (his number is lower): he reads on. */
    const struct disk_hold *hold = hold_find(file, file->start, file->length, OPEN_WRITE);
    return hold && hold->id < file->id && covers(hold, file) ? -E_BUSY : 0;
}

int64_t hold_check(const struct disk_file *file, uint64_t offset, uint64_t length)
{
    if (likely(file->hold || list_empty(&file->host->holds)))
        return 0; /* what it holds nobody else does */
    return hold_find(file, file->start + offset, length, OPEN_WRITE) ? -E_BUSY : 0;
}

void hold_drop(struct disk_file *file)
{
    if (file->hold)
        hold_remove(file->host, file->hold);
}

void holds_end(struct disk *disk)
{
    list_for_each (struct disk_hold, hold, &disk->host->holds, link)
        if (strcmp(hold->record.disk, disk->name) == 0)
            hold_remove(disk->host, hold);
}

void hold_recover(struct disk_host *host, uint64_t key)
{
    struct hold_record *kept = keep_memory(host->port, key, sizeof(*kept));
    struct disk_hold *hold = kept && kept->whole ? calloc(1, sizeof(*hold)) : NULL;
    if (hold) {
        hold->id = key & ~DISK_HELD;
        hold->record = *kept;
        hold->record.disk[DISK_NAME_MAX] = '\0';
        list_append(&host->holds, &hold->link);
    } else if (kept && !kept->whole) {
        sys_ignore(sys_port_keep(host->port, key, HANDLE_NONE)); /* it was being opened */
    } else {
        fprintf(stderr, "a file's exclusive use is lost: %s\n", error_text(-E_NO_MEMORY));
    }
    keep_release(kept, sizeof(*kept));
}
