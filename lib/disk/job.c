/* Jobs: the commands of clients, step by step.
 *
 *     BEFORE --> DATA --> ROUND --> DATA ... --> AFTER --> END: answered
 *                  \--> MERGE --/
 *
 * A command on the file's memory is one round. Bytes of a window go through a chunk of DMA memory, round by round; a part of a
 * sector is a round of its own, in which the sector is read, changed and written (MERGE). While that is under way no other
 * write to the sector is, or one of the two would be lost:
 *
 *     part of a sector              another write to it
 *     read it                       waits in disk->blocked
 *     change it
 *     write it
 *     end ------------------------> starts
 */
#include <stdlib.h>
#include <string.h>

#include "lib/disk/internal.h"
#include "lib/sys/error.h"

static uint32_t sector_of(const struct disk_job *job)
{
    return job->disk->geometry.sector;
}

bool job_writes(const struct disk_job *job)
{
    return job->op == OP_WRITE || job->op == DISK_WRITE || job->op == DISK_DISCARD;
}

static bool has_window(const struct disk_job *job)
{
    return job->op == OP_READ || job->op == OP_WRITE;
}

/* --- Chunks --- */

static struct disk_chunk *chunk_new(struct disk_host *host)
{
    struct disk_chunk *chunk = host->chunk_count < CHUNKS_MAX ? calloc(1, sizeof(*chunk)) : NULL;
    int64_t result;
    if (!chunk)
        return NULL;
    do
        result = memory_of(host)->make(host, CHUNK_BYTES, &chunk->dma);
    while (result == -E_RESTARTED); /* the bus; what it had given already goes with our claim */
    if (result < 0) {
        free(chunk);
        return NULL;
    }
    list_init(&chunk->link);
    host->chunk_count++;
    return chunk;
}

/* False: it waits for one, or has failed because there will be none. */
static bool chunk_get(struct disk_job *job)
{
    struct disk_host *host = job->disk->host;
    if (!job->chunk && list_empty(&host->starving))
        job->chunk = list_pop(&host->chunks, struct disk_chunk, link);
    if (!job->chunk)
        job->chunk = chunk_new(host);
    if (job->chunk)
        return true;
    if (host->chunk_count)
        list_append(&host->starving, &job->queued);
    else
        job->status = -E_NO_MEMORY;
    return false;
}

static void chunk_put(struct disk_job *job)
{
    if (job->chunk)
        list_append(&job->disk->host->chunks, &job->chunk->link);
    job->chunk = NULL;
}

bool jobs_feed(struct disk_host *host)
{
    bool any = false;
    while (!list_empty(&host->chunks) && !list_empty(&host->starving)) {
        struct disk_job *job = list_pop(&host->starving, struct disk_job, queued);
        job->chunk = list_pop(&host->chunks, struct disk_chunk, link);
        job_advance(job);
        any = true;
    }
    return any;
}

/* --- Begin and end --- */

static bool overlap(const struct disk_job *a, const struct disk_job *b)
{
    uint64_t sector = sector_of(a);
    return ALIGN_DOWN(a->offset, sector) < b->offset + b->length &&
           ALIGN_DOWN(b->offset, sector) < ALIGN_UP(a->offset + a->length, sector);
}

/* Whether a write that is under way keeps this one from starting. */
static bool is_blocked(const struct disk_job *job)
{
    struct disk *disk = job->disk;
    if (!job_writes(job) || (!disk->unaligned && !job->unaligned))
        return false;
    list_for_each (struct disk_job, other, &disk->jobs, link)
        if (other->started && job_writes(other) && (other->unaligned || job->unaligned) &&
            overlap(job, other))
            return true;
    return false;
}

static void job_start(struct disk_job *job)
{
    if (is_blocked(job)) {
        list_append(&job->disk->blocked, &job->queued);
        return;
    }
    job->started = true;
    job->disk->unaligned += job->unaligned;
    job_advance(job);
}

