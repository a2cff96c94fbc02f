/* The bytes of files: a memory object for each, which is what readers map, too.
 *
 *     data_reach(inode, offset, &length)             memory for as much of it as can be had in one go
 *     data_write(inode, offset, bytes, length)       or whoever, at data_window(inode, offset, length, &where)
 *     data_written(inode, offset, length)            what it took is charged to the volume
 *
 * The object is as long as the file, in whole pages; pages nobody wrote are not there and read as zeros. It is kept with the
 * port under the inode, so it outlives the process. A command that fails, or whose process dies, may have left bytes behind the
 * end; they are zeroed before the file grows over them.
 */
#pragma once

#include "sbin/fsd.tmp/inode.h"

#define FILE_SIZE_MAX (UINT64_C(1) << 46)

/* E_FILE_TOO_BIG, E_NO_SPACE, E_NO_MEMORY. length: not 0; how much may be written. */
MUST_CHECK int64_t data_reach(struct inode *inode, uint64_t offset, uint64_t *length);
MUST_CHECK int64_t data_write(struct inode *inode, uint64_t offset, const void *bytes,
                              uint64_t length);
MUST_CHECK int64_t data_window(struct inode *inode, uint64_t offset, uint64_t length, void **bytes);
/* E_NO_SPACE: it was too much after all, and is gone. */
MUST_CHECK int64_t data_written(struct inode *inode, uint64_t offset, uint64_t length);

/* From where what begins at offset, before the end, can be read. E_NO_MEMORY. */
MUST_CHECK int64_t data_view(struct inode *inode, uint64_t offset, const void **bytes);
/* The file's length changes; what is cut off is given back. E_FILE_TOO_BIG. */
MUST_CHECK int64_t data_resize(struct inode *inode, uint64_t size);
/* A handle for a client. E_NO_MEMORY. */
MUST_CHECK int64_t data_share(struct inode *inode, bool write);
/* What clients filled through mappings is charged when somebody looks. */
void data_count(struct inode *inode);
/* The file goes, when the transaction is over: data_finish, behind arena_commit or arena_abort. */
void data_drop(struct inode *inode);
void data_finish(bool committed);
