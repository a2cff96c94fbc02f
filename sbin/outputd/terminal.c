/* Reading, writing and readiness; control.c has what OP_CONTROL asks. */
#include "sbin/outputd/terminal.h"

#include <stdlib.h>
#include <string.h>

#include "sbin/outputd/control.h"
#include "sbin/outputd/held.h"
#include "sbin/outputd/session.h"

#define SIGTTIN_      21
#define SIGTTOU_      22
#define VTIME_UNIT_NS INT64_C(100000000)
#define PIECE         4096u
#define WRITABLE_ROOM 1024u /* so much room makes a terminal writable for poll */

void terminal_init(struct terminal *terminal, handle_t port, struct terminal_kept *kept,
                   void (*output_ready)(struct terminal *terminal))
{
    memset(terminal, 0, sizeof(*terminal));
    terminal->line = &kept->line;
    list_init(&terminal->files);
    list_init(&terminal->reads);
    list_init(&terminal->writes);
    list_init(&terminal->drains);
    terminal->port = port;
    terminal->size = (struct tty_size){.rows = 24, .columns = 80};
    terminal->output_ready = output_ready;
    terminal->kept = kept;
    if (kept->valid != TERMINAL_KEPT) {
        line_init(terminal->line);
    } else {
        line_recover(terminal->line);
        terminal->session = kept->session;
        terminal->foreground = kept->foreground;
        terminal->size = kept->size;
        line_set_attributes(terminal->line, &kept->attributes);
    }
}

/* How many bytes a read waits for. */
static size_t read_minimum(const struct terminal *terminal, uint64_t size)
{
    const struct line *line = terminal->line;
    if (line_canonical(line))
        return 1;
    return MAX(MIN(line->attributes.characters[LINE_VMIN], size), (uint64_t)1);
}

static uint32_t ready_now(const struct terminal *terminal)
{
    uint32_t ready = 0;
    size_t minimum = 1;
    const uint8_t *characters = terminal->line->attributes.characters;
    /* As on Linux: with VTIME poll reports the first byte, without it VMIN bytes. */
    if (!characters[LINE_VTIME] && characters[LINE_VMIN])
        minimum = characters[LINE_VMIN];
    if (line_readable(terminal->line, minimum))
        ready |= SIGNAL_READABLE;
    if (line_output_room(terminal->line) >= WRITABLE_ROOM && list_empty(&terminal->writes))
        ready |= SIGNAL_WRITABLE;
    return ready;
}

static void readiness_publish(struct terminal *terminal)
{
    uint32_t ready = ready_now(terminal), old = terminal->ready;
    if (ready == old)
        return;
    terminal->ready = ready;
    list_for_each (struct terminal_file, file, &terminal->files, link)
        sys_ignore(sys_file_ready(terminal->port, file->id, ready & ~old, old & ~ready));
}

int64_t terminal_open(struct terminal *terminal, struct command *command)
{
    struct terminal_file *file = malloc(sizeof(*file));
    if (!file)
        return -E_NO_MEMORY;
    file->terminal = terminal;
    file->id = command->message.file;
    list_append(&terminal->files, &file->link);
    terminal->ready = ready_now(terminal);
    command->reply.values[0] = (uintptr_t)file;
    command->reply.values[2] = terminal->ready;
    return 0;
}

void terminal_close(struct terminal_file *file)
{
    list_remove(&file->link);
    free(file);
}

/* 0: the caller may go on; else what it is answered. */
int64_t terminal_job_control(struct terminal *terminal, uint64_t badge, int signal,
                             struct caller *caller)
{
    switch (session_check(badge, terminal->session, terminal->foreground, signal, caller)) {
    case TERMINAL_SIGNALLED:
        return -E_INTERRUPTED;
    case TERMINAL_ORPHANED:
        return -E_IO;
    default:
        return 0;
    }
}

/* --- reading --- */

static bool read_satisfied(const struct terminal *terminal, uint64_t size)
{
    return line_readable(terminal->line, read_minimum(terminal, size));
}

static int64_t read_deadline(const struct terminal *terminal)
{
    const uint8_t *characters = terminal->line->attributes.characters;
    int64_t time = characters[LINE_VTIME] * VTIME_UNIT_NS;
    bool started = line_readable(terminal->line, 1);
    if (line_canonical(terminal->line) || time == 0 || (characters[LINE_VMIN] && !started))
        return DEADLINE_NEVER;
    return sys_clock_get(CLOCK_MONOTONIC_) + time;
}

int64_t terminal_read(struct terminal *terminal, struct command *command)
{
    static uint8_t bytes[PIECE];
    struct line *line = terminal->line;
    struct caller caller;
    bool end;
    if (terminal->session) {
        int64_t result = terminal_job_control(terminal, command->message.caller, SIGTTIN_, &caller);
        if (result < 0)
            return result;
    }
    uint64_t size = MIN(command->message.out_length, sizeof(bytes));
    if (size == 0)
        return 0;
    const uint8_t *characters = line->attributes.characters;
    bool nonblock = command->message.flags & COMMAND_NONBLOCK;
    bool immediate = !line_canonical(line) && !characters[LINE_VMIN] && !characters[LINE_VTIME];
    bool some = line_readable(line, 1);
    /* Others wait already: they go first. */
    if (!list_empty(&terminal->reads) || !read_satisfied(terminal, size)) {
        if (nonblock && !some)
            return immediate ? 0 : -E_AGAIN;
        if (!nonblock && !immediate) {
            struct held *held = held_add(&terminal->reads, command);
            if (!held)
                return -E_NO_MEMORY;
            held->length = size;
            held->deadline = read_deadline(terminal);
            return COMMAND_HELD;
        }
    }
    size_t count = line_read(line, bytes, size, &end);
    command->reply.data = (uintptr_t)bytes;
    command->reply.data_length = count;
    command->reply.values[0] = count;
    readiness_publish(terminal);
    return 0;
}

