/* The pages of files: memory whose pager this process is, which clients map and reads are answered from.
 *
 *     cache_read(file, offset, &length)        they are present
 *     cache_prepare(file, offset, length)      they are present, or zero, to be written over
 *     cache_write_back(file)                   what is dirty is on the device
 *     cache_resize(file)                       the file has another size
 *
 * Which pages are present is known here exactly: nobody else supplies or evicts them (file->present). A dirty page is found by
 * its mark, which lies with the memory and outlives the process.
 */
#pragma once

#include "sbin/fsd.fat32/file.h"

/* Errors: E_IO, E_NO_MEMORY. [offset, offset + length) lies in the file. Of what cannot be read as a whole the length becomes that of the part in front of
 * what is bad. */
MUST_CHECK int64_t cache_read(struct file *file, uint64_t offset, uint64_t *length);
/* old: the file's size before this write: nothing of it is read behind that. */
MUST_CHECK int64_t cache_prepare(struct file *file, uint64_t offset, uint64_t length, uint64_t old);
/* The file's memory becomes as long as the file. */
MUST_CHECK int64_t cache_resize(struct file *file);
MUST_CHECK int64_t cache_write_back(struct file *file);
/* Clean pages go. */
void cache_evict(struct file *file);
/* The memory, made or found with the port. */
MUST_CHECK int64_t cache_attach(struct file *file);
/* Whether a client has it, or has mapped it. */
bool cache_used(struct file *file);
/* It goes. */
void cache_forget(struct file *file);
/* What clients wrote behind the end does not become part of a file that grows over it. */
MUST_CHECK int64_t cache_zero_tail(struct file *file);
/* The file's bytes from offset on: for what is present, or was prepared. */
MUST_CHECK int64_t cache_map(struct file *file, uint64_t offset, uint8_t **bytes);
/* These are present and mapped: file->view has them, and others that are, too. */
void cache_view(struct file *file, uint64_t offset, uint64_t length);

command_handler cache_page_in, cache_page_out;
