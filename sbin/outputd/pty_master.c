#include "sbin/outputd/pty_master.h"

#include "lib/sys/held.h"
#include "sbin/outputd/pty.h"

#define PIECE   4096u
#define XON     0x11
#define XOFF    0x13
#define FLUSHES 3u /* TTY_FLUSH's arguments: 0 input, 1 output, 2 both */

static struct pty *of(struct terminal *terminal)
{
    return container_of(terminal, struct pty, terminal);
}

static struct pty *of_file(struct terminal_file *file)
{
    return container_of(file, struct pty, master);
}

/* --- What the master can read ------------------------------------------------------------------------------------ */

static bool abandoned(const struct pty *pty)
{
    return pty->kept->opened && list_empty(&pty->terminal.files);
}

static bool has_output(const struct pty *pty)
{
    return line_output_pending(pty->terminal.line) && !pty->terminal.line->stopped;
}

static bool has_event(const struct pty *pty)
{
    return pty->kept->packet && pty->events;
}

uint32_t pty_master_ready(const struct pty *pty)
{
    uint32_t ready = has_event(pty) ? SIGNAL_PRIORITY : 0;
    if (has_event(pty) || has_output(pty) || abandoned(pty))
        ready |= SIGNAL_READABLE;
    if (list_empty(&pty->writes) && line_input_room(pty->terminal.line))
        ready |= SIGNAL_WRITABLE;
    return ready | (abandoned(pty) ? SIGNAL_HANGUP : 0);
}

static void readiness_publish(struct pty *pty)
{
    uint32_t ready = pty_master_ready(pty), old = pty->ready;
    if (ready == old || pty->master.lost)
        return;
    pty->ready = ready;
    sys_ignore(sys_file_ready(pty->terminal.port, pty->master.id, ready & ~old, old & ~ready));
}

/* What packet mode tells of a line that changed. */
static void events_note(struct pty *pty)
{
    struct line *line = pty->terminal.line;
    const uint8_t *characters = line->attributes.characters;
    bool stoppable = line->attributes.input & LINE_IXON && characters[LINE_VSTOP] == XOFF &&
                     characters[LINE_VSTART] == XON;
    if (line->stopped != pty->stopped)
        pty->events = (uint8_t)((pty->events & ~(TTY_PACKET_STOP | TTY_PACKET_START)) |
                                (line->stopped ? TTY_PACKET_STOP : TTY_PACKET_START));
    if (stoppable != pty->stoppable)
        pty->events = (uint8_t)((pty->events & ~(TTY_PACKET_NO_STOP | TTY_PACKET_DO_STOP)) |
                                (stoppable ? TTY_PACKET_DO_STOP : TTY_PACKET_NO_STOP));
    if (line->flushed & LINE_FLUSHED_INPUT)
        pty->events |= TTY_PACKET_FLUSH_INPUT;
    if (line->flushed & LINE_FLUSHED_OUTPUT)
        pty->events |= TTY_PACKET_FLUSH_OUTPUT;
    line->flushed = 0;
    pty->stopped = line->stopped;
    pty->stoppable = stoppable;
}

/* 0: there is nothing. */
static size_t take(struct pty *pty, uint8_t *bytes, size_t size)
{
    size_t head = pty->kept->packet ? 1 : 0, count;
    if (has_event(pty)) {
        bytes[0] = pty->events;
        pty->events = 0;
        return 1;
    }
    bytes[0] = TTY_PACKET_DATA;
    count = line_output_take(pty->terminal.line, bytes + head, size - head);
    return count ? head + count : 0;
}

int64_t pty_read(struct terminal_file *file, struct command *command)
{
    static uint8_t bytes[PIECE];
    struct pty *pty = of_file(file);
    size_t size = MIN(command->message.out_length, sizeof(bytes)), count = 0;
    if (size == 0)
        return 0;
    if (list_empty(&pty->reads)) /* others wait already: they go first */
        count = take(pty, bytes, size);
    if (!count) {
        if (abandoned(pty))
            return -E_IO;
        if (command->message.flags & COMMAND_NONBLOCK)
            return -E_AGAIN;
        struct held *held = held_add(&pty->reads, command, 0);
        if (!held)
            return -E_NO_MEMORY;
        held->length = size;
        return COMMAND_HELD;
    }
    command->reply.data = (uintptr_t)bytes;
    command->reply.data_length = command->reply.values[0] = count;
    terminal_drained(&pty->terminal);
    pty_device.attend(&pty->terminal);
    return 0;
}

static bool reads_serve(struct pty *pty)
{
    uint8_t bytes[PIECE];
    struct held *held = list_first(&pty->reads, struct held, link);
    size_t count = held ? take(pty, bytes, held->length) : 0;
    if (!held || (!count && !abandoned(pty)))
        return false;
    held_return(held, count ? 0 : -E_IO, count, bytes, count);
    if (count)
        terminal_drained(&pty->terminal);
    return true;
}

/* --- What the master types --------------------------------------------------------------------------------------- */

