#include "sbin/outputd/escapes.h"

#include <stdio.h>
#include <string.h>

#define BELL         0x07
#define SHIFT_OUT    0x0e
#define SHIFT_IN     0x0f
#define CANCEL       0x18
#define SUBSTITUTE   0x1a
#define ESCAPE       0x1b
#define DELETE       0x7f
#define NO_SYMBOL    "\xef\xbf\xbd" /* U+FFFD */
#define NUMBER_LIMIT 10000u         /* what a parameter may be before its last digit */

enum {
    MODE_COLUMNS = 3,
    MODE_ORIGIN = 6,
    MODE_COLUMNS_ALLOWED = 40,
    MODE_CURSOR = 1048,
    MODE_SCREEN = 1049
};

/* --- What libvterm is told beside what the program wrote ------------------------------------------------------- */

static void flush(struct escapes *escapes)
{
    vterm_input_write(escapes->vterm, (const char *)escapes->waiting, escapes->waiting_count);
    escapes->waiting_count = 0;
}

/* Together, so that symbols stay whole. */
static void pass_all(struct escapes *escapes, const void *bytes, size_t count)
{
    if (escapes->waiting_count + count > sizeof(escapes->waiting))
        flush(escapes);
    memcpy(escapes->waiting + escapes->waiting_count, bytes, count);
    escapes->waiting_count += (uint32_t)count;
}

static void pass(struct escapes *escapes, uint8_t byte)
{
    pass_all(escapes, &byte, 1);
}

static void tell(struct escapes *escapes, const char *text)
{
    pass_all(escapes, text, strlen(text));
}

/* SCS: `set` is 0 to 3. */
static void tell_designation(struct escapes *escapes, uint32_t set, char designated)
{
    tell(escapes, (const char[]){ESCAPE, (char)('(' + set), designated, '\0'});
}

static void tell_left(struct escapes *escapes)
{
    static const char *const shifts[] = {"\017", "\016", "\033n", "\033o"};
    tell(escapes, shifts[escapes->now.left]);
}

static void reset(struct escapes *escapes)
{
    const struct escapes_sets ascii = {.designated = {'B', 'B', 'B', 'B'}};
    escapes->now = escapes->saved = ascii;
    for (uint32_t set = 0; set < ARRAY_SIZE(ascii.designated); set++)
        tell_designation(escapes, set, 'B');
}

/* Behind a DECRC. Origin mode moves the cursor, so this takes another. */
static void restore(struct escapes *escapes)
{
    struct escapes_sets old = escapes->now;
    escapes->now = escapes->saved;
    for (uint32_t set = 0; set < ARRAY_SIZE(old.designated); set++)
        if (escapes->now.designated[set] != old.designated[set])
            tell_designation(escapes, set, escapes->now.designated[set]);
    if (escapes->now.left != old.left)
        tell_left(escapes);
    if (escapes->now.origin != old.origin)
        tell(escapes, escapes->now.origin ? "\033[?6h\0338" : "\033[?6l\0338");
}

/* DECSTR, but that what is saved is the cursor as it is. */
static void soft_reset(struct escapes *escapes)
{
    tell(escapes, "\033[m\0337\033[?6l\033[r\033[?1l\033[?7h\033[4l\033>\0338\033[?25h\017");
    reset(escapes);
}

/* --- What the program wrote ------------------------------------------------------------------------------------ */

static void mode_changed(struct escapes *escapes, uint32_t mode, bool on)
{
    switch (mode) {
    case MODE_COLUMNS:
        if (escapes->columns_allowed)
            tell(escapes, "\033[?69l\033[r\033[2J\033[H");
        break;
    case MODE_ORIGIN:
        escapes->now.origin = on;
        break;
    case MODE_COLUMNS_ALLOWED:
        escapes->columns_allowed = on;
        break;
    case MODE_CURSOR:
    case MODE_SCREEN:
        if (on)
            escapes->saved = escapes->now;
        else
            restore(escapes);
        break;
    default:
        break;
    }
}

/* SM, RM and DEC's: libvterm sees the first mode of several. */
static void modes(struct escapes *escapes, uint8_t final)
{
    char text[32];
    for (uint32_t i = 0; i < escapes->count; i++) {
        const char *leader = escapes->leader ? "?" : "";
        snprintf(text, sizeof(text), "\033[%s%u%c", leader, escapes->parameters[i], final);
        if (i)
            tell(escapes, text);
        if (escapes->leader)
            mode_changed(escapes, escapes->parameters[i], final == 'h');
    }
}

