/* Cutting configuration text into words. */
#include "lib/sys/conf.h"

#include <string.h>

#include "abi/errors.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static int bad(struct conf_reader *reader, const char *problem)
{
    reader->problem = problem;
    return -E_BAD_FORMAT;
}

/* The word at *at; *at moves behind it. NULL: its quotes are not closed. The byte behind it becomes its end. */
static char *word_take(char *line, size_t length, size_t *at)
{
    char *word = line + *at;
    if (*word == '"') {
        word++;
        char *close = memchr(word, '"', length - *at - 1);
        if (!close)
            return NULL;
        *close = '\0';
        *at = (size_t)(close - line) + 1;
        return word;
    }
    while (*at < length && !is_blank(line[*at]))
        ++*at;
    line[*at] = '\0';
    *at += *at < length;
    return word;
}

/* The words of one line (without its newline, whose place may be written to). */
static int line_split(struct conf_reader *reader, char *line, size_t length, char **words,
                      size_t room)
{
    size_t at = 0, count = 0;
    if (memchr(line, '\0', length))
        return bad(reader, "a zero byte");
    for (;;) {
        while (at < length && is_blank(line[at]))
            at++;
        if (at == length || line[at] == '#')
            return (int)count;
        if (count == room)
            return bad(reader, "too many words");
        words[count] = word_take(line, length, &at);
        if (!words[count++])
            return bad(reader, "a quotation mark is not closed");
    }
}

int conf_next(struct conf_reader *reader, char **words, size_t room)
{
    while (reader->at < reader->length) {
        char *line = reader->text + reader->at;
        size_t rest = reader->length - reader->at;
        const char *newline = memchr(line, '\n', rest);
        size_t length = newline ? (size_t)(newline - line) : rest;
        reader->at += length + (newline != NULL);
        reader->line++;
        int count = line_split(reader, line, length, words, room);
        if (count)
            return count;
    }
    return 0;
}

bool conf_number(const char *word, uint64_t limit, uint64_t *value)
{
    unsigned base = 10;
    uint64_t number = 0;
    if (word[0] == '0' && word[1] == 'x') {
        base = 16;
        word += 2;
    }
    if (!*word)
        return false;
    for (; *word; word++) {
        unsigned digit = *word >= '0' && *word <= '9'   ? (unsigned)(*word - '0')
                         : *word >= 'a' && *word <= 'f' ? (unsigned)(*word - 'a') + 10
                                                        : 99;
        if (digit >= base || number > (limit - digit) / base || digit > limit)
            return false;
        number = number * base + digit;
    }
    *value = number;
    return true;
}
