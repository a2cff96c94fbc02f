/* The line discipline. Input is edited in place at the end of its ring; echo goes through the same output
 * processing as what programs write. */
#include "sbin/outputd/line.h"

#include <string.h>

#define DELETE             0x7f
#define CONTROL(character) ((uint8_t)((character) ^ 0x40))

static const struct tty_attributes sane = {
    .input = LINE_ICRNL | LINE_IXON | LINE_IUTF8 | LINE_IMAXBEL,
    .output = LINE_OPOST | LINE_ONLCR,
    .control = 0x1002 | LINE_CSIZE | LINE_CREAD | LINE_HUPCL, /* B115200, CS8 */
    .local = LINE_ISIG | LINE_ICANON | LINE_ECHO | LINE_ECHOE | LINE_ECHOK | LINE_ECHOCTL |
             LINE_ECHOKE | LINE_IEXTEN,
    .characters =
        {
            [LINE_VINTR] = CONTROL('C'),
            [LINE_VQUIT] = CONTROL('\\'),
            [LINE_VERASE] = DELETE,
            [LINE_VKILL] = CONTROL('U'),
            [LINE_VEOF] = CONTROL('D'),
            [LINE_VMIN] = 1,
            [LINE_VSTART] = CONTROL('Q'),
            [LINE_VSTOP] = CONTROL('S'),
            [LINE_VSUSP] = CONTROL('Z'),
            [LINE_VREPRINT] = CONTROL('R'),
            [LINE_VDISCARD] = CONTROL('O'),
            [LINE_VWERASE] = CONTROL('W'),
            [LINE_VLNEXT] = CONTROL('V'),
        },
};

void line_init(struct line *line)
{
    memset(line, 0, sizeof(*line));
    line->attributes = sane;
}

/* Positions only grow, and each is written by itself. */
static bool line_sound(const struct line *line)
{
    return line->read <= line->lines && line->lines <= line->end &&
           line->end - line->read <= LINE_INPUT && line->output_read <= line->output_end &&
           line->output_end - line->output_read <= LINE_OUTPUT;
}

void line_recover(struct line *line)
{
    if (!line_sound(line))
        line_init(line);
    line->edit_column = MIN(line->edit_column, line->column);
    line->literal = false;
}

static bool local(const struct line *line, uint32_t flag)
{
    return line->attributes.local & flag;
}

static bool input_flag(const struct line *line, uint32_t flag)
{
    return line->attributes.input & flag;
}

/* Whether byte is the special character; 0 switches one off. */
static bool special(const struct line *line, uint8_t byte, enum line_character which)
{
    return byte && line->attributes.characters[which] == byte;
}

/* --- output --- */

size_t line_output_pending(const struct line *line)
{
    return (size_t)(line->output_end - line->output_read);
}

size_t line_output_room(const struct line *line)
{
    return LINE_OUTPUT - line_output_pending(line);
}

static uint8_t changed_case(uint8_t byte, uint8_t first)
{
    return byte >= first && byte < first + 26 ? byte ^ 0x20 : byte;
}

static void output_put(struct line *line, uint8_t byte)
{
    line->output[line->output_end++ % LINE_OUTPUT] = byte;
}

static void column_advance(struct line *line, uint8_t byte)
{
    if (byte == '\r')
        line->column = 0;
    else if (byte == '\b')
        line->column -= line->column > 0;
    else if (byte == '\t')
        line->column = (line->column | 7) + 1;
    else if (byte >= ' ' && byte != DELETE && (byte & 0xc0) != 0x80)
        line->column++;
}

static bool output_raw(struct line *line, const uint8_t *bytes, size_t count)
{
    if (line_output_room(line) < count)
        return false;
    for (size_t i = 0; i < count; i++)
        output_put(line, bytes[i]);
    return true;
}

