/* A hash table with open addressing, never more than half full: see index.h. */
#include "bootstrap/index.h"

#include <stdlib.h>
#include <string.h>

#define WORD sizeof(uint64_t)

static uint64_t word_at(const char *text)
{
    uint64_t word;
    memcpy(&word, text, WORD);
    return word;
}

/* What is behind the last whole word; of eight bytes and more by the last eight. */
static uint64_t tail_of(const char *text, size_t length)
{
    uint64_t word = 0;
    if (length >= WORD)
        return word_at(text + length - WORD);
    for (size_t i = 0; i < length; i++)
        word = word << 8 | (uint8_t)text[i];
    return word;
}

static uint64_t hash_of(const char *text, size_t length)
{
    const uint64_t odd = UINT64_C(0x9e3779b97f4a7c15);
    uint64_t hash = tail_of(text, length) * odd;
    for (size_t at = 0; at + WORD <= length; at += WORD)
        hash = (hash ^ hash >> 32 ^ word_at(text + at)) * odd;
    return hash ^ hash >> 32;
}

static bool equal(const char *a, const char *b, size_t length)
{
    if (tail_of(a, length) != tail_of(b, length))
        return false;
    for (size_t at = 0; at + WORD < length; at += WORD)
        if (word_at(a + at) != word_at(b + at))
            return false;
    return true;
}

bool index_build(struct tree *tree)
{
    size_t size = 16;
    while (size < 2 * tree->count)
        size *= 2;
    tree->index = calloc(size, sizeof(*tree->index));
    if (!tree->index)
        return false;
    tree->index_mask = size - 1;
    for (size_t i = 0; i < tree->count; i++) {
        struct node *node = tree->nodes[i];
        uint64_t at = hash_of(node->path, node->path_length) & tree->index_mask;
        while (tree->index[at])
            at = (at + 1) & tree->index_mask;
        tree->index[at] = node;
    }
    return true;
}

struct node *index_find(const struct tree *tree, const char *path, size_t length)
{
    if (!tree->index)
        return NULL;
    uint64_t at = hash_of(path, length) & tree->index_mask;
    struct node *node;
    for (; (node = tree->index[at]); at = (at + 1) & tree->index_mask)
        if (node->path_length == length && equal(node->path, path, length))
            return node;
    return NULL;
}

void index_destroy(struct tree *tree)
{
    free(tree->index);
    tree->index = NULL;
}
