/* Attributes, size, session and foreground group, queues. Each code is a line of the table at the end. */
#include "sbin/outputd/control.h"

#include <string.h>

#include "lib/sys/held.h"

#define SIGHUP_   1
#define SIGCONT_  18
#define SIGTTOU_  22
#define SIGWINCH_ 28

#define BREAK_NS INT64_C(250000000)
#define TENTH_NS INT64_C(100000000)

/* The argument of a held command is its code, TTY_*, or: a break that is being sent. */
#define BREAK_UNDER_WAY UINT64_MAX

/* TTY_FLUSH's and TTY_FLOW's arguments, Linux's numbers. */
enum { FLUSH_INPUT = 0, FLUSH_OUTPUT = 1, FLUSH_BOTH = 2 };
enum { FLOW_STOP_OUTPUT = 0, FLOW_START_OUTPUT = 1, FLOW_STOP_INPUT = 2, FLOW_START_INPUT = 3 };

typedef int64_t control_handler(struct terminal *terminal, struct command *command);

/* Changing a terminal from the background stops the caller (POSIX tcsetattr, tcflush, ...). */
static int64_t background_check(struct terminal *terminal, const struct command *command)
{
    struct caller caller;
    if (!terminal->session)
        return 0;
    return terminal_job_control(terminal, command->message.caller, SIGTTOU_, &caller);
}

static int64_t get_attributes(struct terminal *terminal, struct command *command)
{
    return command_answer(command, &terminal->line->attributes, sizeof(struct tty_attributes));
}

static bool drained(const struct terminal *terminal)
{
    return terminal->device->sends_at_once ||
           (list_empty(&terminal->writes) && line_output_pending(terminal->line) == 0);
}

static int64_t set_attributes(struct terminal *terminal, struct command *command)
{
    uint32_t code = (uint32_t)command->message.args[0];
    struct tty_attributes attributes;
    int64_t result = command_read_exactly(command, &attributes, sizeof(attributes));
    if (result >= 0)
        result = background_check(terminal, command);
    if (result < 0)
        return result;
    if (code != TTY_SET_ATTRIBUTES && !drained(terminal)) {
        struct held *held = held_add(&terminal->drains, command, sizeof(attributes));
        if (!held)
            return -E_NO_MEMORY;
        held->argument = code;
        memcpy(held->more, &attributes, sizeof(attributes));
        return COMMAND_HELD;
    }
    if (code == TTY_SET_ATTRIBUTES_FLUSH)
        line_flush_input(terminal->line);
    line_set_attributes(terminal->line, &attributes);
    terminal_changed(terminal);
    return 0;
}

/* How long the break is that args[0] and args[1] ask for; 0: none, only the output is waited for (tcdrain). */
static int64_t break_length(const struct command *command)
{
    const uint64_t *args = command->message.args;
    if (args[0] == TTY_SEND_BREAK)
        return args[1] ? 0 : BREAK_NS;
    return args[1] ? (int64_t)MIN(args[1], (uint64_t)UINT8_MAX) * TENTH_NS : BREAK_NS;
}

/* Everything was sent: the held command's break begins. false: there is none to send. */
static bool break_begin(struct terminal *terminal, struct held *held)
{
    if (!held->length || !terminal->device->set_break)
        return false;
    terminal->device->set_break(terminal, true);
    held->argument = BREAK_UNDER_WAY;
    held->deadline = sys_clock_get(CLOCK_MONOTONIC_) + (int64_t)held->length;
    return true;
}

static int64_t send_break(struct terminal *terminal, struct command *command)
{
    int64_t result = background_check(terminal, command), length = break_length(command);
    bool waits = !drained(terminal) || (length && terminal->device->set_break);
    if (result < 0 || !waits)
        return result;
    struct held *held = held_add(&terminal->drains, command, 0);
    if (!held)
        return -E_NO_MEMORY;
    held->argument = TTY_SEND_BREAK;
    held->length = (uint64_t)length;
    if (drained(terminal))
        sys_ignore(break_begin(terminal, held));
    return COMMAND_HELD;
}

