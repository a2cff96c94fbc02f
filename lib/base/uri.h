/* URIs as programs write them, and their canonical form.
 *
 *     uri_split("initfs:///sbin/rngd")        scheme "initfs", rest "/sbin/rngd"
 *     uri_split("/etc/motd")                  scheme "fs", rest "/etc/motd"
 *     uri_resolve("fs:///home", "../x/")      "fs:///x", URI_DIRECTORY
 *     uri_resolve(any, "/initfs:/sbin")       "initfs:///sbin"
 *     uri_posix("initfs:///sbin")             "/initfs:/sbin"
 *     uri_plain("/etc/motd")                  true: "fs:///etc/motd" is canonical
 *
 * Canonical: "scheme://rest", no empty, "." or ".." component, no slash at the end but the root's own. `..` stays
 * at the root of its scheme. A rest that does not begin with a slash (tty://serial) keeps that form.
 *
 * The POSIX spelling exists for programs that know only slashes: a component "name:" of a path without "://"
 * names the root of that scheme, wherever it stands, because shells write `cd initfs:///sbin` in /home as
 * "/home/initfs:/sbin". Schemes have at least two letters, so "c:" is an ordinary name.
 *
 * Lengths are bytes; nothing is terminated but what uri_resolve and uri_posix write. No allocation.
 */
#pragma once

#include "lib/base/base.h"

#define URI_DIRECTORY \
    0x1u /* the path ended in a slash ("scheme:///" apart) or in . or ..: it can only be a directory */

struct uri {
    const char *scheme;
    size_t scheme_length;
    const char *rest;
    size_t rest_length;
};

/* The length of the scheme name that text begins with, up to but without ':'; 0 if there is none. */
size_t uri_scheme_length(const char *text, size_t length);
/* "fs://" and this path are its canonical form, as far as a quick look can tell. No zero byte is inside. */
bool uri_plain(const char *path, size_t length);
/* -E_INVALID: "://" with no valid name before it. */
int uri_split(const char *text, size_t length, struct uri *uri) MUST_CHECK;
/* cwd: a canonical, terminated URI. out: room bytes. -E_NOT_FOUND for an empty path, -E_TOO_LONG, -E_INVALID for a zero
 * byte inside. *out_length leaves the terminator out. */
int uri_resolve(const char *cwd, const char *path, size_t path_length, char *out, size_t room,
                size_t *out_length, unsigned *flags) MUST_CHECK;
/* How getcwd says it. -E_TOO_LONG. */
int uri_posix(const char *text, size_t length, char *out, size_t room,
              size_t *out_length) MUST_CHECK;
/* Where the last component begins; length if there is none. */
size_t uri_basename(const char *text, size_t length);
