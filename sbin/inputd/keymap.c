#include "sbin/inputd/keymap.h"

#include <stdlib.h>
#include <string.h>

#include "abi/errors.h"
#include "abi/input.h"
#include "lib/sys/conf.h"

#define WORDS      8u
#define SYMBOL_MAX (KEYMAP_DEAD + 0x10ffffu)
#define COMPOSES   16384u /* more is no key map */

static bool numbers_read(char **words, size_t count, uint64_t limit, uint64_t *values)
{
    for (size_t i = 0; i < count; i++)
        if (!conf_number(words[i], limit, &values[i]))
            return false;
    return true;
}

static const char *key_add(struct keymap *map, char **words, size_t count, bool letter)
{
    uint64_t code, symbols[KEYMAP_LEVELS];
    if (count != 1 + KEYMAP_LEVELS || !conf_number(words[0], KEYMAP_CODES - 1, &code) ||
        !numbers_read(words + 1, KEYMAP_LEVELS, SYMBOL_MAX, symbols))
        return "a key's code and four symbols are wanted";
    for (size_t i = 0; i < KEYMAP_LEVELS; i++)
        map->symbols[code][i] = (uint32_t)symbols[i];
    if (letter)
        map->letters[code / 8] |= (uint8_t)(1u << code % 8);
    return NULL;
}

static const char *compose_add(struct keymap *map, char **words, size_t count, size_t *room)
{
    uint64_t symbols[3];
    if (count != 3 || !numbers_read(words, 3, 0x10ffff, symbols) || !symbols[2])
        return "a combining character, a base and a result are wanted";
    if (map->compose_count == COMPOSES)
        return "there are too many of them";
    if (map->compose_count == *room) {
        size_t more = *room ? *room * 2 : 64;
        struct keymap_compose *composes = realloc(map->composes, more * sizeof(*composes));
        if (!composes)
            return "no memory";
        map->composes = composes;
        *room = more;
    }
    map->composes[map->compose_count++] =
        (struct keymap_compose){(uint32_t)symbols[0], (uint32_t)symbols[1], (uint32_t)symbols[2]};
    return NULL;
}

static int compose_compare(const void *left, const void *right)
{
    const struct keymap_compose *a = left, *b = right;
    if (a->dead != b->dead)
        return a->dead < b->dead ? -1 : 1;
    return (a->base > b->base) - (a->base < b->base);
}

static const char *line_add(struct keymap *map, char **words, size_t count, size_t *room)
{
    if (strcmp(words[0], "key") == 0 || strcmp(words[0], "letter") == 0)
        return key_add(map, words + 1, count - 1, words[0][0] == 'l');
    if (strcmp(words[0], "compose") == 0)
        return compose_add(map, words + 1, count - 1, room);
    return "neither key, letter nor compose";
}

int keymap_parse(struct keymap *map, char *text, size_t length, struct keymap_problem *problem)
{
    struct conf_reader reader = {.text = text, .length = length};
    char *words[WORDS];
    size_t room = 0;
    int count;
    *map = (struct keymap){0};
    *problem = (struct keymap_problem){0};
    while ((count = conf_next(&reader, words, WORDS)) != 0) {
        problem->text = count < 0 ? reader.problem : line_add(map, words, (size_t)count, &room);
        problem->line = reader.line;
        if (problem->text)
            return -E_BAD_FORMAT;
    }
    if (map->compose_count)
        qsort(map->composes, map->compose_count, sizeof(*map->composes), compose_compare);
    return 0;
}

void keymap_destroy(struct keymap *map)
{
    free(map->composes);
    *map = (struct keymap){0};
}

uint32_t keymap_symbol(const struct keymap *map, uint16_t code, uint32_t modifiers)
{
    if (code >= KEYMAP_CODES)
        return 0;
    bool shift = modifiers & INPUT_SHIFT;
    if (modifiers & INPUT_CAPS && map->letters[code / 8] >> code % 8 & 1)
        shift = !shift;
    return map->symbols[code][(shift ? 1 : 0) + (modifiers & INPUT_ALTGR ? 2 : 0)];
}

uint32_t keymap_compose(const struct keymap *map, uint32_t combining, uint32_t base)
{
    struct keymap_compose wanted = {combining, base, 0};
    const struct keymap_compose *found = map->compose_count
                                             ? bsearch(&wanted, map->composes, map->compose_count,
                                                       sizeof(*map->composes), compose_compare)
                                             : NULL;
    return found ? found->result : 0;
}