/* REP: by libvterm only where something was written before, else it goes on for ever; so it does not get it. */
static bool is_repetition(const struct escapes *escapes, uint8_t final)
{
    return final == 'b' && !escapes->leader && !escapes->intermediate;
}

static void repeat(struct escapes *escapes)
{
    int rows, columns;
    vterm_get_size(escapes->vterm, &rows, &columns);
    uint32_t count = MIN(MAX(escapes->parameters[0], 1u), (uint32_t)columns);
    for (uint32_t i = 0; i < count; i++)
        pass_all(escapes, escapes->last, escapes->last_length);
}

static void control_sequence(struct escapes *escapes, uint8_t final)
{
    if (is_repetition(escapes, final))
        repeat(escapes);
    else if (escapes->intermediate == '!' && !escapes->leader && final == 'p')
        soft_reset(escapes);
    else if (!escapes->intermediate && (!escapes->leader || escapes->leader == '?') &&
             (final == 'h' || final == 'l'))
        modes(escapes, final);
}

static void escape_sequence(struct escapes *escapes, uint8_t final)
{
    uint32_t set = (uint32_t)escapes->intermediate - '(';
    bool known =
        final == '0' || final == 'A' || final == 'B'; /* to libvterm: others change nothing */
    if (escapes->intermediate && set < ARRAY_SIZE(escapes->now.designated) && known)
        escapes->now.designated[set] = (char) final;
    if (escapes->intermediate)
        return;
    switch (final) {
    case '7':
        escapes->saved = escapes->now;
        break;
    case '8':
        restore(escapes);
        break;
    case 'n':
    case 'o':
        escapes->now.left = final == 'n' ? 2 : 3;
        break;
    case 'c':
        escapes->columns_allowed = false;
        escapes->last_length = 0;
        tell(escapes, "\033[?1047l\033[2J");     /* libvterm stays on the alternate screen */
        tell(escapes, "\033[?1000l\033[?1006l"); /* and goes on with reports */
        reset(escapes);
        break;
    default:
        break;
    }
}

static void symbol_pass(struct escapes *escapes, const uint8_t *bytes, uint8_t count)
{
    memcpy(escapes->last, bytes, count);
    escapes->last_length = count;
    pass_all(escapes, bytes, count);
}

static bool is_intermediate(uint8_t byte)
{
    return byte >= ' ' && byte <= '/';
}

static void byte_add(uint8_t *where, uint8_t byte)
{
    *where = *where ? ESCAPES_SEVERAL : byte;
}

/* --- Symbols --------------------------------------------------------------------------------------------------- */

/* How many bytes a symbol has that begins so; 0: none does. */
static uint8_t symbol_length(uint8_t first)
{
    return first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
}

/* Whether the byte goes on with the symbol: neither surrogates nor what could be said shorter (Unicode, table 3-7); nor C1
 * controls, whose width is -1 for libvterm. */
static bool symbol_continues(const struct escapes *escapes, uint8_t byte)
{
    uint8_t low = 0x80, high = 0xbf, first = escapes->symbol[0];
    if (escapes->symbol_bytes == 1) {
        low = first == 0xc2 || first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : low;
        high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : high;
    }
    return byte >= low && byte <= high;
}

/* False: the byte is none of a symbol's, and the one under way, if any, has ended. */
static bool symbol_byte(struct escapes *escapes, uint8_t byte)
{
    if (escapes->symbol_length && !symbol_continues(escapes, byte)) {
        tell(escapes, NO_SYMBOL);
        escapes->symbol_length = 0;
    }
    if (byte < 0x80 || escapes->state != ESCAPES_TEXT)
        return false;
    if (!escapes->symbol_length) {
        escapes->symbol_bytes = 0;
        escapes->symbol_length = symbol_length(byte);
    }
    if (!escapes->symbol_length) {
        tell(escapes, NO_SYMBOL);
        return true;
    }
    escapes->symbol[escapes->symbol_bytes++] = byte;
    if (escapes->symbol_bytes == escapes->symbol_length) {
        symbol_pass(escapes, escapes->symbol, escapes->symbol_length);
        escapes->symbol_length = 0;
    }
    return true;
}

/* --- The parser ------------------------------------------------------------------------------------------------ */

static void sequence_end(struct escapes *escapes, uint8_t final)
{
    bool escape = escapes->state == ESCAPES_ESCAPE;
    escapes->state = ESCAPES_TEXT;
    pass(escapes, !escape && is_repetition(escapes, final) ? CANCEL : final);
    if (escape)
        escape_sequence(escapes, final);
    else
        control_sequence(escapes, final);
}

