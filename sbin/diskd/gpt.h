/* The GPT's part of reading a table of partitions (partition.h). */
#pragma once

#include "sbin/diskd/partition.h"

/* sector: room for one. 0 or more, or -E_NO_MEMORY. */
MUST_CHECK int64_t gpt_read(const struct medium *medium, struct partition_table *table,
                            uint8_t *sector);

/* partition.c's, for both kinds. */
void table_problem(struct partition_table *table, const char *what);
/* 1: it is in the list; 0: it makes no sense, which is noted; -E_NO_MEMORY. */
MUST_CHECK int64_t table_add(const struct medium *medium, struct partition_table *table,
                             const struct partition *partition);