/* One byte with output processing; false: no room, nothing was done. */
static bool output_processed(struct line *line, uint8_t byte)
{
    static const uint8_t newline[] = "\r\n", spaces[] = "        ";
    uint32_t flags = line->attributes.output;
    if (!(flags & LINE_OPOST))
        return output_raw(line, &byte, 1);
    if (byte == '\n' && (flags & LINE_ONLCR)) {
        if (!output_raw(line, newline, 2))
            return false;
        line->column = 0;
        return true;
    }
    if (byte == '\n' && (flags & LINE_ONLRET))
        line->column = 0;
    if (byte == '\r' && (flags & LINE_ONOCR) && line->column == 0)
        return true;
    if (byte == '\r' && (flags & LINE_OCRNL))
        byte = '\n';
    if (byte == '\t' && (flags & LINE_TABS) == LINE_TABS) {
        size_t count = 8 - (line->column & 7);
        if (!output_raw(line, spaces, count))
            return false;
        line->column += (uint32_t)count;
        return true;
    }
    if (flags & LINE_OLCUC)
        byte = changed_case(byte, 'a');
    if (!output_raw(line, &byte, 1))
        return false;
    column_advance(line, byte);
    return true;
}

size_t line_write(struct line *line, const uint8_t *bytes, size_t count)
{
    size_t done = 0;
    while (done < count && output_processed(line, bytes[done]))
        done++;
    /* What is typed next is edited from where the program left the cursor. */
    if (line->lines == line->end)
        line->edit_column = line->column;
    return done;
}

size_t line_output_peek(const struct line *line, uint8_t *buffer, size_t size)
{
    size_t count = line->stopped ? 0 : MIN(size, line_output_pending(line));
    for (size_t i = 0; i < count; i++)
        buffer[i] = line->output[(line->output_read + i) % LINE_OUTPUT];
    return count;
}

void line_output_drop(struct line *line, size_t count)
{
    line->output_read += count;
}

size_t line_output_take(struct line *line, uint8_t *buffer, size_t size)
{
    size_t count = line_output_peek(line, buffer, size);
    line_output_drop(line, count);
    return count;
}

void line_flush_output(struct line *line)
{
    line->output_read = line->output_end;
    line->flushed |= LINE_FLUSHED_OUTPUT;
}

/* --- echo --- */

static bool echoes_as_control(const struct line *line, uint8_t byte)
{
    return local(line, LINE_ECHOCTL) && (byte < ' ' || byte == DELETE) && byte != '\t' &&
           byte != '\n';
}

/* Echo finds no room: it is dropped, as the input itself matters more. */
static void echo(struct line *line, uint8_t byte)
{
    if (echoes_as_control(line, byte)) {
        output_processed(line, '^');
        output_processed(line, CONTROL(byte));
    } else {
        output_processed(line, byte);
    }
}

static void echo_text(struct line *line, const char *text)
{
    for (; *text; text++)
        output_processed(line, (uint8_t)*text);
}

/* --- input ring --- */

static uint8_t input_at(const struct line *line, uint64_t position)
{
    return line->input[position % LINE_INPUT];
}

static bool delimiter_at(const struct line *line, uint64_t position)
{
    size_t index = position % LINE_INPUT;
    return line->delimiter[index / 8] >> (index % 8) & 1;
}

static void delimiter_set(struct line *line, uint64_t position, bool value)
{
    size_t index = position % LINE_INPUT;
    uint8_t bit = (uint8_t)(1u << (index % 8));
    if (value)
        line->delimiter[index / 8] |= bit;
    else
        line->delimiter[index / 8] &= (uint8_t)~bit;
}

static size_t input_room(const struct line *line)
{
    return LINE_INPUT - (size_t)(line->end - line->read);
}

static bool input_put(struct line *line, uint8_t byte, bool delimiter)
{
    /* The last place is kept for what ends the line. */
    if (input_room(line) < (line_canonical(line) && !delimiter ? 2 : 1))
        return false;
    if (line->lines == line->end && !delimiter)
        line->edit_column = line->column;
    delimiter_set(line, line->end, delimiter);
    line->input[line->end++ % LINE_INPUT] = byte;
    if (delimiter)
        line->lines = line->end;
    return true;
}

/* IXOFF: the device is stopped before input is dropped, and started when most of it was read. */
static void throttle(struct line *line)
{
    size_t used = LINE_INPUT - input_room(line);
    bool full = used >= LINE_INPUT / 4 * 3, empty = used <= LINE_INPUT / 4;
    bool wanted = input_flag(line, LINE_IXOFF) && (full || (line->throttled && !empty));
    uint8_t byte = line->attributes.characters[wanted ? LINE_VSTOP : LINE_VSTART];
    if (wanted != line->throttled && (!byte || output_raw(line, &byte, 1)))
        line->throttled = wanted;
}

