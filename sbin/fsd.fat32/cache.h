/* The pages of files: memory whose pager this process is, which clients map and reads are answered from.
 *
 *     cache_read(file, offset, &length)        they are present
 *     cache_prepare, cache_place, cache_placed     bytes are written there, as far as a place goes at a time
 *     cache_write_back(file)                   what is dirty is on the device
 *     cache_resize(file)                       the file has another size
 *
 * Which pages are present is known here exactly: nobody else supplies or evicts them (file->present); after a restart the kernel
 * says which there are. A dirty page is found by its mark. Pages and marks lie with the memory and outlive the process, at any
 * instant: so no page is present before its bytes are right. What is to be written to an absent page is put together beside
 * the file, and comes with its mark.
 */
#pragma once

#include "sbin/fsd.fat32/file.h"

/* Errors: E_IO, E_NO_MEMORY. [offset, offset + length) lies in the file. Of what cannot be read as a whole the length becomes that of the part in front of
 * what is bad. */
MUST_CHECK int64_t cache_read(struct file *file, uint64_t offset, uint64_t *length);
/* [offset, offset + length) is to be written to. old: the file's size before: nothing of it is read behind that. */
MUST_CHECK int64_t cache_prepare(struct file *file, uint64_t offset, uint64_t length, uint64_t old);
struct cache_place {
    uint8_t *bytes;
    uint64_t length;
    bool beside;
};
/* Where the first bytes of a part of that are to be put, and how many. Before another one is asked for they are there, or cannot be
 * had (result): cache_placed, which answers with that result or its own. */
MUST_CHECK int64_t cache_place(struct file *file, uint64_t offset, uint64_t length,
                               struct cache_place *place);
MUST_CHECK int64_t cache_placed(struct file *file, uint64_t offset, const struct cache_place *place,
                                int64_t result);
/* The file's memory becomes as long as the file. */
MUST_CHECK int64_t cache_resize(struct file *file);
MUST_CHECK int64_t cache_write_back(struct file *file);
/* Clean pages go. */
void cache_evict(struct file *file);
bool cache_dirty(const struct file *file);
/* The memory, made or found with the port. */
MUST_CHECK int64_t cache_attach(struct file *file);
/* A client is about to have it to write to. The next process will know. */
MUST_CHECK int64_t cache_writable(struct file *file);
/* Whether a client has it, or has mapped it. */
bool cache_used(struct file *file);
/* It goes. */
void cache_forget(struct file *file);
/* What clients wrote behind the end does not become part of a file that grows over it. */
MUST_CHECK int64_t cache_zero_tail(struct file *file);
/* The file's bytes from offset on: for what is present. */
MUST_CHECK int64_t cache_map(struct file *file, uint64_t offset, uint8_t **bytes);
/* These are present and mapped: file->view has them, and others that are, too. */
void cache_view(struct file *file, uint64_t offset, uint64_t length);

command_handler cache_page_in, cache_page_out;
