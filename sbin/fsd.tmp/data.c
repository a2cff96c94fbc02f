/* See data.h. Over the kernel's memory objects: kept under the inode, MEMORY_OWNED, so that clients who map one cannot
 * change its length. */
#include "sbin/fsd.tmp/data.h"

#include "abi/errors.h"
#include "lib/sys/keep.h"
#include "sbin/fsd.tmp/store.h"

#define ROOM_FIRST (UINT64_C(64) << 10)

static uint64_t whole_pages(uint64_t size)
{
    return ALIGN_UP(size, (uint64_t)PAGE_SIZE);
}

static uint64_t key_of(const struct inode *inode)
{
    return STORE_KEY_DATA + arena_ref(inode);
}

/* What a process that died left of a longer file: as if it had not been. */
static int64_t trim(struct inode *inode, handle_t memory)
{
    uint64_t end = whole_pages(inode->size);
    int64_t result = sys_memory_resize(memory, end);
    if (result >= 0)
        result = sys_memory_op(memory, MEMORY_OP_ZERO, inode->size, end - inode->size, NULL);
    return result;
}

/* The object, made if the file has none yet. */
static int64_t attach(struct inode *inode)
{
    if (inode->epoch == arena->epoch)
        return 0;
    handle_t memory = keep_get(store_port, key_of(inode));
    int64_t result = 0;
    if (memory == HANDLE_NONE) {
        int64_t made = sys_memory_create(whole_pages(inode->size), MEMORY_OWNED);
        if (made < 0)
            return made;
        memory = (handle_t)made;
        result = sys_port_keep(store_port, key_of(inode), memory);
    } else {
        result = trim(inode, memory);
    }
    if (result < 0) {
        handle_drop(memory);
        return result == -E_QUOTA ? -E_NO_SPACE : result;
    }
    inode->memory = memory;
    inode->address = NULL;
    inode->room = 0;
    inode->epoch = arena->epoch;
    return 0;
}

/* What clients wrote behind the end through their mappings does not become part of a file that grows. */
static int64_t zero_tail(const struct inode *inode)
{
    uint64_t tail = whole_pages(inode->size) - inode->size;
    return tail ? sys_memory_op(inode->memory, MEMORY_OP_ZERO, inode->size, tail, NULL) : 0;
}

/* Mapped up to `end`; there is room for some growth, for behind the object's end nothing is touched. */
static int64_t map(struct inode *inode, uint64_t end)
{
    int64_t result = attach(inode);
    if (result < 0 || (inode->address && end <= inode->room))
        return result;
    uint64_t room = ROOM_FIRST;
    while (room < end)
        room *= 2;
    struct abi_map request = {
        .length = room,
        .memory = inode->memory,
        .protection = PROT_READ_ | PROT_WRITE_,
        .flags = MAP_SHARED_,
    };
    result = sys_space_map(HANDLE_SELF, &request);
    if (result < 0)
        return result;
    keep_release(inode->address, inode->room);
    inode->address = (void *)result;
    inode->room = room;
    return 0;
}

int64_t data_view(struct inode *inode, uint64_t offset, const void **bytes)
{
    int64_t result = map(inode, inode->size);
    *bytes = (const char *)inode->address + offset;
    return result;
}

int64_t data_window(struct inode *inode, uint64_t offset, uint64_t length, void **bytes)
{
    int64_t result = map(inode, offset + length);
    *bytes = (char *)inode->address + offset;
    return result;
}

void data_count(struct inode *inode)
{
    struct volume *volume = inode_volume(inode);
    if (attach(inode) < 0)
        return;
    int64_t count = sys_memory_op(inode->memory, MEMORY_OP_COUNT, 0, 0, NULL);
    if (count < 0 || (uint64_t)count == inode->pages)
        return;
    arena_set(&volume->used, volume->used - inode->pages + (uint64_t)count);
    arena_set(&inode->pages, (uint64_t)count);
}

int64_t data_reach(struct inode *inode, uint64_t offset, uint64_t *length)
{
    struct volume *volume = inode_volume(inode);
    uint64_t first = offset / PAGE_SIZE, in_page = PAGE_SIZE - offset % PAGE_SIZE;
    if (offset >= FILE_SIZE_MAX)
        return -E_FILE_TOO_BIG;
    *length = MIN(*length, FILE_SIZE_MAX - offset);
    uint64_t last = (offset + *length - 1) / PAGE_SIZE;
    if (last - first + 1 > volume->limit - MIN(volume->used, volume->limit))
        *length =
            MIN(*length, in_page); /* nearly full: a page at a time, which may be there already */
    int64_t result = attach(inode);
    uint64_t end = whole_pages(offset + *length);
    if (result >= 0 && offset > inode->size)
        result = zero_tail(inode);
    if (result >= 0 && end > whole_pages(inode->size))
        result = sys_memory_resize(inode->memory, end);
    return result;
}

int64_t data_written(struct inode *inode, uint64_t offset, uint64_t length)
{
    struct volume *volume = inode_volume(inode);
    uint64_t before = inode->pages;
    int64_t count = sys_memory_op(inode->memory, MEMORY_OP_COUNT, 0, 0, NULL);
    if (count < 0)
        return count;
    arena_set(&volume->used, volume->used - before + (uint64_t)count);
    arena_set(&inode->pages, (uint64_t)count);
    if (volume->used <= volume->limit || (uint64_t)count <= before || length > PAGE_SIZE)
        return 0;
    uint64_t start = ALIGN_DOWN(offset, (uint64_t)PAGE_SIZE);
    sys_ignore(sys_memory_op(inode->memory, MEMORY_OP_DECOMMIT, start,
                             whole_pages(offset + length) - start, NULL));
    data_count(inode);
    return -E_NO_SPACE;
}

int64_t data_write(struct inode *inode, uint64_t offset, const void *bytes, uint64_t length)
{
    return sys_memory_op(inode->memory, MEMORY_OP_WRITE, offset, length, (void *)(uintptr_t)bytes);
}

int64_t data_resize(struct inode *inode, uint64_t size)
{
    uint64_t end = whole_pages(size);
    if (size > FILE_SIZE_MAX)
        return -E_FILE_TOO_BIG;
    int64_t result = attach(inode);
    if (result >= 0 && size > inode->size)
        result = zero_tail(inode);
    if (result >= 0)
        result = sys_memory_resize(inode->memory, end);
    if (result < 0)
        return result;
    if (size < inode->size && end > size)
        result = sys_memory_op(inode->memory, MEMORY_OP_ZERO, size, end - size, NULL);
    arena_set(&inode->size, size);
    data_count(inode);
    return result;
}

int64_t data_share(struct inode *inode, bool write)
{
    int64_t result = attach(inode);
    if (result < 0)
        return result;
    return sys_handle_duplicate(inode->memory, RIGHT_READ | RIGHT_EXECUTE | RIGHT_DUPLICATE |
                                                   RIGHT_TRANSFER | (write ? RIGHT_WRITE : 0));
}

/* The files that went in the transaction under way: their bytes go once it is over. */
static struct inode *dropped;

void data_drop(struct inode *inode)
{
    inode->dropped = dropped;
    dropped = inode;
}

void data_finish(bool committed)
{
    for (struct inode *inode = dropped; committed && inode; inode = inode->dropped) {
        if (inode->epoch == arena->epoch) {
            keep_release(inode->address, inode->room);
            handle_drop(inode->memory);
        }
        sys_ignore(sys_port_keep(store_port, key_of(inode), HANDLE_NONE));
    }
    dropped = NULL;
}