size_t line_input_room(const struct line *line)
{
    size_t room = input_room(line) / (input_flag(line, LINE_PARMRK) ? 2 : 1);
    if (!line_canonical(line))
        return room;
    /* A line that fills the queue must be let end: nobody can read it before. */
    room -= room > 0;
    return line->lines > line->read ? room : MAX(room, (size_t)1);
}

void line_flush_input(struct line *line)
{
    line->read = line->lines = line->end;
    line->literal = false;
    line->flushed |= LINE_FLUSHED_INPUT;
    throttle(line);
}

/* --- editing --- */

/* Columns a byte that is no tab takes on the screen. */
static uint32_t byte_width(const struct line *line, uint8_t byte)
{
    if (byte == '\t' || byte == '\n')
        return 0;
    if (echoes_as_control(line, byte))
        return 2;
    return byte >= ' ' && byte != DELETE &&
           !(input_flag(line, LINE_IUTF8) && (byte & 0xc0) == 0x80);
}

/* The column behind [lines, position) on the screen, from edit_column on. */
static uint32_t column_of(const struct line *line, uint64_t position)
{
    uint32_t column = line->edit_column;
    for (uint64_t at = line->lines; at < position; at++) {
        uint8_t byte = input_at(line, at);
        column = byte == '\t' ? (column | 7) + 1 : column + byte_width(line, byte);
    }
    return column;
}

/* Where the tab at position began, which ends at column: as far behind a multiple of 8 as what stands between it and the tab
 * before it. (Not column_of: a line of tabs is wiped in as many steps as it has bytes.) */
static uint32_t tab_start(const struct line *line, uint64_t position, uint32_t column)
{
    uint32_t width = 0;
    uint64_t at = position;
    while (at > line->lines && input_at(line, at - 1) != '\t')
        width += byte_width(line, input_at(line, --at));
    if (at == line->lines)
        width += line->edit_column;
    return column - 8 + width % 8;
}

/* Where the character before position begins (one of several bytes in UTF-8). */
static uint64_t character_before(const struct line *line, uint64_t position)
{
    position--;
    while (input_flag(line, LINE_IUTF8) && position > line->lines &&
           (input_at(line, position) & 0xc0) == 0x80)
        position--;
    return position;
}

/* The last character is cut off and wiped from the screen, where it ended at column; where it began. */
static uint32_t erase_last(struct line *line, uint32_t column)
{
    uint64_t to = character_before(line, line->end);
    bool tab = input_at(line, to) == '\t';
    uint32_t start = tab ? tab_start(line, to, column) : column;
    for (uint64_t at = to; at < line->end; at++)
        start -= byte_width(line, input_at(line, at));
    line->end = to;
    for (uint32_t at = column; at > start && local(line, LINE_ECHO); at--)
        echo_text(line, tab ? "\b" : "\b \b");
    return start;
}

static bool is_blank(uint8_t byte)
{
    return byte == ' ' || byte == '\t';
}

static void erase_character(struct line *line, uint8_t byte)
{
    if (line->lines == line->end)
        return;
    if (local(line, LINE_ECHO) && !local(line, LINE_ECHOE)) {
        line->end = character_before(line, line->end);
        echo(line, byte);
        return;
    }
    erase_last(line, column_of(line, line->end));
}

/* One character at a time, so that a tab among them is wiped by its own rule. */
static void erase_word(struct line *line)
{
    bool word = false;
    uint32_t column = column_of(line, line->end);
    while (line->end > line->lines) {
        uint64_t to = character_before(line, line->end);
        bool blank = is_blank(input_at(line, to));
        if (blank && word)
            break;
        word = word || !blank;
        column = erase_last(line, column);
    }
}

static void erase_line(struct line *line, uint8_t byte)
{
    if (local(line, LINE_ECHO) && local(line, LINE_ECHOK) && local(line, LINE_ECHOKE) &&
        local(line, LINE_ECHOE)) {
        uint32_t column = column_of(line, line->end);
        while (line->end > line->lines)
            column = erase_last(line, column);
        return;
    }
    line->end = line->lines;
    if (!local(line, LINE_ECHO))
        return;
    echo(line, byte);
    if (local(line, LINE_ECHOK))
        output_processed(line, '\n');
}