static void blocked_retry(struct disk *disk)
{
    struct list blocked = LIST_INIT(blocked);
    list_splice(&blocked, &disk->blocked);
    while (!list_empty(&blocked)) {
        struct disk_job *job = list_first(&blocked, struct disk_job, queued);
        list_remove(&job->queued);
        job_start(job);
    }
}

static void job_answer(struct disk_job *job)
{
    struct abi_return reply = {.values = {job->done}};
    bool part = has_window(job) && job->done;
    if (job->op == OP_READ && job->chunk && job->status >= 0 && job->done == job->round) {
        reply.data = (uintptr_t)job->chunk->dma.bytes + job->skip;
        reply.data_length = job->done;
    }
    command_return(job->disk->host->port, job->token, part ? 0 : job->status, &reply);
}

static void job_end(struct disk_job *job)
{
    struct disk *disk = job->disk;
    bool frees = job->started && job_writes(job);
    job_answer(job);
    list_remove(&job->link);
    list_remove(&job->queued);
    disk->unaligned -= job->started && job->unaligned;
    chunk_put(job);
    file_put(job->file);
    free(job->pieces);
    free(job);
    if (frees)
        blocked_retry(disk);
}

int64_t job_begin(struct disk_file *file, const struct command *command, uint64_t offset,
                  uint64_t length, uint32_t flags, struct disk_piece *pieces)
{
    struct disk_job *job = calloc(1, sizeof(*job));
    if (!job) {
        free(pieces);
        return -E_NO_MEMORY;
    }
    *job = (struct disk_job){
        .disk = file->disk,
        .file = file,
        .number = file->host->jobs++,
        .token = command->message.token,
        .op = command->message.op,
        .flags = flags,
        .offset = file->start + offset,
        .length = length,
        .pieces = pieces,
        .most = CHUNK_BYTES,
        .piece = {command->message.args[2], command->message.args[3]},
    };
    job->unaligned = job->op == OP_WRITE && (job->offset | job->length) % sector_of(job);
    list_init(&job->queued);
    list_append(&file->disk->jobs, &job->link);
    file->jobs++;
    job_start(job);
    return COMMAND_HELD;
}

/* --- Rounds --- */

static void make(struct disk_job *job, uint32_t op, uint64_t at, uint64_t length)
{
    job->making.op = op;
    job->making.at = at;
    job->making.left = length;
    queue_add(job);
}

static void make_flush(struct disk_job *job)
{
    if (job->disk->geometry.flags & DISK_HAS_CACHE)
        make(job, OP_SYNC, 0, 0);
}

/* Whole sectors from the job's chunk, or into it. */
static void make_chunk(struct disk_job *job, uint32_t op)
{
    uint64_t length = ALIGN_UP(job->skip + job->round, (uint64_t)sector_of(job));
    job->piece = (struct disk_piece){0, length};
    job->cursor = (struct disk_cursor){.pieces = &job->piece, .pages = job->chunk->dma.pages};
    make(job, op, job->offset + job->done - job->skip, length);
}

/* The caller's bytes of this round, into the chunk; false: he is gone. */
static bool bytes_fetch(struct disk_job *job)
{
    uint64_t got = 0;
    while (got < job->round && job->status >= 0) {
        int64_t count = sys_cmd_read(job->disk->host->port, job->token, job->done + got,
                                     job->chunk->dma.bytes + job->skip + got, job->round - got);
        if (count <= 0)
            job->status = count ? count : -E_FAULT;
        else
            got += (uint64_t)count;
    }
    return job->status >= 0;
}

static void bytes_deliver(struct disk_job *job)
{
    uint64_t put = 0;
    while (put < job->round && job->status >= 0) {
        int64_t count = sys_cmd_write(job->disk->host->port, job->token, job->done + put,
                                      job->chunk->dma.bytes + job->skip + put, job->round - put);
        if (count <= 0)
            job->status = count ? count : -E_FAULT;
        else
            put += (uint64_t)count;
    }
}