static void held_read_answer(struct terminal *terminal, struct held *held)
{
    static uint8_t bytes[PIECE];
    bool end;
    size_t count = line_read(terminal->line, bytes, held->length, &end);
    held_return(held, 0, count, bytes, count);
}

/* Answers held reads while there is something for the first of them. */
static void reads_serve(struct terminal *terminal)
{
    struct held *held;
    struct caller caller;
    while ((held = list_first(&terminal->reads, struct held, link)) &&
           read_satisfied(terminal, held->length)) {
        /* It may have gone to the background while it waited. */
        int64_t result =
            terminal->session ? terminal_job_control(terminal, held->caller, SIGTTIN_, &caller) : 0;
        if (result < 0)
            held_return(held, result, 0, NULL, 0);
        else
            held_read_answer(terminal, held);
    }
    /* Between bytes VTIME starts anew. */
    if (held)
        held->deadline = read_deadline(terminal);
}

int64_t terminal_deadline(const struct terminal *terminal)
{
    const struct held *held = list_first(&terminal->reads, struct held, link);
    return held ? held->deadline : DEADLINE_NEVER;
}

void terminal_expire(struct terminal *terminal)
{
    int64_t now = sys_clock_get(CLOCK_MONOTONIC_);
    struct held *held = list_first(&terminal->reads, struct held, link);
    if (!held || held->deadline > now)
        return;
    held_read_answer(terminal, held);
    held = list_first(&terminal->reads, struct held, link);
    if (held)
        held->deadline = read_deadline(terminal);
    readiness_publish(terminal);
}

void terminal_input(struct terminal *terminal, const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int signal = line_input(terminal->line, bytes[i]);
        if (signal)
            session_signal(terminal->foreground, signal);
    }
    reads_serve(terminal);
    readiness_publish(terminal);
    terminal->output_ready(terminal);
}

/* --- writing --- */

/* Writes as much as finds room; false: the caller's memory could not be read. */
static bool held_write_go_on(struct terminal *terminal, struct held *held)
{
    uint8_t bytes[PIECE];
    while (held->done < held->length) {
        size_t piece = MIN(held->length - held->done, sizeof(bytes));
        piece = MIN(piece, MAX(line_output_room(terminal->line), (size_t)1));
        int64_t count =
            sys_cmd_read(held->port, held->token, held->in_offset + held->done, bytes, piece);
        if (count <= 0)
            return false;
        size_t written = line_write(terminal->line, bytes, (size_t)count);
        held->done += written;
        if (written < (size_t)count)
            break;
    }
    return true;
}

int64_t terminal_write(struct terminal *terminal, struct command *command)
{
    struct line *line = terminal->line;
    struct caller caller;
    uint64_t done = 0;
    if (terminal->session && (line->attributes.local & LINE_TOSTOP)) {
        int64_t result = terminal_job_control(terminal, command->message.caller, SIGTTOU_, &caller);
        if (result < 0)
            return result;
    }
    bool nonblock = command->message.flags & COMMAND_NONBLOCK;
    if (list_empty(&terminal->writes))
        done = line_write(line, command->data, MIN(command->data_length, command->in_length));
    terminal->output_ready(terminal);
    command->reply.values[0] = done;
    if (done == command->in_length || (nonblock && done)) {
        readiness_publish(terminal);
        return 0;
    }
    if (nonblock)
        return -E_AGAIN;
    struct held *held = held_add(&terminal->writes, command);
    if (!held)
        return done ? 0 : -E_NO_MEMORY;
    held->length = command->in_length;
    held->done = done;
    terminal_drained(terminal); /* what did not come along may find room at once */
    return COMMAND_HELD;
}

void terminal_drained(struct terminal *terminal)
{
    struct held *held;
    while ((held = list_first(&terminal->writes, struct held, link))) {
        bool readable = held_write_go_on(terminal, held);
        if (readable && held->done < held->length)
            break;
        held_return(held, readable || held->done ? 0 : -E_FAULT, held->done, NULL, 0);
    }
    if (list_empty(&terminal->writes) && line_output_pending(terminal->line) == 0)
        control_drained(terminal);
    readiness_publish(terminal);
}

bool terminal_cancel(struct terminal *terminal, uint64_t token)
{
    struct held *held = held_find(&terminal->reads, token);
    if (!held)
        held = held_find(&terminal->drains, token);
    if (held) {
        held_return(held, -E_INTERRUPTED, 0, NULL, 0);
        return true;
    }
    held = held_find(&terminal->writes, token);
    if (!held)
        return false;
    held_return(held, held->done ? 0 : -E_INTERRUPTED, held->done, NULL, 0);
    readiness_publish(terminal);
    return true;
}

void terminal_changed(struct terminal *terminal)
{
    reads_serve(terminal);
    readiness_publish(terminal);
    terminal->output_ready(terminal);
}
