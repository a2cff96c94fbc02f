/* The table for others to see: PROC_LIST's entries, and text for people (`cat proc:///`). */
#pragma once

#include "sbin/procd/process.h"

/* As PROC_LIST and ps show it; asks the kernel for times and pages. */
void list_entry(const struct process *process, struct proc_entry *entry);

/* A table as text, terminated; free() it. NULL: no memory. */
char *list_text(const struct table *table, size_t *length);
