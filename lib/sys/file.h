/* Files and paths for native code: what a service needs of other services without the POSIX layer.
 *
 * Names are URIs of the caller's namespace (HANDLE_SELF) or of another given by its handle. All calls wait
 * without being interrupted by kicks, and return 0 or a count, or -E_*. Links between protocols (E_LINK) are
 * followed, up to FILE_LINKS_MAX.
 */
#pragma once

#include "abi/ops.h"
#include "lib/sys/syscall.h"

#define FILE_LINKS_MAX 16

/* Connects; *file is the caller's to close. flags: OPEN_*. */
MUST_CHECK int64_t file_open(handle_t namespace, const char *uri, uint32_t flags, handle_t *file);

/* One command with no path on an open file: fill in op, args, windows and handles. */
MUST_CHECK int64_t file_command(handle_t file, struct abi_command *command);

/* One command on what uri names, without opening it. */
MUST_CHECK int64_t path_command(handle_t namespace, const char *uri, struct abi_command *command);

MUST_CHECK int64_t file_stat(handle_t file, struct abi_stat *stat);

/* At offset, wholly or to the end of the file: the count. */
MUST_CHECK int64_t file_read(handle_t file, uint64_t offset, void *buffer, size_t length);
MUST_CHECK int64_t file_write(handle_t file, uint64_t offset, const void *buffer, size_t length);

/* Memory that holds [0, *size) of the file from *offset on; may be executable. The handle is the caller's.
 * Files whose service maps nothing are read into new memory. */
MUST_CHECK int64_t file_memory(handle_t file, handle_t *memory, uint64_t *offset, uint64_t *size);

/* The same of a file named by its URI, mapped for good and to be read. E_BAD_FORMAT: it is empty. */
MUST_CHECK int64_t file_map(handle_t namespace, const char *uri, const void **bytes,
                            uint64_t *size);

/* The whole text of a small file, terminated; free() it. E_TOO_BIG beyond limit. */
MUST_CHECK int64_t file_load(handle_t namespace, const char *uri, size_t limit, char **text,
                             size_t *length);
