/* proc:// for people and for programs that read /proc: a small tree of texts.
 *
 *     proc:///            a directory of pids and the files below; read as a file it is the table of processes
 *     proc:///list, meminfo, uptime, loadavg, stat, version; mounts, a link
 *     proc:///<pid>/stat, status, comm, cmdline, mounts   proc:///self/... is the caller's
 *
 * Texts have Linux's formats (proc(5)) where Linux has the file. A file is what it was when it was opened.
 */
#pragma once

#include "lib/sys/listing.h"
#include "sbin/procd/process.h"

struct file_kind;

struct place {
    const struct file_kind *kind; /* NULL: a directory */
    int32_t pid;                  /* 0: the root */
};

/* What a path names. -E_NOT_FOUND, -E_NOT_DIRECTORY. caller may be NULL. */
MUST_CHECK int64_t place_find(const struct table *table, const struct process *caller,
                              const char *path, size_t length, struct place *place);

/* Where it leads, if it is a link; else NULL. */
const char *place_link(const struct place *place);

/* Its text, allocated; free() it. -E_NO_MEMORY, -E_NOT_FOUND (the process is gone), -E_IS_DIRECTORY. */
MUST_CHECK int64_t place_text(const struct table *table, const struct place *place, char **text,
                              size_t *length);

/* Adds the entries of a directory from the listing's position on. */
void place_list(const struct table *table, const struct place *place, struct listing *listing);

void place_stat(const struct table *table, const struct place *place, uint64_t size,
                struct abi_stat *stat);

/* A process as PROC_LIST shows it; asks the kernel for times and pages. */
void process_entry(const struct process *process, struct proc_entry *entry);
