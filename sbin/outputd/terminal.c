/* Reading, writing and readiness; control.c has what OP_CONTROL asks. */
#include "sbin/outputd/terminal.h"

#include <stdlib.h>
#include <string.h>

#include "lib/sys/held.h"
#include "sbin/outputd/control.h"
#include "sbin/outputd/session.h"

#define SIGHUP_       1
#define SIGCONT_      18
#define SIGTTIN_      21
#define SIGTTOU_      22
#define VTIME_UNIT_NS INT64_C(100000000)
#define PIECE         4096u
#define WRITABLE_ROOM 1024u /* so much room makes a terminal writable for poll */

void terminal_init(struct terminal *terminal, handle_t port, struct terminal_kept *kept,
                   const struct terminal_device *device)
{
    memset(terminal, 0, sizeof(*terminal));
    list_init(&terminal->link);
    terminal->leader = HANDLE_NONE;
    terminal->line = &kept->line;
    list_init(&terminal->files);
    list_init(&terminal->reads);
    list_init(&terminal->writes);
    list_init(&terminal->drains);
    terminal->port = port;
    terminal->size = (struct tty_size){.rows = 24, .columns = 80};
    terminal->device = device;
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

void terminal_destroy(struct terminal *terminal)
{
    list_remove(&terminal->link);
    handle_drop(terminal->leader);
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

/* --- files --- */

struct terminal_file *terminal_file_add(struct terminal *terminal, uint64_t id)
{
    struct terminal_file *file = calloc(1, sizeof(*file));
    if (!file)
        return NULL;
    file->terminal = terminal;
    file->id = id;
    list_append(&terminal->files, &file->link);
    return file;
}

static struct terminal_file *file_lost(struct terminal *terminal, uint64_t id)
{
    list_for_each (struct terminal_file, file, &terminal->files, link)
        if (file->lost && file->id == id)
            return file;
    return NULL;
}

int64_t terminal_open(struct terminal *terminal, struct command *command)
{
    uint64_t id = command->message.file;
    struct terminal_file *file = file_lost(terminal, id);
    terminal_refresh(terminal);
    if (!file && terminal->exclusive && !control_privileged(command))
        return -E_BUSY;
    if (!file)
        file = terminal_file_add(terminal, id);
    if (!file)
        return -E_NO_MEMORY;
    file->lost = false;
    terminal->ready = ready_now(terminal);
    command->reply.values[0] = (uintptr_t)file;
    command->reply.values[2] = terminal->ready;
    return 0;
}

void terminal_close(struct terminal_file *file)
{
    list_remove(&file->link);
    if (file->terminal && list_empty(&file->terminal->files))
        file->terminal->exclusive = false;
    free(file);
}

static void held_return_all(struct list *list, int64_t status)
{
    list_for_each (struct held, held, list, link)
        held_return(held, held->done ? 0 : status, held->done, NULL, 0);
}

void terminal_hang_up(struct terminal *terminal)
{
    struct terminal_file *file;
    /* As on Linux: who waits is told that the other side closed, who comes later finds the end of the file. */
    held_return_all(&terminal->reads, terminal->device->outlives_session ? -E_IO : 0);
    held_return_all(&terminal->writes, -E_IO);
    control_hang_up(terminal);
    while ((file = list_first(&terminal->files, struct terminal_file, link))) {
        list_remove(&file->link);
        file->terminal = NULL;
        sys_ignore(sys_file_ready(terminal->port, file->id,
                                  SIGNAL_READABLE | SIGNAL_WRITABLE | SIGNAL_HANGUP | SIGNAL_ERROR,
                                  0));
    }
    line_flush_input(terminal->line);
    terminal->exclusive = false;
    session_signal(-terminal->session, SIGHUP_);
    session_signal(-terminal->session, SIGCONT_);
    control_session_end(terminal);
}

void terminal_leader_ended(struct terminal *terminal, int32_t session)
{
    if (!session || terminal->session != session)
        return;
    control_session_end(terminal);
    if (!terminal->device->outlives_session)
        terminal_hang_up(terminal);
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
            struct held *held = held_add(&terminal->reads, command, 0);
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
    terminal->device->attend(terminal);
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
    return MIN(held ? held->deadline : DEADLINE_NEVER, control_deadline(terminal));
}

static void read_expire(struct terminal *terminal, int64_t now)
{
    struct held *held = list_first(&terminal->reads, struct held, link);
    if (!held || held->deadline > now)
        return;
    held_read_answer(terminal, held);
    held = list_first(&terminal->reads, struct held, link);
    if (held)
        held->deadline = read_deadline(terminal);
    readiness_publish(terminal);
    terminal->device->attend(terminal);
}

void terminal_expire(struct terminal *terminal)
{
    int64_t now = sys_clock_get(CLOCK_MONOTONIC_);
    read_expire(terminal, now);
    control_expire(terminal, now);
}

static void byte_input(struct terminal *terminal, uint8_t byte, enum line_error error)
{
    int signal = line_input_error(terminal->line, byte, error);
    if (signal)
        session_signal(terminal->foreground, signal);
}

void terminal_input(struct terminal *terminal, const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        byte_input(terminal, bytes[i], LINE_GOOD);
    terminal_changed(terminal);
}

void terminal_input_error(struct terminal *terminal, uint8_t byte, enum line_error error)
{
    byte_input(terminal, byte, error);
    terminal_changed(terminal);
}

/* --- writing --- */

/* Writes as much as finds room; false: the caller's memory could not be read. */
static bool held_write_go_on(struct terminal *terminal, struct held *held)
{
    uint8_t bytes[PIECE];
    while (held->done < held->length) {
        size_t room = line_output_room(terminal->line);
        size_t piece = MIN(held->length - held->done, sizeof(bytes));
        piece = MIN(piece, MAX(room, (size_t)1));
        int64_t count =
            sys_cmd_read(held->port, held->token, held->in_offset + held->done, bytes, piece);
        if (count <= 0)
            return false;
        size_t written = line_write(terminal->line, bytes, (size_t)count);
        held->done += written;
        terminal->device->attend(terminal); /* some devices take it at once */
        if (!written && line_output_room(terminal->line) == room)
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
    terminal->device->attend(terminal);
    command->reply.values[0] = done;
    if (done == command->in_length || (nonblock && done)) {
        readiness_publish(terminal);
        return 0;
    }
    if (nonblock)
        return -E_AGAIN;
    struct held *held = held_add(&terminal->writes, command, 0);
    if (!held)
        return done ? 0 : -E_NO_MEMORY;
    held->length = command->in_length;
    held->done = done;
    terminal_drained(terminal); /* what did not come along may find room at once */
    return COMMAND_HELD;
}

/* Not under itself: a device may take the output, and drain, while a held write goes on. */
void terminal_drained(struct terminal *terminal)
{
    struct held *held;
    if (terminal->draining)
        return;
    terminal->draining = true;
    while ((held = list_first(&terminal->writes, struct held, link))) {
        bool readable = held_write_go_on(terminal, held);
        if (readable && held->done < held->length)
            break;
        held_return(held, readable || held->done ? 0 : -E_FAULT, held->done, NULL, 0);
    }
    terminal->draining = false;
    if (list_empty(&terminal->writes) && line_output_pending(terminal->line) == 0)
        control_drained(terminal);
    readiness_publish(terminal);
}

bool terminal_cancel(struct terminal *terminal, uint64_t token)
{
    struct held *held = held_find(&terminal->reads, token);
    if (control_cancel(terminal, token))
        return true;
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
    terminal->device->attend(terminal);
}
