/* /etc/ttys: the terminals, and what the programs on them are given.
 *
 *     use initfs fs rng tty null zero proc log      protocols the programs on the terminals listed below may name
 *     environment PATH=/sbin:/bin
 *     give framebuffer                              handles of initd's own
 *     terminal tty:///serial vt100 /bin/busybox -sh     URI, TERM, program, its argv from argv[0] on
 *
 *     struct ttys ttys = {.reader = {.text = text, .length = length}};      -- text[length] must be writable
 *     while ((result = ttys_next(&ttys, &terminal)) != 0)
 *         if (result > 0) ... terminal is ours
 *         else fprintf(stderr, "%s:%u: %s\n", name, ttys.reader.line, ttys.problem);
 *     ttys_end(&ttys);
 */
#pragma once

#include "lib/sys/conf.h"
#include "sbin/initd/service_conf.h"

#define TTYS_WORDS 64u

struct terminal_conf {
    struct service_conf conf; /* of the program; its name is the last part of argv[0] */
    char *terminal;           /* URI */
};

struct ttys {
    struct conf_reader reader;
    struct service_conf common; /* of the terminals to come */
    const char *problem;        /* after an error */
};

/* 1: a terminal, to be destroyed; 0: the end; -E_*: a line that is wrong, the rest can still be read. */
MUST_CHECK int ttys_next(struct ttys *ttys, struct terminal_conf *terminal);
void ttys_end(struct ttys *ttys);

/* What the words of a `terminal` line say; at least 4. false: no memory. */
MUST_CHECK bool terminal_conf_make(struct terminal_conf *terminal,
                                   const struct service_conf *common, char *const *words,
                                   size_t count);
void terminal_conf_destroy(struct terminal_conf *terminal);