static int64_t set_break(struct terminal *terminal, struct command *command)
{
    int64_t result = background_check(terminal, command);
    if (result >= 0 && terminal->device->set_break)
        terminal->device->set_break(terminal, command->message.args[0] == TTY_BREAK_ON);
    return result;
}

static bool drain_done(struct terminal *terminal, struct held *held)
{
    if (held->argument == BREAK_UNDER_WAY ||
        (held->argument == TTY_SEND_BREAK && break_begin(terminal, held)))
        return false;
    if (held->argument == TTY_SET_ATTRIBUTES_FLUSH)
        line_flush_input(terminal->line);
    bool changes = held->argument != TTY_SEND_BREAK;
    if (changes)
        line_set_attributes(terminal->line, (const struct tty_attributes *)held->more);
    held_return(held, 0, 0, NULL, 0);
    return changes;
}

void control_drained(struct terminal *terminal)
{
    bool changed = false;
    list_for_each (struct held, held, &terminal->drains, link)
        changed |= drain_done(terminal, held);
    if (!changed)
        return;
    control_keep(terminal);
    terminal_changed(terminal);
}

int64_t control_deadline(const struct terminal *terminal)
{
    int64_t deadline = DEADLINE_NEVER;
    list_for_each (struct held, held, &terminal->drains, link)
        deadline = MIN(deadline, held->deadline);
    return deadline;
}

static void drain_end(struct terminal *terminal, struct held *held, int64_t status)
{
    if (held->argument == BREAK_UNDER_WAY)
        terminal->device->set_break(terminal, false);
    held_return(held, status, 0, NULL, 0);
}

void control_expire(struct terminal *terminal, int64_t now)
{
    list_for_each (struct held, held, &terminal->drains, link)
        if (held->deadline <= now)
            drain_end(terminal, held, 0);
}

bool control_cancel(struct terminal *terminal, uint64_t token)
{
    struct held *held = held_find(&terminal->drains, token);
    if (held)
        drain_end(terminal, held, -E_INTERRUPTED);
    return held;
}

void control_hang_up(struct terminal *terminal)
{
    list_for_each (struct held, held, &terminal->drains, link)
        drain_end(terminal, held, -E_IO);
}

static int64_t flow(struct terminal *terminal, struct command *command)
{
    int64_t result = background_check(terminal, command);
    if (result < 0)
        return result;
    switch (command->message.args[1]) {
    case FLOW_STOP_OUTPUT:
        terminal->line->stopped = true;
        terminal->device->attend(terminal);
        return 0;
    case FLOW_START_OUTPUT:
        terminal->line->stopped = false;
        terminal_changed(terminal);
        return 0;
    case FLOW_STOP_INPUT:
    case FLOW_START_INPUT: {
        const uint8_t *characters = terminal->line->attributes.characters;
        uint8_t byte = command->message.args[1] == FLOW_STOP_INPUT ? characters[LINE_VSTOP]
                                                                   : characters[LINE_VSTART];
        line_write(terminal->line, &byte, byte ? 1 : 0);
        terminal->device->attend(terminal);
        return 0;
    }
    default:
        return -E_INVALID;
    }
}

static int64_t flush(struct terminal *terminal, struct command *command)
{
    uint64_t queue = command->message.args[1];
    int64_t result = background_check(terminal, command);
    if (result < 0)
        return result;
    if (queue > FLUSH_BOTH)
        return -E_INVALID;
    if (queue != FLUSH_OUTPUT)
        line_flush_input(terminal->line);
    if (queue != FLUSH_INPUT)
        line_flush_output(terminal->line);
    terminal_drained(terminal);
    terminal_changed(terminal);
    return 0;
}

/* --- sessions --- */

bool control_privileged(const struct command *command)
{
    struct caller caller;
    session_check(command->message.caller, 0, 0, 0, &caller);
    return !caller.known || caller.uid == 0;
}

