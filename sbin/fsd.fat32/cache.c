/* See cache.h. */
#include "sbin/fsd.fat32/cache.h"

#include <stdlib.h>
#include <string.h>

#include "lib/sys/keep.h"
#include "lib/sys/map.h"
#include "sbin/fsd.fat32/volume.h"

#define PAGE          ((uint64_t)PAGE_SIZE)
#define PAGES(bytes)  (ALIGN_UP((uint64_t)(bytes), PAGE) / PAGE)
#define ROOM_FIRST    (UINT64_C(64) << 10)
#define SCRATCH_PAGES (DEVICE_MEMORY / PAGE)
#define AHEAD_FIRST   UINT64_C(8) /* pages */
#define AHEAD_LAST    UINT64_C(128)
#define FAULT_AHEAD   UINT64_C(16)

/* Where pages are filled before they are moved to their file; untouched in between, so all zero. Devices that read into memory of
 * their own fill that instead, and its pages are copied: no page is cleared, faulted in and unmapped for that. */
static handle_t scratch = HANDLE_NONE;
static uint8_t *scratch_bytes;

static int64_t scratch_make(void)
{
    if (scratch != HANDLE_NONE)
        return 0;
    int64_t memory = sys_memory_create(SCRATCH_PAGES * PAGE, 0);
    if (memory < 0)
        return memory;
    int64_t address =
        memory_map((handle_t)memory, 0, SCRATCH_PAGES * PAGE, PROT_READ_ | PROT_WRITE_);
    if (address < 0) {
        handle_drop((handle_t)memory);
        return address;
    }
    scratch = (handle_t)memory;
    scratch_bytes = (uint8_t *)address;
    return 0;
}

static void scratch_clear(uint64_t pages)
{
    if (scratch != HANDLE_NONE)
        sys_ignore(sys_memory_op(scratch, MEMORY_OP_DECOMMIT, 0, pages * PAGE, NULL));
}

/* --- which pages are present --- */

#define WORD UINT64_C(64) /* pages of one of file->present */

static bool present(const struct file *file, uint64_t page)
{
    return page / WORD < file->words && file->present[page / WORD] >> page % WORD & 1;
}

static void set_present(struct file *file, uint64_t first, uint64_t end, bool is)
{
    uint64_t before = file->count;
    if (!is)
        file->view_length = 0;
    for (uint64_t page = first; page < end && page / WORD < file->words; page++) {
        file->count += (uint64_t)is - present(file, page);
        file->present[page / WORD] ^= (uint64_t)(is != present(file, page)) << page % WORD;
    }
    files_count((int64_t)(file->count - before));
}

/* Room for as many pages as the file has. */
static int64_t words_grow(struct file *file)
{
    uint64_t wanted = PAGES(fat_size(file->node)) / WORD + 1;
    if (wanted <= file->words)
        return 0;
    wanted = MAX(wanted, 2 * file->words);
    uint64_t *grown = realloc(file->present, wanted * sizeof(*grown));
    if (!grown)
        return -E_NO_MEMORY;
    memset(grown + file->words, 0, (wanted - file->words) * sizeof(*grown));
    file->present = grown;
    file->words = wanted;
    return 0;
}

/* As the kernel has it. */
static int64_t look(struct file *file)
{
    uint64_t before = file->count, length = PAGES(file->pages.size) * PAGE;
    memset(file->present, 0, file->words * sizeof(*file->present));
    int64_t result = sys_memory_op(file->pages.memory, MEMORY_OP_PRESENT, 0, length, file->present);
    file->view_length = file->count = 0;
    for (uint64_t i = 0; i < file->words; i++)
        file->count += (uint64_t)__builtin_popcountll(file->present[i]);
    files_count((int64_t)(file->count - before));
    return result;
}

void cache_evict(struct file *file)
{
    if (file->pages.memory == HANDLE_NONE || !file->count)
        return;
    sys_ignore(paged_evict(&file->pages));
    sys_ignore(look(file));
}

bool cache_dirty(const struct file *file)
{
    struct abi_page_run run;
    return file->pages.memory != HANDLE_NONE &&
           sys_memory_op(file->pages.memory, MEMORY_OP_DIRTY, 0, PAGES(file->pages.size) * PAGE,
                         &run) > 0;
}

/* --- the memory --- */

int64_t cache_attach(struct file *file)
{
    bool existed;
    if (file->pages.memory != HANDLE_NONE)
        return 0;
    int64_t result = words_grow(file);
    if (result >= 0)
        result = paged_open(volume_port, STORE_KEY_DATA | file->id, fat_size(file->node),
                            &file->pages, &existed);
    if (result < 0) {
        file->pages.memory = HANDLE_NONE;
        return result;
    }
    return existed ? look(file) : 0;
}