static void reprint(struct line *line, uint8_t byte)
{
    echo(line, byte);
    output_processed(line, '\n');
    line->edit_column = line->column;
    for (uint64_t at = line->lines; at < line->end; at++)
        echo(line, input_at(line, at));
}

/* Canonical mode's editing characters and line ends; false: an ordinary byte. */
static bool edit(struct line *line, uint8_t byte)
{
    bool extended = local(line, LINE_IEXTEN);
    if (special(line, byte, LINE_VERASE)) {
        erase_character(line, byte);
    } else if (special(line, byte, LINE_VKILL)) {
        erase_line(line, byte);
    } else if (extended && special(line, byte, LINE_VWERASE)) {
        erase_word(line);
    } else if (extended && special(line, byte, LINE_VREPRINT)) {
        if (local(line, LINE_ECHO))
            reprint(line, byte);
    } else if (byte == '\n') {
        if (input_put(line, byte, true) && (local(line, LINE_ECHO) || local(line, LINE_ECHONL)))
            output_processed(line, '\n');
    } else if (special(line, byte, LINE_VEOF)) {
        input_put(line, '\0', true);
    } else if (special(line, byte, LINE_VEOL) || (extended && special(line, byte, LINE_VEOL2))) {
        if (local(line, LINE_ECHO))
            echo(line, byte);
        input_put(line, byte, true);
    } else {
        return false;
    }
    return true;
}

static void ordinary(struct line *line, uint8_t byte)
{
    if (!input_put(line, byte, false)) {
        if (input_flag(line, LINE_IMAXBEL))
            output_processed(line, '\a');
        return;
    }
    if (local(line, LINE_ECHO))
        echo(line, byte);
}

/* Bytes that POSIX's input modes put in place of one, without echo. */
static void marked(struct line *line, const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        input_put(line, bytes[i], false);
}

/* --- what a byte means --- */

static int signal_of(const struct line *line, uint8_t byte)
{
    if (!local(line, LINE_ISIG))
        return 0;
    if (special(line, byte, LINE_VINTR))
        return LINE_SIGINT;
    if (special(line, byte, LINE_VQUIT))
        return LINE_SIGQUIT;
    return special(line, byte, LINE_VSUSP) ? LINE_SIGTSTP : 0;
}

static void signal_typed(struct line *line, uint8_t byte)
{
    line->stopped = false;
    if (!local(line, LINE_NOFLSH)) {
        line_flush_input(line);
        line_flush_output(line);
    }
    if (local(line, LINE_ECHO))
        echo(line, byte);
}

/* XON and XOFF; true: the byte was one. */
static bool flow(struct line *line, uint8_t byte)
{
    if (!input_flag(line, LINE_IXON))
        return false;
    if (special(line, byte, LINE_VSTART)) {
        line->stopped = false;
        return true;
    }
    if (special(line, byte, LINE_VSTOP)) {
        line->stopped = true;
        return true;
    }
    if (line->stopped && input_flag(line, LINE_IXANY))
        line->stopped = false;
    return false;
}

/* CR and NL as the input flags have it; false: the byte is dropped. */
static bool translate(const struct line *line, uint8_t *byte)
{
    if (*byte == '\r') {
        if (input_flag(line, LINE_IGNCR))
            return false;
        if (input_flag(line, LINE_ICRNL))
            *byte = '\n';
    } else if (*byte == '\n' && input_flag(line, LINE_INLCR)) {
        *byte = '\r';
    }
    return true;
}

/* Canonical mode has the byte for itself; false: it is ordinary. */
static bool canonical(struct line *line, uint8_t byte)
{
    if (!local(line, LINE_IEXTEN) || !special(line, byte, LINE_VLNEXT))
        return edit(line, byte);
    line->literal = true;
    if (local(line, LINE_ECHO) && local(line, LINE_ECHOCTL))
        echo_text(line, "^\b");
    return true;
}

