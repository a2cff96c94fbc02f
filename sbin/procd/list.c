/* Entries and text. */
#include "sbin/procd/list.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void list_entry(const struct process *process, struct proc_entry *entry)
{
    struct abi_process_info info;
    static const char states[] = {
        [PROCESS_RUNNING] = 'S', [PROCESS_STOPPED] = 'T', [PROCESS_ZOMBIE] = 'Z'};
    memset(entry, 0, sizeof(*entry));
    entry->pid = process->pid;
    entry->ppid = process->parent ? process->parent->pid : 0;
    entry->pgid = process->pgid;
    entry->sid = process->sid;
    entry->state = (uint32_t)states[process->state];
    entry->uid = process->uid;
    entry->cpu_time = process->cpu_time;
    entry->start_time = process->start_time;
    memcpy(entry->name, process->name, sizeof(entry->name) - 1);
    if (process->handle != HANDLE_NONE && sys_process_info(process->handle, &info) >= 0) {
        entry->cpu_time = info.cpu_time;
        entry->pages = info.pages;
    }
}

char *list_text(const struct table *table, size_t *length)
{
    char *text = NULL;
    FILE *stream = open_memstream(&text, length);
    if (!stream)
        return NULL;
    fprintf(stream, "  PID  PPID  PGID   SID S  TIME/ms  PAGES NAME\n");
    process_for_each(process, table) {
        struct proc_entry entry;
        list_entry(process, &entry);
        fprintf(stream, "%5d %5d %5d %5d %c %8" PRIu64 " %6" PRIu64 " %s\n", entry.pid, entry.ppid,
                entry.pgid, entry.sid, (char)entry.state, entry.cpu_time / 1000000, entry.pages,
                entry.name);
    }
    if (fclose(stream)) {
        free(text);
        return NULL;
    }
    return text;
}
