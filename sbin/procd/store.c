/* Chunks of slots, and the list of the free ones. */
#include "sbin/procd/store.h"

#include <stdlib.h>
#include <string.h>

#define CHUNK_SIZE 65536u

static size_t slots_per_chunk(const struct store *store)
{
    return CHUNK_SIZE / store->slot_size;
}

static struct slot *slot_at(const struct store *store, size_t index)
{
    size_t per_chunk = slots_per_chunk(store);
    uint8_t *chunk = store->chunks[index / per_chunk];
    return (struct slot *)(void *)(chunk + index % per_chunk * store->slot_size);
}

/* Maps the next chunk, new or found. */
static bool chunk_add(struct store *store)
{
    uint8_t **chunks = realloc(store->chunks, (store->chunk_count + 1) * sizeof(*chunks));
    if (!chunks)
        return false;
    store->chunks = chunks;
    uint8_t *chunk = keep_memory(store->port, store->key + store->chunk_count, CHUNK_SIZE);
    if (!chunk)
        return false;
    chunks[store->chunk_count++] = chunk;
    size_t end = store->chunk_count * slots_per_chunk(store);
    for (size_t i = end - slots_per_chunk(store); i < end; i++) {
        struct slot *slot = slot_at(store, i);
        if (slot->used != SLOT_USED)
            list_append(&store->free, &slot->free);
    }
    return true;
}

bool store_open(struct store *store, handle_t port, uint64_t key, size_t slot_size)
{
    *store = (struct store){.port = port, .key = key, .slot_size = ALIGN_UP(slot_size, 16)};
    list_init(&store->free);
    do
        if (!chunk_add(store))
            return false;
    while (keep_exists(port, store->key + store->chunk_count));
    return true;
}

void *store_alloc(struct store *store)
{
    struct slot *slot = list_first(&store->free, struct slot, free);
    if (!slot) {
        if (!chunk_add(store))
            return NULL;
        slot = list_first(&store->free, struct slot, free);
    }
    list_remove(&slot->free);
    memset(slot, 0, store->slot_size);
    return slot;
}

void store_free(struct store *store, void *record)
{
    struct slot *slot = record;
    keep_commit(&slot->used, 0);
    list_prepend(&store->free, &slot->free);
}

void *store_next(const struct store *store, size_t *index)
{
    size_t count = store->chunk_count * slots_per_chunk(store);
    while (*index < count) {
        struct slot *slot = slot_at(store, (*index)++);
        if (slot->used == SLOT_USED)
            return slot;
    }
    return NULL;
}
