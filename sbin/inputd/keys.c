#include "sbin/inputd/keys.h"

#include "abi/abi.h"

enum {
    KEY_LEFT_CONTROL = 29,
    KEY_LEFT_SHIFT = 42,
    KEY_RIGHT_SHIFT = 54,
    KEY_LEFT_ALT = 56,
    KEY_CAPS_LOCK = 58,
    KEY_NUM_LOCK = 69,
    KEY_PAD_7 = 71,
    KEY_PAD_DOT = 83,
    KEY_RIGHT_CONTROL = 97,
    KEY_RIGHT_ALT = 100,
    KEY_LEFT_META = 125,
    KEY_RIGHT_META = 126,
    KEY_COMPOSE = 127,
};

static const struct {
    uint16_t code;
    uint32_t modifier;
} modifier_keys[] = {
    {KEY_LEFT_SHIFT, INPUT_SHIFT},     {KEY_RIGHT_SHIFT, INPUT_SHIFT},
    {KEY_LEFT_CONTROL, INPUT_CONTROL}, {KEY_RIGHT_CONTROL, INPUT_CONTROL},
    {KEY_LEFT_ALT, INPUT_ALT},         {KEY_RIGHT_ALT, INPUT_ALTGR},
    {KEY_LEFT_META, INPUT_META},       {KEY_RIGHT_META, INPUT_META},
};

/* What is typed behind the compose key for a combining character. */
static const struct {
    uint32_t typed, combining;
} accents[] = {
    {'`', 0x300}, {'\'', 0x301}, {'^', 0x302}, {'~', 0x303}, {'-', 0x304}, {'"', 0x308},
    {'o', 0x30a}, {'=', 0x30b},  {'<', 0x30c}, {',', 0x327}, {';', 0x328},
};

static uint32_t modifiers_of(const uint8_t *down)
{
    uint32_t modifiers = 0;
    for (size_t i = 0; i < ARRAY_SIZE(modifier_keys); i++)
        if (down[modifier_keys[i].code / 8] >> modifier_keys[i].code % 8 & 1)
            modifiers |= modifier_keys[i].modifier;
    return modifiers;
}

static bool is_modifier(uint16_t code)
{
    for (size_t i = 0; i < ARRAY_SIZE(modifier_keys); i++)
        if (modifier_keys[i].code == code)
            return true;
    return code == KEY_CAPS_LOCK || code == KEY_NUM_LOCK;
}

/* The number pad types digits while Num Lock is on and shift is not down, or the other way round. */
static uint32_t pad_symbol(const struct keys *keys, uint16_t code)
{
    static const char pad[] = "789-456+1230.";
    char symbol = pad[code - KEY_PAD_7];
    bool digits = keys->locks & INPUT_NUM;
    if (keys->modifiers & INPUT_SHIFT)
        digits = !digits;
    return digits || symbol == '-' || symbol == '+' ? (uint32_t)symbol : 0;
}

static uint32_t accented(const struct keymap *map, uint32_t typed, uint32_t base)
{
    for (size_t i = 0; i < ARRAY_SIZE(accents); i++)
        if (accents[i].typed == typed)
            return keymap_compose(map, accents[i].combining, base);
    return 0;
}

/* What a symbol is in the light of what was typed before. */
static uint32_t compose(struct keys *keys, uint32_t symbol)
{
    uint32_t result;
    if (keys->composing == 1) {
        keys->composing = symbol;
        return 0;
    }
    if (keys->composing) {
        result = accented(keys->map, keys->composing, symbol);
        if (!result)
            result = accented(keys->map, symbol, keys->composing);
        keys->composing = 0;
        return result;
    }
    if (symbol >= KEYMAP_DEAD) {
        uint32_t combining = symbol - KEYMAP_DEAD;
        result = keys->dead == combining ? keymap_compose(keys->map, combining, ' ') : 0;
        keys->dead = result ? 0 : combining;
        return result;
    }
    result = keys->dead ? keymap_compose(keys->map, keys->dead, symbol) : 0;
    keys->dead = 0;
    return result ? result : symbol;
}

static uint32_t symbol_of(struct keys *keys, uint16_t code)
{
    if (code == KEY_COMPOSE) {
        keys->composing = 1;
        return 0;
    }
    uint32_t symbol = code >= KEY_PAD_7 && code <= KEY_PAD_DOT
                          ? pad_symbol(keys, code)
                          : keymap_symbol(keys->map, code, keys->modifiers | keys->locks);
    return symbol ? compose(keys, symbol) : 0;
}

static void pressed(struct keys *keys, struct input_event *event)
{
    if (event->code == KEY_CAPS_LOCK)
        keys->locks ^= INPUT_CAPS;
    if (event->code == KEY_NUM_LOCK)
        keys->locks ^= INPUT_NUM;
    if (is_modifier(event->code) || event->code >= INPUT_BUTTON_LEFT)
        return;
    event->symbol = symbol_of(keys, event->code);
    keys->held = *event;
    keys->repeat_at = event->time + KEYS_REPEAT_DELAY;
}

void keys_event(struct keys *keys, const uint8_t *down, struct input_event *event)
{
    event->symbol = 0;
    keys->modifiers = modifiers_of(down);
    if (event->type == INPUT_KEY && event->value)
        pressed(keys, event);
    else if (event->type == INPUT_KEY && event->code == keys->held.code)
        keys->held.value = 0;
    event->modifiers = keys->modifiers | keys->locks;
}

bool keys_repeat(struct keys *keys, int64_t now, struct input_event *event)
{
    if (!keys->held.value || now < keys->repeat_at)
        return false;
    *event = keys->held;
    event->time = now;
    event->value = 2;
    event->modifiers = keys->modifiers | keys->locks;
    keys->repeat_at = now + KEYS_REPEAT_PERIOD;
    return true;
}

int64_t keys_deadline(const struct keys *keys)
{
    return keys->held.value ? keys->repeat_at : DEADLINE_NEVER;
}

uint32_t keys_lights(const struct keys *keys)
{
    return (keys->locks & INPUT_CAPS ? INPUT_LED_CAPS : 0) |
           (keys->locks & INPUT_NUM ? INPUT_LED_NUM : 0);
}
