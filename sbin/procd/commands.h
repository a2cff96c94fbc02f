/* What proc:// is asked (abi/proc.h), a handler for each operation. */
#pragma once

#include "lib/sys/service.h"
#include "sbin/procd/process.h"

extern struct table table;

static inline struct process *caller_of(const struct command *command)
{
    return process_by_badge(&table, command->message.caller);
}

/* making.c: processes that come. */
command_handler proc_adopt, proc_fork;
/* commands.c: groups, signals, waiting, what others ask about processes. */
command_handler proc_exec, proc_wait, proc_kill, proc_signals, proc_ids, proc_set_ids, proc_setpgid,
    proc_setsid, proc_masks, proc_stopped, proc_list, proc_alarm, proc_terminal, proc_watch;
/* open.c: files (files.h). */
command_handler proc_open, proc_read, proc_stat, proc_statfs, proc_readlink, proc_directory;
void proc_closed(void *context, uint64_t cookie);