static void escape_byte(struct escapes *escapes, uint8_t byte)
{
    if (byte >= '0' && byte < DELETE && byte != '[' && byte != ']' && byte != 'P') {
        sequence_end(escapes, byte);
        return;
    }
    pass(escapes, byte);
    if (byte == '[') {
        escapes->state = ESCAPES_LEADER;
        escapes->leader = escapes->intermediate = 0;
        escapes->count = 1;
        escapes->parameters[0] = 0;
        escapes->full = false;
    } else if (byte == ']' || byte == 'P') {
        escapes->state = ESCAPES_STRING;
    } else if (is_intermediate(byte)) {
        byte_add(&escapes->intermediate, byte);
    }
}

/* Of the numbers of a control sequence; false: libvterm must not get it. */
static bool number_byte(struct escapes *escapes, uint8_t byte)
{
    uint32_t *number = &escapes->parameters[escapes->count - 1];
    bool digit = byte >= '0' && byte <= '9';
    escapes->full |= !digit && escapes->count == ESCAPES_PARAMETERS;
    if (escapes->full || (digit && *number >= NUMBER_LIMIT))
        return false;
    if (digit)
        *number = *number * 10 + (byte - '0');
    else
        escapes->parameters[escapes->count++] = 0;
    return true;
}

static void control_byte(struct escapes *escapes, uint8_t byte)
{
    bool leads = escapes->state == ESCAPES_LEADER && byte >= '<' && byte <= '?';
    bool number = escapes->state != ESCAPES_ENDING && byte >= '0' && byte <= ';';
    if (leads) {
        byte_add(&escapes->leader, byte);
    } else if (number) {
        escapes->state = ESCAPES_NUMBERS;
        if (!number_byte(escapes, byte))
            return;
    } else if (is_intermediate(byte)) {
        escapes->state = ESCAPES_ENDING;
        byte_add(&escapes->intermediate, byte);
    } else if (byte >= '@' && byte < DELETE) {
        sequence_end(escapes, byte);
        return;
    } else {
        escapes->state = ESCAPES_TEXT; /* it was none */
    }
    pass(escapes, byte);
}

/* ESC, CAN, SUB and other control characters mean the same everywhere; a BEL ends a string. */
static void control_character(struct escapes *escapes, uint8_t byte)
{
    bool string = escapes->state == ESCAPES_STRING;
    if (byte == ESCAPE) {
        escapes->intermediate = 0;
        escapes->state = string ? ESCAPES_STRING_ESCAPE : ESCAPES_ESCAPE;
    } else if (byte == CANCEL || byte == SUBSTITUTE || (byte == BELL && string)) {
        escapes->state = ESCAPES_TEXT;
    } else if (byte == SHIFT_OUT || byte == SHIFT_IN) {
        escapes->now.left = byte == SHIFT_OUT;
    }
    pass(escapes, byte);
}

/* Behind ESC in a string: its end, or the string is broken off by another sequence. */
static void string_escape_byte(struct escapes *escapes, uint8_t byte)
{
    escapes->state = byte == '\\' ? ESCAPES_TEXT : ESCAPES_ESCAPE;
    if (byte == '\\')
        pass(escapes, byte);
    else
        escape_byte(escapes, byte);
}

static void byte_write(struct escapes *escapes, uint8_t byte)
{
    if (symbol_byte(escapes, byte))
        return;
    if (byte < ' ' || byte == DELETE) {
        control_character(escapes, byte);
        return;
    }
    switch (escapes->state) {
    case ESCAPES_ESCAPE:
        escape_byte(escapes, byte);
        return;
    case ESCAPES_STRING_ESCAPE:
        string_escape_byte(escapes, byte);
        return;
    case ESCAPES_LEADER:
    case ESCAPES_NUMBERS:
    case ESCAPES_ENDING:
        control_byte(escapes, byte);
        return;
    case ESCAPES_TEXT:
        symbol_pass(escapes, &byte, 1);
        return;
    case ESCAPES_STRING:
        pass(escapes, byte);
        return;
    }
}

void escapes_init(struct escapes *escapes, VTerm *vterm)
{
    *escapes = (struct escapes){.vterm = vterm};
    reset(escapes);
}

bool escapes_midway(const struct escapes *escapes)
{
    return escapes->state != ESCAPES_TEXT || escapes->symbol_length;
}

void escapes_write(struct escapes *escapes, const void *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        byte_write(escapes, ((const uint8_t *)bytes)[i]);
    flush(escapes);
}
