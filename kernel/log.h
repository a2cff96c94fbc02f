/* The system log: a ring of lines in memory, and on the console what is urgent enough.
 *
 *     log_info("memory: %lu MiB", mib);          printf formats: %s %.*s %c %d %u %x %lx %lu %p %zu %%, widths, 0
 *     log_user(name, text, length);              a line of a process
 *     log_read(&sequence, buffer, length, least);    lines behind a sequence number, for log://
 *
 * Levels: log= on the command line sets what reaches the console (default info; once a service drives the serial
 * line, only warnings). Lock: RANK_LOG, a leaf.
 */
#pragma once

#include <stdarg.h>

#include "lib/base/base.h"

struct object;

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

void log_line(enum log_level level, const char *format, ...) PRINTF(2, 3);
void log_user(const char *name, const char *text, size_t length);
/* Lines as urgent as `least` or more. */
size_t log_read(uint64_t *sequence, char *buffer, size_t length, enum log_level least);
/* What goes to a console now. */
enum log_level log_console_level(void);
/* Whether a line for consoles has come since this was asked last. */
bool log_news(void);

/* log_watch.c: who follows the log sees SIGNAL_READABLE on this object, which is kept for good, when a line for consoles has come. Lines
 * come from everywhere, from interrupts and under locks, too: it is shown by the next log_write, or CPU that has nothing to do. */
void log_watch(struct object *object);
bool log_tell(void); /* true: there was something to tell */
/* A driver has the serial line now: only warnings go there from here on, unless log= asks for more. */
void log_console_taken(void);
void log_console_back(void); /* it has none any more */
/* ... and the screen. */
void log_screen_taken(void);
int format_text(char *buffer, size_t size, const char *format, va_list arguments);

#define log_error(...)   log_line(LOG_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_WARNING, __VA_ARGS__)
#define log_info(...)    log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...)   log_line(LOG_DEBUG, __VA_ARGS__)
