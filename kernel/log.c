/* The log's ring, and printf's formatting for the kernel.
 *
 * The ring holds the last LOG_SIZE bytes of one endless text of terminated lines, each behind a digit, its level; a line's
 * sequence number is its offset in that text. A reader that fell behind goes on with the oldest whole line. Control characters
 * of processes are replaced, so that a line is a line and the terminal it is shown on is safe.
 *
 * Lock: log_lock (RANK_LOG) for the ring and the order of lines on the console. A panic does not come through
 * here: it writes to the console itself.
 */
#include "kernel/log.h"

#include "kernel/arch.h"
#include "kernel/boot.h"
#include "kernel/lock.h"
#include "lib/base/string.h"

#define LOG_SIZE 131072u /* a power of two */
#define LINE_MAX 512u    /* longer lines are cut */

static struct lock log_lock = LOCK_INIT(RANK_LOG, "log");
static char ring[LOG_SIZE];
static uint64_t ring_end;    /* sequence number behind the newest line */
static uint64_t ring_oldest; /* of the oldest whole line */
static enum log_level console_level = LOG_INFO, screen_level = LOG_INFO;
static bool option_read, news;

/* --- Formatting ------------------------------------------------------------------------------------ */

struct output {
    char *buffer;
    size_t size, length; /* length: what it would be with room for all */
};

static void put(struct output *out, char c)
{
    if (out->length + 1 < out->size)
        out->buffer[out->length] = c;
    out->length++;
}

static void put_padded(struct output *out, const char *text, size_t length, size_t width, bool left)
{
    size_t padding = width > length ? width - length : 0;

    for (size_t i = 0; !left && i < padding; i++)
        put(out, ' ');
    for (size_t i = 0; i < length; i++)
        put(out, text[i]);
    for (size_t i = 0; left && i < padding; i++)
        put(out, ' ');
}

static void put_number(struct output *out, uint64_t value, bool negative, unsigned base,
                       size_t width, char pad, bool left)
{
    char digits[24];
    size_t i = sizeof(digits);

    do {
        digits[--i] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value);
    if (pad == '0') {
        size_t length = sizeof(digits) - i + negative;

        if (negative)
            put(out, '-');
        for (; length < width; length++)
            put(out, '0');
        put_padded(out, digits + i, sizeof(digits) - i, 0, false);
        return;
    }
    if (negative)
        digits[--i] = '-';
    put_padded(out, digits + i, sizeof(digits) - i, width, left);
}

static size_t bounded_length(const char *text, size_t limit)
{
    size_t length = 0;

    while (length < limit && text[length])
        length++;
    return length;
}

static size_t number(const char **format)
{
    size_t value = 0;

    for (; **format >= '0' && **format <= '9'; (*format)++)
        value = value * 10 + (size_t)(**format - '0');
    return value;
}

/* One conversion; *format is behind the '%' and is moved past the conversion. */
static void convert(struct output *out, const char **format, va_list *arguments)
{
    bool left = false, wide = false;
    char pad = ' ';
    size_t width, precision = SIZE_MAX;

    for (;; (*format)++) {
        if (**format == '-')
            left = true;
        else if (**format == '0')
            pad = '0';
        else
            break;
    }
    if (left)
        pad = ' ';
    if (**format == '*') {
        int star = va_arg(*arguments, int);

        width = star > 0 ? (size_t)star : 0;
        (*format)++;
    } else {
        width = number(format);
    }
    if (**format == '.') {
        (*format)++;
        if (**format == '*') {
            int star = va_arg(*arguments, int);

            precision = star >= 0 ? (size_t)star : SIZE_MAX;
            (*format)++;
        } else {
            precision = number(format);
        }
    }
    for (; **format == 'l' || **format == 'z'; (*format)++)
        wide = true;

    char conversion = **format;
    if (conversion)
        (*format)++;
    switch (conversion) {
    case 's': {
        const char *text = va_arg(*arguments, const char *);

        if (!text)
            text = "(null)";
        put_padded(out, text, bounded_length(text, precision), width, left);
        break;
    }
    case 'c': {
        char c = (char)va_arg(*arguments, int);

        put_padded(out, &c, 1, width, left);
        break;
    }
    case 'd': {
        int64_t value = wide ? va_arg(*arguments, int64_t) : va_arg(*arguments, int);

        put_number(out, value < 0 ? 0 - (uint64_t)value : (uint64_t)value, value < 0, 10, width,
                   pad, left);
        break;
    }
    case 'u':
    case 'x': {
        uint64_t value = wide ? va_arg(*arguments, uint64_t) : va_arg(*arguments, unsigned);

        put_number(out, value, false, conversion == 'u' ? 10 : 16, width, pad, left);
        break;
    }
    case 'p':
        put(out, '0');
        put(out, 'x');
        put_number(out, (uintptr_t)va_arg(*arguments, void *), false, 16, width > 2 ? width - 2 : 0,
                   '0', false);
        break;
    case '%':
        put(out, '%');
        break;
    default: /* unknown: shown as it is written; the compiler's format check keeps it from happening */
        put(out, '%');
        if (conversion)
            put(out, conversion);
    }
}

/* As vsnprintf: the length of the whole text is returned, and what fits is terminated. */
int format_text(char *buffer, size_t size, const char *format, va_list arguments)
{
    struct output out = {buffer, size, 0};
    va_list copy;

    va_copy(copy, arguments);
    while (*format) {
        if (*format != '%') {
            put(&out, *format++);
            continue;
        }
        format++;
        convert(&out, &format, &copy);
    }
    va_end(copy);
    if (size > 0)
        buffer[MIN(out.length, size - 1)] = 0;
    return (int)out.length;
}