static void unmap(struct file *file)
{
    keep_release(file->address, file->room);
    file->view_length = 0;
    file->address = NULL;
    file->room = 0;
}

/* That something is kept is what the next process wants to know. */
int64_t cache_writable(struct file *file)
{
    if (file->writable)
        return 0;
    int64_t memory = sys_memory_create(PAGE, 0);
    if (memory < 0)
        return memory;
    int64_t result = keep_handle(volume_port, STORE_KEY_WRITTEN | file->id, (handle_t)memory);
    handle_drop((handle_t)memory);
    file->writable = result >= 0;
    return result;
}

static void writable_no_more(struct file *file)
{
    if (file->writable)
        sys_ignore(sys_port_keep(volume_port, STORE_KEY_WRITTEN | file->id, HANDLE_NONE));
    file->writable = false;
}

bool cache_used(struct file *file)
{
    struct abi_kept kept = {.key = STORE_KEY_DATA | file->id, .flags = KEPT_EXACT};
    if (!file->shared || file->pages.memory == HANDLE_NONE)
        return false;
    unmap(file);
    paged_close(&file->pages);
    if (sys_port_kept(volume_port, &kept) < 0)
        return false;
    file->pages.memory = kept.handle;
    file->shared = kept.flags & KEPT_USED;
    if (!file->shared)
        writable_no_more(file);
    return file->shared;
}

void cache_forget(struct file *file)
{
    unmap(file);
    if (file->pages.memory != HANDLE_NONE)
        paged_forget(&file->pages);
    writable_no_more(file);
    set_present(file, 0, file->words * WORD, false);
    free(file->present);
    file->present = NULL;
    file->words = 0;
}

/* Mapped to the file's end; there is room for some growth, for behind the object's end nothing is touched. */
int64_t cache_map(struct file *file, uint64_t offset, uint8_t **bytes)
{
    uint64_t end = fat_size(file->node), room = ROOM_FIRST;
    int64_t result = cache_attach(file);
    if (result >= 0 && (!file->address || end > file->room)) {
        while (room < end)
            room *= 2;
        result = memory_map(file->pages.memory, 0, room, PROT_READ_ | PROT_WRITE_);
        if (result >= 0) {
            unmap(file);
            file->address = (uint8_t *)result;
            file->room = room;
        }
    }
    *bytes = file->address + offset;
    return MIN(result, INT64_C(0));
}

/* Zeros from offset to the end of its page, if there are others. */
static int64_t zero_page_end(struct file *file, uint64_t offset)
{
    uint8_t *bytes;
    uint64_t length = ALIGN_UP(offset, PAGE) - offset;
    if (!length || file->pages.memory == HANDLE_NONE || !present(file, offset / PAGE))
        return 0;
    int64_t result = cache_map(file, offset, &bytes);
    for (uint64_t i = 0; result >= 0 && i < length; i++)
        if (bytes[i]) {
            memset(bytes + i, 0, length - i);
            break;
        }
    return result;
}

int64_t cache_zero_tail(struct file *file)
{
    return zero_page_end(file, fat_size(file->node));
}

int64_t cache_resize(struct file *file)
{
    uint64_t size = fat_size(file->node), old = file->pages.size;
    file->view_length = 0;
    if (file->pages.memory == HANDLE_NONE)
        return 0;
    int64_t result = words_grow(file);
    if (result >= 0 && PAGES(size) != PAGES(old))
        result = paged_resize(&file->pages, size);
    if (result < 0)
        return result;
    file->pages.size = size;
    if (size >= old)
        return 0;
    set_present(file, PAGES(size), file->words * WORD, false);
    return zero_page_end(file, size);
}

/* --- pages come --- */

/* The source's pages become the file's absent ones, from page `first` on. */
static int64_t supply(struct file *file, uint64_t first, uint64_t count, handle_t source,
                      uint32_t how)
{
    struct abi_supply supply = {.source = source, .flags = how};
    int64_t pages =
        sys_memory_op(file->pages.memory, MEMORY_OP_SUPPLY, first * PAGE, count * PAGE, &supply);
    if (pages < 0)
        return pages;
    set_present(file, first, first + (uint64_t)pages, true);
    return (uint64_t)pages == count ? 0 : -E_NO_MEMORY;
}

/* What the device has of [offset, offset + length) into bytes; zero: they are. */
static int64_t device_fill(struct file *file, uint64_t offset, uint64_t length, uint8_t *bytes,
                           bool zero)
{
    uint64_t done = 0, sector = volume_device.sector;
    while (done < length) {
        struct fat_run run;
        int64_t result = fat_map(file->node, offset + done, length - done, &run);
        if (result < 0)
            return result;
        uint64_t piece = run.length, whole = ALIGN_UP(piece, sector);
        if (run.device != FAT_ZEROS) {
            result = device_read(&volume_device, run.device, bytes + done, whole);
            if (result < 0)
                return result;
            memset(bytes + done + piece, 0, whole - piece);
        } else if (!zero) {
            memset(bytes + done, 0, piece);
        }
        done += piece;
    }
    return 0;
}