static int input_byte(struct line *line, uint8_t byte)
{
    if (input_flag(line, LINE_ISTRIP))
        byte &= 0x7f;
    if (input_flag(line, LINE_IUCLC) && local(line, LINE_IEXTEN))
        byte = changed_case(byte, 'A');
    if (line->literal) {
        line->literal = false;
        ordinary(line, byte);
        return 0;
    }
    if (flow(line, byte))
        return 0;
    int signal = signal_of(line, byte);
    if (signal) {
        signal_typed(line, byte);
        return signal;
    }
    if (!translate(line, &byte) || (line_canonical(line) && canonical(line, byte)))
        return 0;
    if (byte == 0xff && input_flag(line, LINE_PARMRK)) /* else it would begin a mark */
        marked(line, &byte, 1);
    ordinary(line, byte);
    return 0;
}

int line_input(struct line *line, uint8_t byte)
{
    int signal = input_byte(line, byte);
    throttle(line);
    return signal;
}

int line_input_error(struct line *line, uint8_t byte, enum line_error error)
{
    if (error == LINE_GOOD || (error == LINE_DAMAGED && !input_flag(line, LINE_INPCK)))
        return line_input(line, byte);
    if (input_flag(line, error == LINE_BREAK ? LINE_IGNBRK : LINE_IGNPAR))
        return 0;
    if (error == LINE_BREAK && input_flag(line, LINE_BRKINT)) {
        line_flush_input(line);
        line_flush_output(line);
        return LINE_SIGINT;
    }
    if (input_flag(line, LINE_PARMRK))
        marked(line, (const uint8_t[]){0xff, 0, error == LINE_BREAK ? 0 : byte}, 3);
    else
        marked(line, (const uint8_t[]){0}, 1);
    throttle(line);
    return 0;
}

/* --- reading --- */

size_t line_pending(const struct line *line)
{
    return (size_t)((line_canonical(line) ? line->lines : line->end) - line->read);
}

bool line_readable(const struct line *line, size_t minimum)
{
    if (line_canonical(line))
        return line->lines > line->read;
    return line->end - line->read >= MAX(minimum, (size_t)1);
}

static size_t read_line(struct line *line, uint8_t *buffer, size_t size, bool *end_of_file)
{
    size_t count = 0;
    while (line->read < line->lines) {
        bool delimiter = delimiter_at(line, line->read);
        uint8_t byte = input_at(line, line->read);
        bool mark = delimiter && byte == '\0';
        if (count == size && !mark)
            break;
        line->read++;
        if (mark) {
            /* A full buffer swallows the mark behind it: the next read is about the next line. */
            *end_of_file = count == 0 && size > 0;
            break;
        }
        buffer[count++] = byte;
        if (delimiter)
            break;
    }
    return count;
}

size_t line_read(struct line *line, uint8_t *buffer, size_t size, bool *end_of_file)
{
    size_t count = 0;
    *end_of_file = false;
    if (line_canonical(line)) {
        count = read_line(line, buffer, size, end_of_file);
    } else {
        while (count < size && line->read < line->end)
            buffer[count++] = input_at(line, line->read++);
        line->lines = MAX(line->lines, line->read);
    }
    throttle(line);
    return count;
}

void line_set_attributes(struct line *line, const struct tty_attributes *attributes)
{
    bool was = line_canonical(line);
    line->attributes = *attributes;
    if (!was && line_canonical(line)) {
        /* What was typed in raw mode is one line without a delimiter. */
        for (uint64_t at = line->lines; at < line->end; at++)
            delimiter_set(line, at, false);
        line->lines = line->end;
        line->edit_column = line->column;
    }
    if (!line_canonical(line))
        line->literal = false;
    if (!(attributes->input & LINE_IXON))
        line->stopped = false;
    throttle(line);
}

/* --- speeds --- */

/* Linux's B* by the low four bits, rounded down; with 0x1000 they go on from 57600. */
uint32_t line_bauds(uint32_t control)
{
    static const uint32_t slow[] = {0,   50,   75,   110,  134,  150,  200,   300,
                                    600, 1200, 1800, 2400, 4800, 9600, 19200, 38400};
    static const uint32_t fast[] = {0,       57600,   115200,  230400,  460800,  500000,
                                    576000,  921600,  1000000, 1152000, 1500000, 2000000,
                                    2500000, 3000000, 3500000, 4000000};
    return (control & LINE_SPEED & ~0xfu ? fast : slow)[control & 0xf];
}