static PRINTF(3, 4) size_t format_into(char *buffer, size_t size, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    int length = format_text(buffer, size, format, arguments);
    va_end(arguments);
    return MIN((size_t)length, size - 1);
}

/* --- The ring -------------------------------------------------------------------------------------- */

static void ring_append(const char *line, size_t length)
{
    for (size_t i = 0; i < length; i++)
        ring[(ring_end + i) % LOG_SIZE] = line[i];
    ring_end += length;
    if (ring_end - ring_oldest <= LOG_SIZE)
        return;
    ring_oldest = ring_end - LOG_SIZE;
    while (ring[(ring_oldest++) % LOG_SIZE] != '\n')
        ;
}

/* log=error|warning|info|debug. Read with the first line after the loader's data is known. */
static void read_option(void)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    size_t length;
    const char *value;

    if (option_read || !boot_info.loader)
        return;
    option_read = true;
    value = boot_option("log", &length);
    for (unsigned i = 0; value && i < ARRAY_SIZE(names); i++) {
        if (length == strlen(names[i]) && memcmp(value, names[i], length) == 0)
            console_level = screen_level = (enum log_level)i;
    }
}

/* text becomes one line of at most LINE_MAX bytes in the ring and, if it is urgent enough, on the console. */
static void append_line(enum log_level level, const char *name, const char *text, size_t length)
{
    char record[1 + LINE_MAX], *line = record + 1;
    uint64_t now = arch_clock();
    size_t used =
        format_into(line, LINE_MAX, "[%5lu.%06lu] %s%s%s", now / 1000000000, now / 1000 % 1000000,
                    name, *name ? ": " : "", level == LOG_ERROR ? "error: " : "");

    record[0] = (char)('0' + level);
    for (size_t i = 0; i < length && used < LINE_MAX - 1; i++) {
        bool control = (unsigned char)text[i] < ' ' || text[i] == 0x7f;
        line[used++] = control && text[i] != '\t' ? '?' : text[i];
    }
    line[used++] = '\n';

    lock_acquire(&log_lock);
    read_option();
    ring_append(record, 1 + used);
    if (level <= console_level)
        __atomic_store_n(&news, true, __ATOMIC_RELAXED);
    if (level <= console_level)
        arch_console_write(line, used);
    else if (level <= screen_level)
        arch_screen_write(line, used);
    if (level == LOG_ERROR)
        arch_screen_show_text();
    lock_release(&log_lock);
}

void log_line(enum log_level level, const char *format, ...)
{
    char text[LINE_MAX];
    va_list arguments;

    va_start(arguments, format);
    int length = format_text(text, sizeof(text), format, arguments);
    va_end(arguments);
    append_line(level, "", text, MIN((size_t)length, sizeof(text) - 1));
}

/* Several lines if text has several; a newline at the end is not one more. */
void log_user(const char *name, const char *text, size_t length)
{
    size_t start = 0;

    for (size_t i = 0; i < length; i++) {
        if (text[i] != '\n')
            continue;
        append_line(LOG_INFO, name, text + start, i - start);
        start = i + 1;
    }
    if (start < length || length == 0)
        append_line(LOG_INFO, name, text + start, length - start);
}

static char ring_at(uint64_t sequence)
{
    return ring[sequence % LOG_SIZE];
}

static bool line_starts(uint64_t sequence)
{
    return sequence == ring_oldest || ring_at(sequence - 1) == '\n';
}

/* Behind the level of the first line from `at` on that is urgent enough; ring_end: there is none. */
static uint64_t line_find(uint64_t at, enum log_level least)
{
    while (at < ring_end && ring_at(at) - '0' > (int)least)
        while (ring_at(at++) != '\n')
            ;
    return at < ring_end ? at + 1 : ring_end;
}

/* Whole lines from *sequence on, as many as fit; *sequence is moved behind them. Returns the bytes written. A
 * line longer than the buffer is handed out in pieces. */
size_t log_read(uint64_t *sequence, char *buffer, size_t length, enum log_level least)
{
    size_t count = 0, whole = 0;

    lock_acquire(&log_lock);
    uint64_t at = *sequence > ring_end ? ring_end : MAX(*sequence, ring_oldest), behind = at;
    while (at < ring_end) {
        at = line_starts(at) ? line_find(at, least) : at;
        if (at == ring_end || count == length)
            break;
        buffer[count++] = ring_at(at++);
        if (buffer[count - 1] == '\n') {
            whole = count;
            behind = at;
        }
    }
    if (whole == 0 || at == ring_end) /* a piece of a line, or nothing more that is urgent enough */
        behind = at;
    if (whole > 0)
        count = whole;
    *sequence = behind;
    lock_release(&log_lock);
    return count;
}

enum log_level log_console_level(void)
{
    lock_acquire(&log_lock);
    enum log_level level = console_level;
    lock_release(&log_lock);
    return level;
}

bool log_news(void)
{
    return __atomic_load_n(&news, __ATOMIC_RELAXED) &&
           __atomic_exchange_n(&news, false, __ATOMIC_ACQUIRE);
}

void log_screen_taken(void)
{
    lock_acquire(&log_lock);
    arch_screen_taken();
    lock_release(&log_lock);
}

void log_console_taken(void)
{
    size_t length;

    lock_acquire(&log_lock);
    if (!boot_option("log", &length))
        console_level = LOG_WARNING;
    lock_release(&log_lock);
}

void log_console_back(void)
{
    size_t length;

    lock_acquire(&log_lock);
    if (!boot_option("log", &length))
        console_level = LOG_INFO;
    lock_release(&log_lock);
}