static int64_t load_direct(struct file *file, uint64_t first, uint64_t count, uint64_t length)
{
    uint8_t *bytes = volume_device.bytes;
    int64_t result = device_fill(file, first * PAGE, length, bytes, false);
    memset(bytes + length, 0, count * PAGE - length);
    return result < 0 ? result : supply(file, first, count, volume_device.memory, 0);
}

static int64_t load_moved(struct file *file, uint64_t first, uint64_t count, uint64_t length)
{
    int64_t result = scratch_make();
    if (result >= 0)
        result = device_fill(file, first * PAGE, length, scratch_bytes, true);
    if (result >= 0)
        result = supply(file, first, count, scratch, SUPPLY_MOVE);
    if (result < 0)
        scratch_clear(count);
    return result;
}

/* Absent pages that lie together, at most SCRATCH_PAGES. */
static int64_t load(struct file *file, uint64_t first, uint64_t count)
{
    uint64_t start = first * PAGE, size = fat_size(file->node);
    uint64_t length = start < size ? MIN(count * PAGE, size - start) : 0;
    return volume_device.memory == HANDLE_NONE ? load_moved(file, first, count, length)
                                               : load_direct(file, first, count, length);
}

/* The first absent pages of [*first, end) that lie together: how many. */
static uint64_t absent_run(const struct file *file, uint64_t *first, uint64_t end)
{
    while (*first < end && present(file, *first))
        (*first)++;
    uint64_t last = *first;
    while (last < end && last - *first < SCRATCH_PAGES && !present(file, last))
        last++;
    return last - *first;
}

/* A part of the run cannot be read: what is in front of it can. */
static int64_t load_singly(struct file *file, uint64_t first, uint64_t end)
{
    int64_t result = 0;
    for (; result >= 0 && first < end; first++)
        result = present(file, first) ? 0 : load(file, first, 1);
    return result;
}

/* [first, end) is there; what is read is read up to `ahead` if that is absent, too, and can be read. */
static int64_t load_all(struct file *file, uint64_t first, uint64_t end, uint64_t ahead)
{
    uint64_t count;
    int64_t result = cache_attach(file);
    while (result >= 0 && first < end) {
        count = absent_run(file, &first, MAX(end, ahead));
        if (!count || first >= end)
            break;
        result = load(file, first, count);
        if (result == -E_IO && count > 1) /* a bad place is the affair of who reads there */
            result = load_singly(file, first, MIN(first + count, end));
        first += count;
    }
    return result;
}

/* How much of [offset, end) is there, from its beginning on. */
static uint64_t present_from(const struct file *file, uint64_t offset, uint64_t end)
{
    uint64_t at = offset;
    while (at < end && present(file, at / PAGE))
        at = MIN(ALIGN_DOWN(at, PAGE) + PAGE, end);
    return at - offset;
}

int64_t cache_read(struct file *file, uint64_t offset, uint64_t *length)
{
    uint64_t first = offset / PAGE, end = PAGES(offset + *length);
    uint64_t last = PAGES(fat_size(file->node));
    bool goes_on = offset == file->next || offset / PAGE == file->next / PAGE;
    file->next = offset + *length;
    volume_make_room();
    if (absent_run(file, &first, end) == 0)
        return 0;
    file->ahead = goes_on ? MIN(MAX(2 * file->ahead, AHEAD_FIRST), AHEAD_LAST) : 0;
    int64_t result = load_all(file, first, end, MIN(first + file->ahead, last));
    if (result >= 0)
        return 0;
    file->ahead = 0;
    *length = present_from(file, offset, offset + *length);
    return *length ? 0 : result;
}

void cache_view(struct file *file, uint64_t offset, uint64_t length)
{
    uint64_t size = fat_size(file->node), end = ALIGN_UP(offset + length, PAGE);
    bool whole = file->count == PAGES(size);
    file->view = whole ? 0 : ALIGN_DOWN(offset, PAGE);
    file->view_length = MIN(whole ? size : end, size) - file->view;
}

/* --- ... to be written to --- */

/* The pages at the ends of what is written, if there is more in them that counts. */
static int64_t load_ends(struct file *file, uint64_t offset, uint64_t length, uint64_t old)
{
    uint64_t first = offset / PAGE, end = offset + length, last = (end - 1) / PAGE;
    int64_t result = 0;
    if (offset % PAGE && first * PAGE < old && !present(file, first))
        result = load(file, first, 1);
    if (result >= 0 && end % PAGE && end < old && !present(file, last))
        result = load(file, last, 1);
    return result;
}

