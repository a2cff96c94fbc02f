/* Configuration files: lines of words.
 *
 *     struct conf_reader reader = {.text = text, .length = length};     -- text[length] must be writable
 *     while ((count = conf_next(&reader, words, WORDS)) > 0)
 *         if (strcmp(words[0], "restart") == 0) ...
 *     if (count < 0) fprintf(stderr, "%s:%u: %s\n", name, reader.line, reader.problem);
 *
 * Words are separated by blanks; "..." groups (no escapes); # at the start of a word begins a comment. Empty
 * lines are skipped. The text is cut into terminated words in place. reader.line is the line last returned.
 */
#pragma once

#include "lib/base/base.h"

struct conf_reader {
    char *text;
    size_t length, at;
    uint32_t line;       /* from 1 */
    const char *problem; /* after an error */
};

/* The words of the next line: how many (1..room); 0 at the end; -E_BAD_FORMAT, the rest can still be read. */
MUST_CHECK int conf_next(struct conf_reader *reader, char **words, size_t room);

/* A number as C writes it (decimal, 0x hexadecimal), whole and within [0, limit]. */
MUST_CHECK bool conf_number(const char *word, uint64_t limit, uint64_t *value);