static void window_read(struct disk_job *job)
{
    uint64_t left = job->length - job->done;
    job->skip = (job->offset + job->done) % sector_of(job);
    job->round = MIN(left, job->most - job->skip);
    job->stage = STAGE_ROUND;
    make_chunk(job, DISK_READ);
}

/* Whole sectors, or a part of one. */
static void window_write(struct disk_job *job)
{
    uint64_t left = job->length - job->done, sector = sector_of(job);
    job->skip = (job->offset + job->done) % sector;
    if (job->skip || left < sector) {
        job->round = MIN(left, sector - job->skip);
        job->stage = STAGE_MERGE;
        make_chunk(job, DISK_READ);
        return;
    }
    job->round = MIN(ALIGN_DOWN(left, sector), (uint64_t)job->most);
    job->stage = STAGE_ROUND;
    if (bytes_fetch(job))
        make_chunk(job, DISK_WRITE);
}

static void round_begin(struct disk_job *job)
{
    if (job->done == job->length) {
        job->stage = STAGE_AFTER;
    } else if (has_window(job)) {
        if (!chunk_get(job))
            return;
        if (job->op == OP_READ)
            window_read(job);
        else
            window_write(job);
    } else {
        job->round = job->length;
        job->stage = STAGE_ROUND;
        job->cursor = (struct disk_cursor){.pieces = job->pieces ? job->pieces : &job->piece,
                                           .pages = job->file->memory.pages};
        make(job, job->op, job->offset, job->length);
    }
}

/* What a read of one round brought stays in the chunk: it goes with the answer. */
static void round_end(struct disk_job *job)
{
    if (job->op == OP_READ && job->round < job->length)
        bytes_deliver(job);
    if (job->status >= 0)
        job->done += job->round;
    job->stage = STAGE_DATA;
}

static void step(struct disk_job *job)
{
    switch (job->stage) {
    case STAGE_BEFORE:
        job->stage = STAGE_DATA;
        if (job->op == OP_SYNC || job->flags & DISK_FIRST)
            make_flush(job);
        break;
    case STAGE_DATA:
        round_begin(job);
        break;
    case STAGE_MERGE:
        job->stage = STAGE_ROUND;
        if (bytes_fetch(job))
            make_chunk(job, DISK_WRITE);
        break;
    case STAGE_ROUND:
        round_end(job);
        break;
    case STAGE_AFTER:
        job->stage = STAGE_END;
        if (job->flags & DISK_THROUGH && !job->disk->through)
            make_flush(job);
        break;
    case STAGE_END:
        break;
    }
}

/* Some sector of the round is bad: once more, in rounds so small that all in front of it is had. */
static void look_closer(struct disk_job *job)
{
    uint32_t smallest = job->disk->geometry.physical_sector;
    if (job->status != -E_MEDIUM || !has_window(job) || job->most == smallest ||
        job->round <= smallest)
        return;
    job->most = smallest;
    job->status = 0;
    job->stage = STAGE_DATA;
}

void job_advance(struct disk_job *job)
{
    look_closer(job);
    if (job->disk->gone)
        job->status = -E_NO_DEVICE;
    while (job->status >= 0 && job->stage != STAGE_END) {
        step(job);
        if (job->making.op || list_linked(&job->queued))
            return;
    }
    job_end(job);
}

void job_cancel(struct disk_host *host, uint64_t token)
{
    list_for_each (struct disk, disk, &host->disks, link)
        list_for_each (struct disk_job, job, &disk->jobs, link)
            if (job->token == token && !job->under_way && list_linked(&job->queued) && !job->done) {
                job->making.op = 0;
                job->status = -E_INTERRUPTED;
                job_end(job);
                return;
            }
}

void jobs_end_all(struct disk *disk)
{
    list_for_each (struct disk_job, job, &disk->jobs, link)
        list_remove(&job->queued); /* so that the end of one starts no other */
    list_for_each (struct disk_job, job, &disk->jobs, link) {
        job->status = -E_NO_DEVICE;
        job->making.op = 0;
        job_end(job);
    }
}