int64_t cache_prepare(struct file *file, uint64_t offset, uint64_t length, uint64_t old)
{
    volume_make_room();
    int64_t result = cache_attach(file);
    return result < 0 ? result : load_ends(file, offset, length, old);
}

/* Beside the file: zeros around what comes there. */
static int64_t place_beside(uint64_t skip, uint64_t length, struct cache_place *place)
{
    uint64_t rest = ALIGN_UP(skip + length, PAGE) - skip - length;
    uint8_t *bytes = volume_device.bytes;
    if (volume_device.memory == HANDLE_NONE) {
        int64_t result = scratch_make();
        if (result < 0)
            return result;
        bytes = scratch_bytes;
    } else {
        memset(bytes, 0, skip);
        memset(bytes + skip + length, 0, rest);
    }
    *place = (struct cache_place){.bytes = bytes + skip, .length = length, .beside = true};
    return 0;
}

int64_t cache_place(struct file *file, uint64_t offset, uint64_t length, struct cache_place *place)
{
    uint64_t first = offset / PAGE, page = first, end = PAGES(offset + length);
    bool there = present(file, first);
    while (page < end && present(file, page) == there && (there || page - first < SCRATCH_PAGES))
        page++;
    length = MIN(length, page * PAGE - offset);
    if (!there)
        return place_beside(offset % PAGE, length, place);
    *place = (struct cache_place){.length = length};
    return cache_map(file, offset, &place->bytes);
}

int64_t cache_placed(struct file *file, uint64_t offset, const struct cache_place *place,
                     int64_t result)
{
    uint64_t first = offset / PAGE, count = PAGES(offset + place->length) - first;
    if (!place->beside)
        return result;
    if (volume_device.memory != HANDLE_NONE)
        return result < 0 ? result : supply(file, first, count, volume_device.memory, SUPPLY_DIRTY);
    if (result >= 0)
        result = supply(file, first, count, scratch, SUPPLY_MOVE | SUPPLY_DIRTY);
    if (result < 0)
        scratch_clear(count);
    return result;
}

/* --- and go back --- */

/* Of a file that ends in it: what is written behind its end are zeros. */
static int64_t sector_fill(struct file *file, uint64_t offset, uint64_t length, uint64_t whole)
{
    uint8_t *bytes = file->address + offset + length;
    uint64_t rest = whole - length;
    for (uint64_t i = 0; i < rest; i++)
        if (bytes[i])
            return zero_page_end(file, offset + length);
    return 0;
}

static int64_t write_run(void *context, const struct paged *paged, uint64_t offset, uint64_t length)
{
    struct file *file = context;
    uint64_t size = fat_size(file->node), end = MIN(offset + length, size);
    uint8_t *bytes;
    int64_t result = cache_map(file, offset, &bytes);
    (void)paged;
    for (uint64_t piece; result >= 0 && offset < end; offset += piece) {
        struct fat_run run;
        result = fat_map_write(file->node, offset, end - offset, &run);
        if (result < 0)
            break;
        piece = run.length;
        uint64_t whole = ALIGN_UP(piece, (uint64_t)fat_sector_size(volume));
        result = sector_fill(file, offset, piece, whole);
        if (result >= 0)
            result = device_write(&volume_device, run.device, file->address + offset, whole);
        if (result >= 0)
            result = fat_wrote(file->node, offset, whole);
    }
    return result;
}

int64_t cache_write_back(struct file *file)
{
    if (file->pages.memory == HANDLE_NONE || fat_is_unlinked(file->node))
        return 0;
    return paged_write_back(&file->pages, 0, file->pages.size, write_run, file);
}

/* --- the kernel asks --- */

int64_t cache_page_in(void *context, struct command *command)
{
    (void)context;
    struct page_request want = page_request(command);
    struct file *file = file_by_id(want.key & ~STORE_KEY_DATA);
    if (!file)
        return -E_RANGE;
    uint64_t first = want.offset / PAGE, size = PAGES(fat_size(file->node));
    if (first >= size)
        return -E_RANGE;
    file->used = true;
    volume_make_room();
    return load_all(file, first, first + 1, MIN(first + FAULT_AHEAD, size));
}

int64_t cache_page_out(void *context, struct command *command)
{
    (void)context;
    struct page_request want = page_request(command);
    struct file *file = file_by_id(want.key & ~STORE_KEY_DATA);
    if (!file || fat_is_unlinked(file->node))
        return 0;
    file_dirty(file);
    return volume_sync();
}
