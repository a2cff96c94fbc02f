/* Key maps: what a key means, by its evdev code and level. Text made by tools/keymap.py of the distribution's layouts
 * (initfs:///etc/keymaps/<name>), a line each:
 *
 *     key 16 0x71 0x51 0x40 0x3a9       code; plain, shift, AltGr, shift and AltGr; 0: nothing
 *     letter 30 0x61 0x41 0xe6 0xc6     the same, and Caps Lock means shift
 *     compose 0x301 0x65 0xe9           dead key, what follows, what they make
 *
 * Symbols are code points; a dead key's is KEYMAP_DEAD plus the combining character it stands for. Pure.
 */
#pragma once

#include "lib/base/base.h"

#define KEYMAP_CODES  256u
#define KEYMAP_LEVELS 4u
#define KEYMAP_DEAD   0x200000u

struct keymap_compose {
    uint32_t dead, base, result;
};

struct keymap {
    uint32_t symbols[KEYMAP_CODES][KEYMAP_LEVELS];
    uint8_t letters[KEYMAP_CODES / 8];
    struct keymap_compose *composes; /* sorted by dead, then base */
    size_t compose_count;
};

struct keymap_problem {
    uint32_t line;
    const char *text;
};

/* text[length] must be writable; it is changed, nothing of it is kept. 0, -E_BAD_FORMAT with *problem, or -E_NO_MEMORY; the
 * map is to be destroyed in any case. */
MUST_CHECK int keymap_parse(struct keymap *map, char *text, size_t length,
                            struct keymap_problem *problem);
void keymap_destroy(struct keymap *map);

/* modifiers: INPUT_SHIFT, INPUT_ALTGR, INPUT_CAPS. 0: nothing. */
uint32_t keymap_symbol(const struct keymap *map, uint16_t code, uint32_t modifiers);

/* What a combining character and a symbol make; 0: nothing. */
uint32_t keymap_compose(const struct keymap *map, uint32_t combining, uint32_t base);
