/* Chunks of contiguous RAM, and the pages of them that are free. */
#include "sbin/pcid/pages.h"

#include <stdlib.h>
#include <string.h>

#include "lib/sys/keep.h"
#include "lib/sys/map.h"
#include "lib/sys/startup.h"

#define KEY_TABLES \
    (UINT64_C(1) << 62) /* and the two numbers below: of the generation, and of the chunk */
#define GENERATION  32u
#define CHUNK_PAGES 64u
#define CHUNK_SIZE  (CHUNK_PAGES * PAGE_SIZE)

struct chunk {
    struct chunk *next;
    uint8_t *memory;
    uint64_t physical;
};

struct free_page {
    struct free_page *next;
};

static handle_t port;
static uint64_t generation, chunk_count;
static struct chunk *chunks;
static struct free_page *free_pages;
static bool flushes;

static uint64_t key_of(uint64_t of_generation, uint64_t chunk)
{
    return KEY_TABLES | of_generation << GENERATION | chunk;
}

/* The first key that is kept, of any generation, from *key on. */
static bool kept_next(uint64_t *key)
{
    struct abi_kept kept = {.key = *key};

    if (sys_port_kept(port, &kept) < 0)
        return false;
    handle_drop(kept.handle);
    *key = kept.key;
    return kept.key < KEY_TABLES << 1;
}

/* Which of the generations before an IOMMU looks at is not asked: all stay until none is looked at. */
void pages_start(handle_t own)
{
    port = own;
    for (uint64_t key = KEY_TABLES; kept_next(&key); key++)
        generation = ((key & ~KEY_TABLES) >> GENERATION) + 1;
}

void pages_not_snooped(void)
{
    flushes = true;
}

void pages_forget_old(void)
{
    for (uint64_t key = KEY_TABLES; kept_next(&key) && key < key_of(generation, 0); key++)
        sys_ignore(sys_port_keep(port, key, HANDLE_NONE));
}

static int64_t chunk_map(struct chunk *chunk, handle_t memory)
{
    int64_t result = sys_port_keep(port, key_of(generation, chunk_count), memory);

    if (result < 0)
        return result;
    chunk_count++;
    result = sys_memory_op(memory, MEMORY_OP_PHYSICAL, 0, PAGE_SIZE, &chunk->physical);
    if (result >= 0)
        result = memory_map(memory, 0, CHUNK_SIZE, PROT_READ_ | PROT_WRITE_);
    chunk->memory = (uint8_t *)(uintptr_t)result;
    return result;
}

static bool chunk_add(void)
{
    struct chunk *chunk = malloc(sizeof(*chunk));
    int64_t memory = chunk ? sys_memory_physical(startup_handle("dma:0x0"), 0, CHUNK_SIZE,
                                                 MEMORY_STAYS | MEMORY_CONTIGUOUS)
                           : -E_NO_MEMORY;
    int64_t result = memory < 0 ? memory : chunk_map(chunk, (handle_t)memory);

    if (memory >= 0)
        handle_drop((handle_t)memory);
    if (result < 0) {
        free(chunk);
        return false;
    }
    chunk->next = chunks;
    chunks = chunk;
    for (uint32_t i = 0; i < CHUNK_PAGES; i++)
        pages_tables.put((uint64_t *)(void *)(chunk->memory + i * PAGE_SIZE));
    return true;
}

static void flush_line(const void *line)
{
    __asm__ volatile("clflush %0" : : "m"(*(const uint8_t *)line));
}

static uint64_t *page_get(uint64_t *physical)
{
    if (!free_pages && !chunk_add())
        return NULL;
    uint8_t *page = (uint8_t *)free_pages;
    free_pages = free_pages->next;
    memset(page, 0, PAGE_SIZE);
    for (uint32_t at = 0; flushes && at < PAGE_SIZE; at += 64)
        flush_line(page + at);
    for (const struct chunk *chunk = chunks; chunk; chunk = chunk->next)
        if (page >= chunk->memory && page < chunk->memory + CHUNK_SIZE)
            *physical = chunk->physical + (uint64_t)(page - chunk->memory);
    return (uint64_t *)(void *)page;
}

static void page_put(uint64_t *page)
{
    struct free_page *unused = (struct free_page *)page;

    unused->next = free_pages;
    free_pages = unused;
}

static uint64_t *page_at(uint64_t physical)
{
    for (const struct chunk *chunk = chunks; chunk; chunk = chunk->next)
        if (physical >= chunk->physical && physical < chunk->physical + CHUNK_SIZE)
            return (uint64_t *)(void *)(chunk->memory + (physical - chunk->physical));
    return NULL;
}

/* An IOMMU reads what was written before it is told (a register, uncached: ordered behind), or when it comes by. */
static void page_written(const uint64_t *entry)
{
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (flushes)
        flush_line(entry);
}

const struct table_pages pages_tables = {page_get, page_put, page_at, page_written};
