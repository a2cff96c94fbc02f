/* Reading and writing open files for the personality's own use (exec, sendfile): buffers are its own. */
#pragma once

#include "lib/linux/file.h"

/* Bytes moved, -errno or -RESTART_*. offset: a position, or IO_POSITION for the file's own. */
#define IO_POSITION UINT64_MAX
int64_t io_read(struct file *file, uint64_t data, uint64_t length, uint64_t offset,
                bool nonblock) MUST_CHECK;
int64_t io_write(struct file *file, uint64_t data, uint64_t length, uint64_t offset) MUST_CHECK;

/* One command with two arguments on what fd names; EINVAL where that is no file of a service. */
int64_t io_command(struct thread *thread, uint64_t fd, uint32_t op, uint64_t first,
                   uint64_t second) MUST_CHECK;
