/* See heap.h. Each allocation has a header of 16 bytes before it: its size class, or its length in pages. Chunks
 * are cut from runs of pages that are never given back: what the personality needs is bounded by descriptors and
 * threads, and reused. */
#include "lib/linux/heap.h"

#include "abi/abi.h"
#include "abi/startup.h"
#include "lib/base/string.h"
#include "lib/linux/lock.h"

#define CLASS_SMALLEST 5u  /* 32 bytes */
#define CLASS_LARGEST  11u /* 2 KiB */
#define RUN_LENGTH     (64u * 1024)
#define HEAP_HINT      UINT64_C(0x7fff80000000) /* out of programs' way, below the personality */

struct header {
    uint64_t class; /* CLASS_*, or 0: pages */
    uint64_t length;
};

struct chunk {
    struct header header;
    struct chunk *next;
};

static struct lock heap_guard;
static struct chunk *free_chunks[CLASS_LARGEST + 1];
static char *run;
static size_t run_left;

void heap_lock(void)
{
    lock(&heap_guard);
}

void heap_unlock(void)
{
    unlock(&heap_guard);
}

int64_t pages_map(struct abi_map *map)
{
    int64_t address;

    map->flags |= MAP_FIXED_ | MAP_NOREPLACE_;
    do { /* again if another thread was quicker */
        address = sys_space_op(HANDLE_SELF, SPACE_OP_FIND, HEAP_HINT, map->length, 0);
        if (address < 0)
            break;
        map->address = (uint64_t)address;
        address = sys_space_map(HANDLE_SELF, map);
    } while (address == -E_EXISTS);
    return address;
}

void *pages_alloc(size_t length)
{
    struct abi_map map = {
        .length = ALIGN_UP(length, PAGE_SIZE),
        .memory = HANDLE_NONE,
        .protection = PROT_READ_ | PROT_WRITE_,
    };
    int64_t address = pages_map(&map);

    return address < 0 ? NULL : (void *)address;
}

void pages_free(void *address, size_t length)
{
    if (address)
        sys_ignore(sys_space_unmap(HANDLE_SELF, (uint64_t)address, ALIGN_UP(length, PAGE_SIZE)));
}

static struct chunk *chunk_cut(unsigned class)
{
    size_t size = (size_t)1 << class;

    if (run_left < size) {
        char *fresh = pages_alloc(RUN_LENGTH);
        if (!fresh)
            return NULL;
        run = fresh;
        run_left = RUN_LENGTH;
    }
    struct chunk *chunk = (struct chunk *)run;
    run += size;
    run_left -= size;
    chunk->header.class = class;
    return chunk;
}

void *heap_alloc(size_t size)
{
    size_t total = size + sizeof(struct header);
    unsigned class = total <= (1u << CLASS_SMALLEST) ? CLASS_SMALLEST
                                                     : 64 - (unsigned)__builtin_clzll(total - 1);

    if (total < size)
        return NULL;
    if (class > CLASS_LARGEST) {
        struct header *header = pages_alloc(total);
        if (!header)
            return NULL;
        *header = (struct header){0, total};
        return header + 1;
    }
    lock(&heap_guard);
    struct chunk *chunk = free_chunks[class];
    if (chunk)
        free_chunks[class] = chunk->next;
    else
        chunk = chunk_cut(class);
    unlock(&heap_guard);
    return chunk ? &chunk->header + 1 : NULL;
}

void heap_free(void *pointer)
{
    if (!pointer)
        return;
    struct header *header = (struct header *)pointer - 1;
    if (!header->class) {
        pages_free(header, header->length);
        return;
    }
    struct chunk *chunk = (struct chunk *)header;
    lock(&heap_guard);
    chunk->next = free_chunks[header->class];
    free_chunks[header->class] = chunk;
    unlock(&heap_guard);
}

char *heap_string(const char *text, size_t length)
{
    char *copy = heap_alloc(length + 1);

    if (copy) {
        memcpy(copy, text, length);
        copy[length] = '\0';
    }
    return copy;
}
