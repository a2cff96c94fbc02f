/* What is to be known of a file. */
#pragma once

#include "lib/linux/file.h"

/* 0 or -errno. Streams and the log get an answer made up here. */
int64_t stat_file(struct file *file, struct abi_stat *stat) MUST_CHECK;
