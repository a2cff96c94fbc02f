/* What a person does on a console: keys and the mouse, as bytes for the program. */
#include "sbin/outputd/console.h"

/* Of a report of the mouse: CSI < 70 ; 65535 ; 65535 M */
#define REPORT_SIZE 32u

enum {
    KEY_ESCAPE = 1,
    KEY_BACKSPACE = 14,
    KEY_TAB = 15,
    KEY_ENTER = 28,
    KEY_F1 = 59,
    KEY_F10 = 68,
    KEY_PAD_7 = 71,
    KEY_PAD_DOT = 83,
    KEY_F11 = 87,
    KEY_F12 = 88,
    KEY_PAD_ENTER = 96,
    KEY_HOME = 102,
    KEY_UP,
    KEY_PAGE_UP,
    KEY_LEFT,
    KEY_RIGHT,
    KEY_END,
    KEY_DOWN,
    KEY_PAGE_DOWN,
    KEY_INSERT,
    KEY_DELETE,
};

static VTermKey key_named(uint16_t code)
{
    static const struct {
        uint16_t code;
        VTermKey key;
    } keys[] = {
        {KEY_TAB, VTERM_KEY_TAB},
        {KEY_ENTER, VTERM_KEY_ENTER},
        {KEY_PAD_ENTER, VTERM_KEY_ENTER},
        {KEY_BACKSPACE, VTERM_KEY_BACKSPACE},
        {KEY_ESCAPE, VTERM_KEY_ESCAPE},
        {KEY_HOME, VTERM_KEY_HOME},
        {KEY_UP, VTERM_KEY_UP},
        {KEY_PAGE_UP, VTERM_KEY_PAGEUP},
        {KEY_LEFT, VTERM_KEY_LEFT},
        {KEY_RIGHT, VTERM_KEY_RIGHT},
        {KEY_END, VTERM_KEY_END},
        {KEY_DOWN, VTERM_KEY_DOWN},
        {KEY_PAGE_DOWN, VTERM_KEY_PAGEDOWN},
        {KEY_INSERT, VTERM_KEY_INS},
        {KEY_DELETE, VTERM_KEY_DEL},
        {KEY_F11, VTERM_KEY_FUNCTION(11)},
        {KEY_F12, VTERM_KEY_FUNCTION(12)},
    };
    /* The number pad without Num Lock, from 7 on. */
    static const uint16_t pad[] = {
        KEY_HOME, KEY_UP,   KEY_PAGE_UP,   0,          KEY_LEFT,  0, KEY_RIGHT, 0,
        KEY_END,  KEY_DOWN, KEY_PAGE_DOWN, KEY_INSERT, KEY_DELETE};
    if (code >= KEY_PAD_7 && code <= KEY_PAD_DOT)
        code = pad[code - KEY_PAD_7];
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        if (keys[i].code == code)
            return keys[i].key;
    return code >= KEY_F1 && code <= KEY_F10 ? (VTermKey)VTERM_KEY_FUNCTION(code - KEY_F1 + 1)
                                             : VTERM_KEY_NONE;
}

/* Shift with PageUp and PageDown looks at what scrolled off; true: that was it. */
static bool look_back(struct console *console, const struct input_event *event)
{
    int32_t page = (int32_t)console->screen->rows / 2;
    bool up = event->code == KEY_PAGE_UP;
    if (!(event->modifiers & INPUT_SHIFT) || (!up && event->code != KEY_PAGE_DOWN))
        return false;
    console_look_back(console, up ? page : -page);
    return true;
}

static VTermModifier modifiers_of(uint32_t modifiers)
{
    return (modifiers & INPUT_CONTROL ? VTERM_MOD_CTRL : 0) |
           (modifiers & INPUT_ALT ? VTERM_MOD_ALT : 0);
}

bool console_key(struct console *console, const struct input_event *event)
{
    if (look_back(console, event))
        return true;

    VTermModifier modifiers = modifiers_of(event->modifiers);
    VTermKey key = key_named(event->code);
    if (key != VTERM_KEY_NONE && (!event->symbol || event->symbol < ' ' || event->symbol == 0x7f)) {
        if (event->modifiers & INPUT_SHIFT)
            modifiers |= VTERM_MOD_SHIFT;
        vterm_keyboard_key(console->vterm, key, modifiers);
    } else if (event->symbol) {
        vterm_keyboard_unichar(console->vterm, event->symbol, modifiers);
    } else {
        return false;
    }
    console_look_back(console, -(int32_t)CONSOLE_LINES);
    return true;
}

/* --- The mouse ------------------------------------------------------------------------------------------------- */

bool console_reports(const struct console *console)
{
    return console->reports && !console->back;
}

/* A report that finds no room is left out as a whole. */
static bool report_fits(const struct console *console)
{
    return console_reports(console) && line_input_room(console->terminal.line) >= REPORT_SIZE;
}

void console_mouse_moved(struct console *console, uint32_t row, uint32_t column, uint32_t modifiers)
{
    if (report_fits(console))
        vterm_mouse_move(console->vterm, (int)row, (int)column, modifiers_of(modifiers));
}

/* What is down libvterm must know in any case; it would report it, too. */
void console_mouse_button(struct console *console, uint32_t button, bool down, uint32_t modifiers)
{
    console->mute = !report_fits(console);
    vterm_mouse_button(console->vterm, (int)button, down, modifiers_of(modifiers));
    console->mute = false;
}

void console_paste(struct console *console, const char *text, size_t length)
{
    vterm_keyboard_start_paste(console->vterm);
    terminal_input(&console->terminal, (const uint8_t *)text, length);
    vterm_keyboard_end_paste(console->vterm);
    console_look_back(console, -(int32_t)CONSOLE_LINES);
}
