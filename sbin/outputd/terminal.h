/* A terminal: a line discipline, who may use it, the commands that wait for it, and its readiness.
 *
 *     device input -> terminal_input -> held reads are answered, signals sent
 *     commands -> terminal_read / write / control -> answered, or held
 *     terminal_output_take -> device; terminal_drained afterwards answers held writes and drains
 *
 * One thread. A held read leaves by input, a signal's flush, its time (VTIME), or cancellation, and then has
 * taken nothing. A held write counts what it wrote: cancelled, it answers that.
 */
#pragma once

#include "lib/base/list.h"
#include "lib/sys/service.h"
#include "sbin/outputd/line.h"

/* What must survive outputd: it lies in memory kept with tty://. */
struct terminal_kept {
    uint32_t valid; /* TERMINAL_KEPT: all but the line, which is checked by itself, was written */
    int32_t session, foreground;
    struct tty_size size;
    struct tty_attributes attributes;
    struct line line; /* in use: what was typed and not read, what was written and not sent */
};

#define TERMINAL_KEPT 0x74747931u

struct terminal {
    struct line *line; /* in what is kept */
    handle_t port;
    int32_t session, foreground; /* 0: none */
    struct tty_size size;
    struct list files;  /* struct terminal_file */
    struct list reads;  /* struct held */
    struct list writes; /* struct held, in order */
    struct list drains; /* struct held */
    uint32_t ready;     /* SIGNAL_* last published */
    struct terminal_kept *kept;
    void (*output_ready)(struct terminal *terminal); /* the device should look for output */
};

/* An open file: its address is the file's cookie. */
struct terminal_file {
    struct list link;
    struct terminal *terminal;
    uint64_t id;
};

/* kept: what a predecessor left, or zeros. */
void terminal_init(struct terminal *terminal, handle_t port, struct terminal_kept *kept,
                   void (*output_ready)(struct terminal *terminal));

int64_t terminal_open(struct terminal *terminal, struct command *command);
void terminal_close(struct terminal_file *file);
int64_t terminal_read(struct terminal *terminal, struct command *command);
int64_t terminal_write(struct terminal *terminal, struct command *command);
int64_t terminal_control(struct terminal *terminal, struct command *command);

void terminal_input(struct terminal *terminal, const uint8_t *bytes, size_t count);

/* Output went to the device: there is room again. */
void terminal_drained(struct terminal *terminal);

/* true: one of this terminal's held commands had the token, and was returned. */
bool terminal_cancel(struct terminal *terminal, uint64_t token);

/* When a held read's VTIME is over (DEADLINE_NEVER: none waits), and what to do then. */
int64_t terminal_deadline(const struct terminal *terminal);
void terminal_expire(struct terminal *terminal);
