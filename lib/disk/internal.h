/* Between the files of lib/disk.
 *
 *     host.c       the loop, diskd
 *     memory.c     what the device reaches
 *     disk.c       disks that come and go
 *     file.c       what clients have open, their memory, what they ask
 *     hold.c       ... and have for themselves
 *     control.c    ... in Linux's words
 *     job.c        a command of a client, from its arrival to its answer
 *     queue.c      the requests it becomes, and the device
 *     split.c      how long these may be
 *
 *     command --job_begin--> job --queue_add--> requests --start--> the device
 *     answer  <------------- job <--job_advance-- the last one done <--disk_done--
 */
#pragma once

#include "lib/disk/driver.h"
#include "lib/sys/held.h"
#include "lib/sys/service.h"

#define CHUNK_BYTES 0x20000u
#define CHUNKS_MAX  16u

/* What is kept with the port under a file's id is its memory (DISK_MEMORY); under its id with this, its hold. */
#define DISK_HELD (UINT64_C(1) << 62)

/* What an open file is: a range of a disk; or, without a disk, the list of disks. */
struct disk_file {
    struct list link; /* of the disk's files, or the host's watchers */
    struct disk_host *host;
    struct disk *disk;
    uint64_t id, start, length; /* bytes; length UINT64_MAX: to the end, wherever that is */
    uint32_t flags;             /* OPEN_* */
    uint32_t jobs;              /* which use it */
    bool closed;
    struct disk_hold *hold; /* NULL: nothing is for it alone */
    struct pci_dma memory;  /* of DISK_MEMORY; memory HANDLE_NONE: none yet */
    struct list
        asking; /* struct held: DISK_MEMORY that waits for jobs; argument: those of lower numbers */
};

struct disk_chunk {
    struct list link; /* of those that are free */
    struct pci_dma dma;
};

enum disk_stage {
    STAGE_BEFORE, /* what was written before goes to the medium */
    STAGE_DATA,   /* a round: all of it, or as much as a chunk holds */
    STAGE_MERGE,  /* the sector was read of which a part is written */
    STAGE_ROUND,  /* the round is done */
    STAGE_AFTER,  /* this goes to the medium */
    STAGE_END,
};

struct disk_job {
    struct list link;   /* of the disk's jobs */
    struct list queued; /* in ready, blocked or starving */
    struct disk *disk;
    struct disk_file *file;
    uint64_t number; /* of all, in the order they begin */
    uint64_t token;
    uint32_t op, flags;
    enum disk_stage stage;
    int64_t status;
    uint64_t offset, length; /* bytes, of the disk */
    uint64_t done;
    bool started, unaligned;

    /* This round: `round` of the caller's bytes, which begin `skip` bytes behind the first sector. */
    uint64_t round, skip;
    uint32_t most; /* bytes a round may have */
    struct disk_chunk *chunk;
    struct disk_piece piece, *pieces; /* the one, or all of them */
    struct disk_cursor cursor;

    /* What requests are made of (queue.c): op 0 means nothing, and that all are made. */
    struct {
        uint32_t op;
        uint64_t at, left; /* bytes, of the disk */
    } making;
    uint32_t under_way; /* requests */
};

/* --- disk.c --- */

/* One that is gone and that nobody has open any more is the driver's again. */
void disk_release(struct disk *disk);

/* --- memory.c --- */

/* Of the host, whatever reaches it. */
const struct disk_memory *memory_of(const struct disk_host *host);

/* --- hold.c --- */

/* As it is opened: with OPEN_EXCLUSIVE it has its range for itself from now on. E_BUSY: another file holds a part of that, or writes there now; or
 * holds all that this one could write. */
MUST_CHECK int64_t hold_open(struct disk_file *file);
/* E_BUSY: another file, opened for writing, holds a part of this range of the file's. */
MUST_CHECK int64_t hold_check(const struct disk_file *file, uint64_t offset, uint64_t length);
void hold_drop(struct disk_file *file);
/* What is kept under the key is a hold of a file that was open with the driver before. */
void hold_recover(struct disk_host *host, uint64_t key);
/* The disk is gone, and with it what was held of it. */
void holds_end(struct disk *disk);

/* --- job.c --- */

bool job_writes(const struct disk_job *job);

/* The command of op on `length` bytes at offset, of the file; held from now on. pieces are the job's to free, and may be NULL. */
MUST_CHECK int64_t job_begin(struct disk_file *file, const struct command *command, uint64_t offset,
                             uint64_t length, uint32_t flags, struct disk_piece *pieces);
/* Nothing of it is under way any more, and no request is to be made. */
void job_advance(struct disk_job *job);
void job_cancel(struct disk_host *host, uint64_t token);
/* Chunks that have become free go to the jobs that wait for one, oldest first. False: to none. */
bool jobs_feed(struct disk_host *host);
/* Those of a disk that is gone end. */
void jobs_end_all(struct disk *disk);

/* --- queue.c --- */

/* There is at least one request for the disk from now on. */
MUST_CHECK int64_t queue_begin(struct disk *disk);
/* All of its requests are done, and nobody will want more. */
void queue_end(struct disk *disk);

/* Requests for job->making are made from now on. */
void queue_add(struct disk_job *job);
/* As much is started as the devices take. */
void queue_pump(struct disk_host *host);
/* Everything of a disk that is gone is done. */
void queue_end_all(struct disk *disk);
int64_t queue_deadline(const struct disk_host *host);
void queue_expired(struct disk_host *host);

/* --- file.c --- */

extern command_handler *const disk_file_operations[SERVICE_OPERATIONS];

command_handler disk_sync, disk_discard, disk_control;

/* The file of a command, if it is of a disk that is there. */
MUST_CHECK int64_t file_find(const struct command *command, struct disk_file **file);
void file_put(struct disk_file *file); /* a job less */
/* A command that no job is of. */
void file_cancel(struct disk_host *host, uint64_t token);
void file_closed(void *context, uint64_t cookie);
/* What is kept of files that were open with the driver before: memory nobody has goes, holds are known again. */
void files_recover(struct disk_host *host);
/* The list of disks has changed. */
void files_tell(struct disk_host *host);
/* Bytes the file has now. */
uint64_t file_length(const struct disk_file *file);