/* As many as are not dropped for want of a reader. */
static size_t type(struct pty *pty, const uint8_t *bytes, size_t count)
{
    size_t done = 0, room;
    while (done < count && (room = line_input_room(pty->terminal.line)) > 0) {
        size_t piece = MIN(count - done, room);
        terminal_input(&pty->terminal, bytes + done, piece);
        done += piece;
    }
    return done;
}

int64_t pty_write(struct terminal_file *file, struct command *command)
{
    struct pty *pty = of_file(file);
    bool nonblock = command->message.flags & COMMAND_NONBLOCK;
    uint64_t done = 0;
    if (list_empty(&pty->writes))
        done = type(pty, command->data, MIN(command->data_length, command->in_length));
    command->reply.values[0] = done;
    if (done == command->in_length || (nonblock && done))
        return 0;
    if (nonblock)
        return -E_AGAIN;
    struct held *held = held_add(&pty->writes, command, 0);
    if (!held)
        return done ? 0 : -E_NO_MEMORY;
    held->length = command->in_length;
    held->done = done;
    pty_device.attend(&pty->terminal); /* what did not come along may find room at once */
    return COMMAND_HELD;
}

static bool writes_serve(struct pty *pty)
{
    uint8_t bytes[PIECE];
    struct held *held = list_first(&pty->writes, struct held, link);
    size_t room = line_input_room(pty->terminal.line);
    if (!held || !room)
        return false;
    size_t left = MIN(held->length - held->done, sizeof(bytes)), piece = MIN(left, room);
    int64_t count =
        sys_cmd_read(held->port, held->token, held->in_offset + held->done, bytes, piece);
    if (count > 0)
        held->done += type(pty, bytes, (size_t)count);
    if (count <= 0 || held->done == held->length)
        held_return(held, count > 0 || held->done ? 0 : -E_FAULT, held->done, NULL, 0);
    return true;
}

/* Serving one side may give the other something to do. */
static void attend(struct terminal *terminal)
{
    struct pty *pty = of(terminal);
    pty->again = true;
    if (pty->attending || pty->ending)
        return;
    pty->attending = true;
    while (pty->again) {
        pty->again = false;
        events_note(pty);
        while (reads_serve(pty) || writes_serve(pty))
            events_note(pty);
    }
    pty->attending = false;
    readiness_publish(pty);
}

const struct terminal_device pty_device = {
    .attend = attend,
    .outlives_session = true,
    .sends_at_once = true,
};

/* --- Held commands ----------------------------------------------------------------------------------------------- */

bool pty_master_cancel(struct pty *pty, uint64_t token)
{
    struct held *held = held_find(&pty->reads, token);
    if (!held)
        held = held_find(&pty->writes, token);
    if (!held)
        return false;
    held_return(held, held->done ? 0 : -E_INTERRUPTED, held->done, NULL, 0);
    readiness_publish(pty);
    return true;
}

void pty_master_leave(struct pty *pty)
{
    list_for_each (struct held, held, &pty->reads, link)
        held_return(held, -E_IO, 0, NULL, 0);
    list_for_each (struct held, held, &pty->writes, link)
        held_return(held, -E_IO, held->done, NULL, 0);
}

/* --- Controls ---------------------------------------------------------------------------------------------------- */

static int64_t value_answer(struct command *command, uint64_t value)
{
    command->reply.values[0] = value;
    return 0;
}

/* lock and packet mode: an int32_t that is 0 or not. */
static int64_t switch_set(struct command *command, uint32_t *kept)
{
    int32_t value;
    int64_t result = command_read_exactly(command, &value, sizeof(value));
    if (result >= 0)
        *kept = value != 0;
    return result;
}

static int64_t packet_set(struct pty *pty, struct command *command)
{
    int64_t result = switch_set(command, &pty->kept->packet);
    pty->events = 0;
    readiness_publish(pty);
    return result;
}

/* The master's input is the terminal's output. */
static int64_t flush(struct pty *pty, struct command *command)
{
    uint64_t *which = &command->message.args[1];
    if (*which < FLUSHES - 1)
        *which = !*which;
    return terminal_control(&pty->terminal, command);
}

int64_t pty_control(struct terminal_file *file, struct command *command)
{
    struct pty *pty = of_file(file);
    switch (command->message.args[0]) {
    case (uint32_t)TTY_NUMBER:
        return value_answer(command, pty->number);
    case TTY_LOCK:
        return switch_set(command, &pty->kept->locked);
    case (uint32_t)TTY_GET_LOCK:
        return value_answer(command, pty->kept->locked);
    case TTY_PACKET:
        return packet_set(pty, command);
    case (uint32_t)TTY_GET_PACKET:
        return value_answer(command, pty->kept->packet);
    case TTY_PENDING:
        return value_answer(command, line_output_pending(pty->terminal.line));
    case TTY_GET_GROUP: /* whoever asks: the master is in no session */
        return value_answer(command, (uint64_t)pty->terminal.foreground);
    case TTY_GET_SESSION:
        return pty->terminal.session ? value_answer(command, (uint64_t)pty->terminal.session)
                                     : -E_NOT_TERMINAL;
    case TTY_FLUSH:
        return flush(pty, command);
    default:
        return terminal_control(&pty->terminal, command);
    }
}