void control_session_end(struct terminal *terminal)
{
    session_signal(terminal->foreground, SIGHUP_);
    session_signal(terminal->foreground, SIGCONT_);
    terminal->session = terminal->foreground = 0;
    handle_drop(terminal->leader);
    terminal->leader = HANDLE_NONE;
    control_keep(terminal);
}

static void leader_watch(struct terminal *terminal)
{
    int64_t result = session_leader(terminal->session, &terminal->leader);
    if (result >= 0 && terminal->leader != HANDLE_NONE)
        result = sys_port_bind(terminal->port, terminal->leader, SIGNAL_EXITED,
                               TERMINAL_LEADER_KEY | (uint32_t)terminal->session, BIND_ONCE);
    if (result == -E_NO_PROCESS)
        terminal_leader_ended(terminal, terminal->session);
}

static bool leader_ended(const struct terminal *terminal)
{
    struct abi_handle_info info;
    return terminal->leader != HANDLE_NONE && sys_handle_info(terminal->leader, &info) >= 0 &&
           info.signals & SIGNAL_EXITED;
}

void terminal_refresh(struct terminal *terminal)
{
    if (leader_ended(terminal))
        terminal_leader_ended(terminal, terminal->session);
    else if (terminal->session && terminal->leader == HANDLE_NONE)
        leader_watch(terminal);
}

/* args[1]: 1 takes it from another session (uid 0); args[2]: for that session instead of the caller's (uid 0).
 * A session that has ended has lost its terminal. */
static int64_t become_controlling(struct terminal *terminal, struct command *command)
{
    const uint64_t *args = command->message.args;
    struct caller caller;
    session_check(command->message.caller, 0, 0, 0, &caller);
    if (!caller.known)
        return -E_NO_PROCESS;
    int32_t session = caller.sid, group = caller.pgid;
    if (args[2]) {
        if (caller.uid != 0)
            return -E_PERMISSION;
        session = group = (int32_t)args[2];
    } else if (caller.sid != caller.pid) {
        return -E_PERMISSION;
    }
    if (terminal->session == session)
        return 0;
    if (terminal->session && session_exists(terminal->session) &&
        !(args[1] == 1 && caller.uid == 0))
        return -E_PERMISSION;
    handle_drop(terminal->leader);
    terminal->leader = HANDLE_NONE;
    terminal->session = session;
    terminal->foreground = group;
    leader_watch(terminal);
    return 0;
}

/* E_NOT_TERMINAL: it is not the caller's controlling terminal. */
static int64_t own_terminal(const struct terminal *terminal, const struct command *command,
                            struct caller *caller)
{
    session_check(command->message.caller, 0, 0, 0, caller);
    if (!caller->known)
        return -E_NO_PROCESS;
    return terminal->session && caller->sid == terminal->session ? 0 : -E_NOT_TERMINAL;
}

/* Who has no leader's right has no way back either: a session has a terminal or it has none. */
static int64_t detach(struct terminal *terminal, struct command *command)
{
    struct caller caller;
    int64_t result = own_terminal(terminal, command, &caller);
    if (result < 0)
        return result;
    if (caller.pid != caller.sid)
        return -E_NOT_SUPPORTED;
    control_session_end(terminal);
    return 0;
}

static int64_t get_group(struct terminal *terminal, struct command *command)
{
    struct caller caller;
    int64_t result = own_terminal(terminal, command, &caller);
    command->reply.values[0] = (uint64_t)terminal->foreground;
    return result;
}

static int64_t set_group(struct terminal *terminal, struct command *command)
{
    struct caller caller;
    int32_t group;
    int64_t result = command_read_exactly(command, &group, sizeof(group));
    if (result >= 0)
        result = own_terminal(terminal, command, &caller);
    if (result >= 0)
        result = background_check(terminal, command);
    if (result < 0)
        return result;
    if (group <= 0)
        return -E_INVALID;
    if (!session_exists(-group))
        return -E_PERMISSION;
    terminal->foreground = group;
    return 0;
}

static int64_t get_session(struct terminal *terminal, struct command *command)
{
    struct caller caller;
    int64_t result = own_terminal(terminal, command, &caller);
    command->reply.values[0] = (uint64_t)terminal->session;
    return result;
}

