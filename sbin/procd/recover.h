/* The table as a procd before this one left it.
 *
 * It may have ended between any two instructions. A record is whole or not there (store.h), but what it says may be
 * half of a change. So every field is checked, links are made anew, and changes that were begun are finished by doing
 * them again: all of them may be done twice (a stop, a kick, SIGCHLD for an end).
 *
 * A state that makes procd end is not tried for ever: after three times in a row it is thrown away.
 */
#pragma once

#include "sbin/procd/process.h"

/* Fills the table: records, parents, queued signals, alarms, handles. How many processes there are. */
uint64_t recover_table(struct table *table, handle_t port);

/* The kernel is told what the records say; ends that nobody was told of are. `ended` is called for each process that has
 * no handle any more. Before the first command. */
void recover_processes(struct table *table, void (*ended)(struct process *process));

/* A command was served: this state is one to live with. */
void recover_done(void);

/* The last pid given outlives procd, too. */
void recover_note_pid(int32_t pid);
