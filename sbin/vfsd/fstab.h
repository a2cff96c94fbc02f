/* /etc/fstab: what is mounted where.
 *
 *     # source        point   type   options
 *     tmp             /       tmp    size=50%,mode=0755
 *     initfs:///      /       bind   each                  every name in it, by itself
 *     proc:///        /proc   bind
 *
 * Words as in conf.h; what stands behind the fourth is not looked at.
 */
#pragma once

#include "lib/sys/conf.h"

struct fstab_line {
    const char *source, *point, *type, *options; /* in the text */
};

/* The next line: 1; 0 at the end; -E_BAD_FORMAT, reader->problem says why, the rest can still be read. */
MUST_CHECK int fstab_next(struct conf_reader *reader, struct fstab_line *line);

/* The value of "name=" among comma-separated options, and its length; NULL: it is not there. name alone: "". */
const char *option_find(const char *options, const char *name, size_t *length);
/* Options as they are shown: without those that only say how to mount, "ro" or "rw" in front. False: there is no room. */
MUST_CHECK bool options_shown(const char *options, bool read_only, char *out, size_t room);
/* A size: a number with k, m or g behind it, or % of whole. False: it is none. */
MUST_CHECK bool option_size(const char *text, size_t length, uint64_t whole, uint64_t *size);
/* The first option that is not among names (NULL at the end); NULL: all are. */
const char *option_unknown(const char *options, const char *const *names, size_t *length);
