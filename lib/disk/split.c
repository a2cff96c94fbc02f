#include "lib/disk/split.h"

/* From place on, how many of `most` bytes lie behind one another. */
static uint64_t run_at(const uint64_t *pages, uint64_t place, uint64_t most)
{
    uint64_t page = place / PAGE_SIZE, run = PAGE_SIZE - place % PAGE_SIZE;
    while (run < most && pages[page + 1] == pages[page] + PAGE_SIZE) {
        page++;
        run += PAGE_SIZE;
    }
    return MIN(run, most);
}

static void cursor_advance(struct disk_cursor *cursor, uint64_t bytes)
{
    cursor->within += bytes;
    if (cursor->within < cursor->pieces[cursor->piece].length)
        return;
    cursor->piece++;
    cursor->within = 0;
}

/* Whether bytes at `address` can be in a request behind `last`. */
static bool fits_behind(const struct disk_segment *last, uint64_t address, bool whole_pages)
{
    uint64_t end = last->address + last->length;
    return !whole_pages || address == end || (address % PAGE_SIZE == 0 && end % PAGE_SIZE == 0);
}

uint32_t disk_split(struct disk_cursor *cursor, uint64_t left, const struct disk_limits *limits,
                    struct disk_segment *segments, uint32_t *count)
{
    uint32_t longest = limits->segment_bytes ? limits->segment_bytes : UINT32_MAX, bytes = 0;
    *count = 0;
    left = MIN(left, limits->bytes);
    while (bytes < left) {
        const struct disk_piece *piece = &cursor->pieces[cursor->piece];
        uint64_t place = piece->place + cursor->within;
        uint64_t run =
            run_at(cursor->pages, place, MIN(piece->length - cursor->within, left - bytes));
        uint64_t address = cursor->pages[place / PAGE_SIZE] + place % PAGE_SIZE;
        struct disk_segment *last = *count ? &segments[*count - 1] : NULL;
        if (last && !fits_behind(last, address, limits->whole_pages))
            break;
        if (last && last->address + last->length == address && last->length < longest) {
            run = MIN(run, longest - last->length);
            last->length += (uint32_t)run;
        } else if (*count < limits->segments) {
            run = MIN(run, longest);
            segments[(*count)++] = (struct disk_segment){address, (uint32_t)run};
        } else {
            break;
        }
        bytes += (uint32_t)run;
        cursor_advance(cursor, run);
    }
    return bytes;
}
