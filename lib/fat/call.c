/* See call.h. */
#include "lib/fat/call.h"

#include "lib/fat/buffer.h"
#include "lib/fat/commit.h"

#define RECORDS_OF_CALL 4u /* a call takes at most */

int64_t call_begin(struct fat_volume *volume)
{
    if (volume->read_only)
        return -E_READ_ONLY;
    if (buffers_crowded(volume, 1) || volume->records_free_count < RECORDS_OF_CALL)
        return commit(volume);
    return 0;
}

static void call_abort(struct fat_volume *volume)
{
    keep_abort(volume);
    buffers_sort(volume);
    records_sort(volume);
    for (uint32_t i = 0; i < volume->taken_count; i++)
        space_give(volume, volume->taken[i]);
    volume->aborts++;
}

int64_t call_end(struct fat_volume *volume, int64_t result)
{
    if (result >= 0)
        keep_commit(volume);
    else if (volume->kept->undo_count || volume->taken_count)
        call_abort(volume);
    volume->taken_count = 0;
    return result;
}

int64_t call_end_numbered(struct fat_volume *volume, int64_t result)
{
    if (result >= 0 && volume->number.number)
        keep_bytes(volume, &volume->kept->number, &volume->number, sizeof(volume->number));
    volume->number.number = 0;
    return call_end(volume, result);
}

void fat_number(struct fat_volume *volume, const struct numbered *number)
{
    volume->number = *number;
}

const struct numbered *fat_numbered(const struct fat_volume *volume)
{
    return &volume->kept->number;
}
