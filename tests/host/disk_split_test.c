/* Pieces of memory, cut into requests: every byte once, in order, within the device's limits. */
// sources: lib/disk/split.c
#include "lib/disk/split.h"

#include "tests/host/test.h"

#define PAGES 64u

static uint64_t pages[PAGES];
static struct disk_segment segments[PAGES * 8];
static uint64_t seed;

static uint32_t random_below(uint32_t limit)
{
    seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % limit;
}

/* Which byte of the memory lies at this address. */
static uint64_t place_of(uint64_t address)
{
    for (uint64_t i = 0; i < PAGES; i++)
        if (address / PAGE_SIZE == pages[i] / PAGE_SIZE)
            return i * PAGE_SIZE + address % PAGE_SIZE;
    return UINT64_MAX;
}

/* Runs of pages that lie behind one another, apart from each other. */
static void pages_scatter(void)
{
    uint64_t at = 0x100000;
    for (uint32_t i = 0; i < PAGES; i++) {
        at += random_below(3) ? PAGE_SIZE : 5 * PAGE_SIZE;
        pages[i] = at;
    }
}

/* The bytes of a request continue those of the pieces from *done on. */
static void check_bytes(const struct disk_piece *pieces, uint64_t *done, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t byte = 0; byte < segments[i].length; byte += 512, *done += 512) {
            uint64_t before = 0;
            const struct disk_piece *piece = pieces;
            while (*done - before >= piece->length)
                before += piece++->length;
            CHECK_EQUAL(place_of(segments[i].address + byte), piece->place + *done - before);
        }
}

static void check_limits(const struct disk_limits *limits, uint32_t count, uint32_t bytes)
{
    uint64_t sum = 0;
    CHECK(count >= 1 && count <= limits->segments && bytes >= 512 && bytes <= limits->bytes);
    for (uint32_t i = 0; i < count; i++) {
        sum += segments[i].length;
        CHECK(segments[i].length && segments[i].length % 512 == 0);
        CHECK(!limits->segment_bytes || segments[i].length <= limits->segment_bytes);
        if (limits->whole_pages && i > 0 &&
            segments[i].address != segments[i - 1].address + segments[i - 1].length)
            CHECK(segments[i].address % PAGE_SIZE == 0 &&
                  (segments[i - 1].address + segments[i - 1].length) % PAGE_SIZE == 0);
    }
    CHECK_EQUAL(sum, bytes);
}

static void check_split(const struct disk_piece *pieces, uint64_t length,
                        const struct disk_limits *limits)
{
    struct disk_cursor cursor = {.pieces = pieces, .pages = pages};
    uint64_t done = 0;
    while (done < length) {
        uint64_t before = done;
        uint32_t count;
        uint32_t bytes = disk_split(&cursor, length - done, limits, segments, &count);
        check_limits(limits, count, bytes);
        check_bytes(pieces, &done, count);
        CHECK_EQUAL(done, before + bytes);
    }
}

TEST(one_piece_that_lies_together_is_one_segment)
{
    struct disk_piece piece = {PAGE_SIZE, 4 * PAGE_SIZE};
    struct disk_cursor cursor = {.pieces = &piece, .pages = pages};
    struct disk_limits limits = {.segments = 4, .bytes = 1u << 20};
    uint32_t count;
    for (uint32_t i = 0; i < PAGES; i++)
        pages[i] = 0x100000 + i * PAGE_SIZE;
    CHECK_EQUAL(disk_split(&cursor, piece.length, &limits, segments, &count), 4 * PAGE_SIZE);
    CHECK_EQUAL(count, 1);
    CHECK_EQUAL(segments[0].address, 0x101000);
}

/* NVMe: whoever begins within a page begins a request. */
TEST(a_gap_within_a_page_begins_another_request)
{
    struct disk_piece two[] = {{512, 1024}, {PAGE_SIZE, PAGE_SIZE}};
    struct disk_cursor cursor = {.pieces = two, .pages = pages};
    struct disk_limits limits = {.segments = 4, .bytes = 1u << 20, .whole_pages = true};
    uint32_t count;
    seed = 1;
    pages_scatter();
    CHECK_EQUAL(disk_split(&cursor, 1024 + PAGE_SIZE, &limits, segments, &count), 1024);
    CHECK_EQUAL(count, 1);
    CHECK_EQUAL(disk_split(&cursor, PAGE_SIZE, &limits, segments, &count), PAGE_SIZE);
}

TEST(any_pieces_and_limits)
{
    for (seed = 1; seed < 4000; seed = seed % 4096 + 1) {
        uint64_t began = seed, length = 0;
        struct disk_piece pieces[8];
        pages_scatter();
        uint32_t count = 1 + random_below(8);
        for (uint32_t i = 0; i < count; i++) {
            uint32_t place = random_below(PAGES * 8 - 1);
            pieces[i].place = place * 512;
            pieces[i].length = (1 + random_below(MIN(PAGES * 8 - place, 60u))) * 512;
            length += pieces[i].length;
        }
        struct disk_limits limits = {.segments = 1 + random_below(6),
                                     .segment_bytes =
                                         random_below(2) * 512 * (1 + random_below(20)),
                                     .bytes = 512 * (1 + random_below(100)),
                                     .whole_pages = random_below(2)};
        check_split(pieces, length, &limits);
        seed = began + 1;
    }
}
