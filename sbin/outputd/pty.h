/* Pseudo terminals: a terminal whose device is a program (POSIX posix_openpt, Linux's devpts).
 *
 *     program on tty:///pts/<number> --> line.c, terminal.c <--> pty.c <-- who opened tty:///ptmx: the master
 *
 * Opening tty:///ptmx makes one, locked, with the lowest free number; closing that file hangs its terminal up. When the last file
 * of the terminal closes the master reads what was written and then E_IO, until somebody opens it again. As many as there
 * is memory for.
 *
 *     made --slave opens--> in use --last slave closes--> abandoned --slave opens--> in use
 *                  any state --master closes--> gone; its files are hung up
 *
 * Both sides outlive outputd: which files were open is kept, and those that nobody uses or closes in its presence are asked
 * for until they are found open or gone. One thread.
 */
#pragma once

#include "lib/sys/listing.h"
#include "sbin/outputd/terminal.h"

/* Of what is kept with tty://: two keys a pseudo terminal. */
#define PTY_KEY (UINT64_C(1) << 32)

/* What a predecessor left. */
void pty_start(handle_t port);

MUST_CHECK int64_t pty_open_master(struct command *command);
/* name: the number in decimal digits. E_NOT_FOUND, E_IO: it is locked, or the file is one of a terminal before it. */
MUST_CHECK int64_t pty_open_slave(const char *name, size_t length, struct command *command);
/* NULL: there is none. */
struct terminal *pty_terminal(const char *name, size_t length);

/* Of files with `master`. */
MUST_CHECK int64_t pty_read(struct terminal_file *file, struct command *command);
MUST_CHECK int64_t pty_write(struct terminal_file *file, struct command *command);
MUST_CHECK int64_t pty_control(struct terminal_file *file, struct command *command);

/* false: it is no file of a pseudo terminal. */
bool pty_close(struct terminal_file *file);

/* As terminal_cancel, terminal_deadline, terminal_expire and terminal_leader_ended, of all of them. */
bool pty_cancel(uint64_t token);
int64_t pty_deadline(void);
void pty_expire(void);
void pty_leader_ended(int32_t session);

/* The one of this session; NULL: none. */
struct terminal *pty_of_session(int32_t session);

/* The entries of tty:///pts from the listing's position on. */
void pty_list(struct listing *listing);