static int64_t get_size(struct terminal *terminal, struct command *command)
{
    return command_answer(command, &terminal->size, sizeof(terminal->size));
}

static int64_t set_size(struct terminal *terminal, struct command *command)
{
    struct tty_size size;
    int64_t result = command_read_exactly(command, &size, sizeof(size));
    if (result < 0)
        return result;
    if (memcmp(&size, &terminal->size, sizeof(size)) != 0) {
        terminal->size = size;
        session_signal(terminal->foreground, SIGWINCH_);
    }
    return 0;
}

static int64_t get_pending(struct terminal *terminal, struct command *command)
{
    command->reply.values[0] = line_pending(terminal->line);
    return 0;
}

static int64_t get_output_pending(struct terminal *terminal, struct command *command)
{
    command->reply.values[0] = line_output_pending(terminal->line);
    return 0;
}

static int64_t set_exclusive(struct terminal *terminal, struct command *command)
{
    terminal->exclusive = command->message.args[0] == TTY_EXCLUSIVE;
    return 0;
}

int64_t control_modem(struct command *command, uint32_t now, uint32_t *wanted)
{
    uint32_t code = (uint32_t)command->message.args[0], lines;
    *wanted = now;
    if (code < TTY_MODEM_GET || code > TTY_MODEM_SET)
        return -E_NOT_TERMINAL;
    if (code == TTY_MODEM_GET) {
        command->reply.values[0] = now;
        return 0;
    }
    int64_t result = command_read_exactly(command, &lines, sizeof(lines));
    if (result >= 0)
        *wanted = code == TTY_MODEM_SET     ? lines
                  : code == TTY_MODEM_RAISE ? now | lines
                                            : now & ~lines;
    return result;
}

static const struct {
    uint32_t code;
    control_handler *handle;
} controls[] = {
    {TTY_GET_ATTRIBUTES, get_attributes},
    {TTY_SET_ATTRIBUTES, set_attributes},
    {TTY_SET_ATTRIBUTES_DRAIN, set_attributes},
    {TTY_SET_ATTRIBUTES_FLUSH, set_attributes},
    {TTY_SEND_BREAK, send_break},
    {TTY_FLOW, flow},
    {TTY_FLUSH, flush},
    {TTY_CONTROLLING, become_controlling},
    {TTY_GET_GROUP, get_group},
    {TTY_SET_GROUP, set_group},
    {TTY_GET_SIZE, get_size},
    {TTY_SET_SIZE, set_size},
    {TTY_PENDING, get_pending},
    {TTY_GET_SESSION, get_session},
    {TTY_OUTPUT_PENDING, get_output_pending},
    {TTY_SEND_BREAK_LONG, send_break},
    {TTY_BREAK_ON, set_break},
    {TTY_BREAK_OFF, set_break},
    {TTY_EXCLUSIVE, set_exclusive},
    {TTY_SHARED, set_exclusive},
    {TTY_DETACH, detach},
};

/* A half-written copy is not valid: who died in between is followed by one that begins anew. */
void control_keep(struct terminal *terminal)
{
    struct terminal_kept *kept = terminal->kept;
    __atomic_store_n(&kept->valid, 0, __ATOMIC_RELEASE);
    kept->session = terminal->session;
    kept->foreground = terminal->foreground;
    kept->size = terminal->size;
    kept->attributes = terminal->line->attributes;
    __atomic_store_n(&kept->valid, TERMINAL_KEPT, __ATOMIC_RELEASE);
}

int64_t terminal_control(struct terminal *terminal, struct command *command)
{
    for (size_t i = 0; i < ARRAY_SIZE(controls); i++) {
        if (controls[i].code != command->message.args[0])
            continue;
        int64_t result = controls[i].handle(terminal, command);
        control_keep(terminal);
        return result;
    }
    return terminal->device->control ? terminal->device->control(terminal, command)
                                     : -E_NOT_TERMINAL;
}
