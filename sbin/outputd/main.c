/* outputd: tty://, terminals.
 *
 *     tty:///serial, tty:///      the first serial port            serial_line.h
 *     tty:///1 to 4               consoles on the screen           seat.h
 *     tty:///usb0                 serial lines of drivers          adapters.h
 *     tty:///ptmx, tty:///pts/0   pseudo terminals                 pty.h
 *     tty:///tty                  the one of the caller's session
 *
 * One thread accepts commands on tty://, cancellations, the serial line's interrupt, keys and the ends of sessions' leaders, another
 * drivers' commands on serial://: who holds `lock` is the one thread that all else here speaks of. See session.h for what must
 * not hold it up. docs/terminal.md has the rules of job control.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sys/error.h"
#include "lib/sys/keep.h"
#include "lib/sys/startup.h"
#include "sbin/outputd/adapters.h"
#include "sbin/outputd/pty.h"
#include "sbin/outputd/seat.h"
#include "sbin/outputd/serial_line.h"
#include "sbin/outputd/session.h"

#define TTY_RDEV    (5 << 8 | 0)
#define PTMX_RDEV   (5 << 8 | 2)
#define PTS_INODE   1
#define PTS         "pts"
#define KEPT_SERIAL 1

static handle_t port;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* all of outputd's state */

/* A directory's file: tty:///pts. */
static struct terminal_file pts = {.link = LIST_INIT(pts.link)};

/* --- Terminals of a fixed number, by index: the serial line, then the consoles. ------------------------------------------ */

static uint32_t fixed_count(void)
{
    return 1 + seat_count();
}

static struct terminal *fixed(uint32_t index)
{
    return index ? seat_terminal(index - 1) : &serial_terminal;
}

static void leader_ended(int32_t session)
{
    for (uint32_t i = 0; i < fixed_count(); i++)
        terminal_leader_ended(fixed(i), session);
    adapters_leader_ended(session);
    pty_leader_ended(session);
}

static void tty_notified(void *context, uint64_t key, uint64_t signals)
{
    (void)context;
    (void)signals;
    pthread_mutex_lock(&lock);
    if (key == SEAT_KEY)
        seat_input();
    else if (key == SEAT_LOG_KEY)
        seat_log();
    else if (key == SERIAL_LINE_KEY)
        serial_line_interrupt();
    else if (key & TERMINAL_LEADER_KEY)
        leader_ended((int32_t)key);
    pthread_mutex_unlock(&lock);
}

/* --- Names ------------------------------------------------------------------------------------------------------- */

/* "pts/12": the number; NULL: another name. */
static const char *pts_number(const struct command *command, size_t *length)
{
    const char *path;
    size_t all = command_name(command, &path), folder = strlen(PTS "/");
    if (all <= folder || memcmp(path, PTS "/", folder) != 0)
        return NULL;
    *length = all - folder;
    return path + folder;
}

/* The terminal a path names; NULL: none. */
static struct terminal *terminal_named(const struct command *command)
{
    size_t length;
    const char *number = pts_number(command, &length);
    if (number)
        return pty_terminal(number, length);
    if (command_names(command, "") || command_names(command, "serial"))
        return &serial_terminal;
    for (uint32_t i = 0; i < seat_count(); i++)
        if (command_names(command, (const char[]){(char)('1' + i), '\0'}))
            return seat_terminal(i);
    struct adapter *adapter = adapter_named(command);
    return adapter ? &adapter->terminal : NULL;
}

/* tty:///tty: the terminal of the caller's session. When procd does not say, the serial line. */
static struct terminal *terminal_controlling(const struct command *command)
{
    struct caller caller;
    if (session_check(command->message.caller, 0, 0, 0, &caller) != TERMINAL_ALLOWED ||
        !caller.known)
        return &serial_terminal;
    for (uint32_t i = 0; i < fixed_count(); i++)
        if (fixed(i)->session == caller.sid)
            return fixed(i);
    struct terminal *terminal = adapter_of_session(caller.sid);
    return terminal ? terminal : pty_of_session(caller.sid);
}

static int64_t directory_open(struct command *command)
{
    if (command->message.args[0] & (OPEN_WRITE | OPEN_TRUNCATE))
        return -E_IS_DIRECTORY;
    command->reply.values[0] = (uintptr_t)&pts;
    command->reply.values[1] = HANDLE_FLAG_SEEKABLE;
    command->reply.values[2] = SIGNAL_READABLE;
    return 0;
}

static int64_t tty_open(void *context, struct command *command)
{
    size_t length;
    const char *number = pts_number(command, &length);
    (void)context;
    if (command_names(command, PTS))
        return directory_open(command);
    if (command->message.args[0] & OPEN_DIRECTORY)
        return terminal_named(command) ? -E_NOT_DIRECTORY : -E_NOT_FOUND;
    if (command_names(command, "ptmx"))
        return pty_open_master(command);
    if (number)
        return pty_open_slave(number, length, command);
    struct adapter *adapter = adapter_named(command);
    if (adapter)
        return adapter_open(adapter, command);
    struct terminal *terminal =
        command_names(command, "tty") ? terminal_controlling(command) : terminal_named(command);
    return terminal ? terminal_open(terminal, command) : -E_NOT_FOUND;
}

/* --- Commands on open files ---------------------------------------------------------------------------------------- */

static struct terminal_file *file_of(const struct command *command)
{
    return command->message.file ? (struct terminal_file *)(uintptr_t)command->message.cookie
                                 : NULL;
}

static int64_t tty_read(void *context, struct command *command)
{
    struct terminal_file *file = file_of(command);
    (void)context;
    if (!file || file == &pts)
        return file ? -E_IS_DIRECTORY : -E_INVALID;
    if (!file->terminal)
        return 0; /* hung up: the end */
    return file->master ? pty_read(file, command) : terminal_read(file->terminal, command);
}

static int64_t tty_write(void *context, struct command *command)
{
    struct terminal_file *file = file_of(command);
    (void)context;
    if (!file || file == &pts)
        return -E_INVALID;
    if (!file->terminal)
        return -E_IO;
    if (file->master)
        return pty_write(file, command);
    int64_t result = terminal_write(file->terminal, command);
    seat_written(file->terminal);
    return result;
}

static int64_t tty_control(void *context, struct command *command)
{
    struct terminal_file *file = file_of(command);
    (void)context;
    if (!file || file == &pts)
        return file ? -E_NOT_TERMINAL : -E_INVALID;
    if (!file->terminal)
        return -E_IO;
    return file->master ? pty_control(file, command) : terminal_control(file->terminal, command);
}

/* What a file or a path is: Linux's number of the terminal. */
static int64_t rdev_of(const struct command *command, const struct terminal_file *file,
                       uint64_t *rdev)
{
    const struct terminal *terminal = file ? file->terminal : terminal_named(command);
    bool ptmx = file ? file->master : command_names(command, "ptmx");
    bool own = !file && command_names(command, "tty"); /* whose name it is not: ttyname looks on */
    if (!terminal && !ptmx && !own && !file)
        return -E_NOT_FOUND;
    *rdev = ptmx ? PTMX_RDEV : own ? TTY_RDEV : terminal ? terminal->rdev : 0;
    return 0;
}

static int64_t tty_stat(void *context, struct command *command)
{
    static struct abi_stat stat;
    const struct terminal_file *file = file_of(command);
    bool directory = file ? file == &pts : command_names(command, PTS);
    uint64_t rdev = 0;
    (void)context;
    int64_t result = directory ? 0 : rdev_of(command, file, &rdev);
    if (result < 0)
        return result;
    stat = (struct abi_stat){
        .inode = directory ? PTS_INODE : rdev,
        .device = 1,
        .type = directory ? FILE_DIRECTORY : FILE_CHARACTER,
        .mode = directory           ? 0755
                : rdev == PTMX_RDEV ? 0666
                                    : 0620,
        .links = 1,
        .block_size = 1024,
        .rdev = rdev,
    };
    return command_answer(command, &stat, sizeof(stat));
}

static int64_t tty_list(void *context, struct command *command)
{
    static uint8_t entries[4096] ALIGNED(8);
    struct listing listing = listing_begin(command, entries, sizeof(entries));
    const struct terminal_file *file = file_of(command);
    (void)context;
    if (file ? file != &pts : !command_names(command, PTS))
        return -E_NOT_DIRECTORY;
    while (listing.position < 2)
        if (!listing_add(&listing, listing.position ? ".." : ".", PTS_INODE, FILE_DIRECTORY))
            return listing_end(&listing);
    pty_list(&listing);
    return listing_end(&listing);
}

/* open(O_TRUNC) of a terminal succeeds everywhere; owners and modes are what they are (grantpt). */
static int64_t tty_accepts(void *context, struct command *command)
{
    (void)context;
    (void)command;
    return 0;
}

static void tty_cancelled(void *context, uint64_t token)
{
    bool found = false;
    (void)context;
    pthread_mutex_lock(&lock);
    for (uint32_t i = 0; i < fixed_count() && !found; i++)
        found = terminal_cancel(fixed(i), token);
    if (!found && !adapters_cancel(token))
        sys_ignore(pty_cancel(token));
    pthread_mutex_unlock(&lock);
}

static void tty_closed(void *context, uint64_t cookie)
{
    struct terminal_file *file = (struct terminal_file *)(uintptr_t)cookie;
    (void)context;
    pthread_mutex_lock(&lock);
    if (file && file != &pts && !pty_close(file))
        terminal_close(file);
    pthread_mutex_unlock(&lock);
}

static int64_t tty_deadline(void *context)
{
    (void)context;
    pthread_mutex_lock(&lock);
    int64_t deadline = MIN(pty_deadline(), seat_deadline());
    deadline = MIN(deadline, adapters_deadline());
    for (uint32_t i = 0; i < fixed_count(); i++)
        deadline = MIN(deadline, terminal_deadline(fixed(i)));
    pthread_mutex_unlock(&lock);
    return deadline;
}

static void tty_expired(void *context)
{
    (void)context;
    pthread_mutex_lock(&lock);
    for (uint32_t i = 0; i < fixed_count(); i++)
        terminal_expire(fixed(i));
    adapters_expire();
    pty_expire();
    seat_expire();
    pthread_mutex_unlock(&lock);
}

/* Each is carried out under the lock. */
#define OPERATIONS(OPERATION)          \
    OPERATION(OP_OPEN, tty_open)       \
    OPERATION(OP_READ, tty_read)       \
    OPERATION(OP_WRITE, tty_write)     \
    OPERATION(OP_STAT, tty_stat)       \
    OPERATION(OP_LIST, tty_list)       \
    OPERATION(OP_CONTROL, tty_control) \
    OPERATION(OP_TRUNCATE, tty_accepts)

static int64_t tty_serve(void *context, struct command *command)
{
#define OPERATION(op, handler) [SERVICE_INDEX(op)] = handler,
    static command_handler *const handlers[SERVICE_OPERATIONS] = {OPERATIONS(OPERATION)};
#undef OPERATION
    pthread_mutex_lock(&lock);
    int64_t result = handlers[SERVICE_INDEX(command->message.op)](context, command);
    pthread_mutex_unlock(&lock);
    return result;
}

/* --- Drivers of serial lines ----------------------------------------------------------------------------------- */

static int64_t serial_serve(void *context, struct command *command)
{
    static int64_t (*const handlers[SERVICE_OPERATIONS])(struct command *) = {
        [OP_OPEN] = adapters_open,
        [OP_WRITE] = adapters_write,
        [SERVICE_INDEX(SERIAL_GONE)] = adapters_gone,
        [SERVICE_INDEX(SERIAL_NEXT)] = adapters_next,
    };
    (void)context;
    pthread_mutex_lock(&lock);
    int64_t result = handlers[SERVICE_INDEX(command->message.op)](command);
    pthread_mutex_unlock(&lock);
    return result;
}

static void serial_closed(void *context, uint64_t cookie)
{
    (void)context;
    pthread_mutex_lock(&lock);
    adapters_closed(cookie);
    pthread_mutex_unlock(&lock);
}

/* What a driver brings may be the beginning of a wait (VTIME), or its departure: so this thread looks at the clock as well. */
static void *serial_run(void *argument)
{
    static command_handler *const operations[SERVICE_OPERATIONS] = {
        [OP_OPEN] = serial_serve,
        [OP_WRITE] = serial_serve,
        [SERVICE_INDEX(SERIAL_GONE)] = serial_serve,
        [SERVICE_INDEX(SERIAL_NEXT)] = serial_serve,
    };
    struct service service = {
        .port = startup_require("port:serial"),
        .operations = operations,
        .cancelled = tty_cancelled,
        .closed = serial_closed,
        .deadline = tty_deadline,
        .expired = tty_expired,
    };
    (void)argument;
    fprintf(stderr, "cannot serve serial://: %s\n", error_text(service_run(&service, 1)));
    exit(1);
}

/* --- The start --------------------------------------------------------------------------------------------------- */

/* Memory that outlives us; without it, memory. */
static void *kept(uint64_t key, size_t size)
{
    void *memory = keep_memory(port, key, size);
    if (!memory)
        memory = calloc(1, size);
    if (!memory) {
        fprintf(stderr, "no memory\n");
        exit(1);
    }
    return memory;
}

static void drivers_start(void)
{
    pthread_t thread;
    int error = pthread_create(&thread, NULL, serial_run, NULL);
    if (error)
        fprintf(stderr, "cannot start a thread for serial://: %s\n", strerror(error));
    else
        pthread_detach(thread);
}

int main(void)
{
#define OPERATION(op, handler) [SERVICE_INDEX(op)] = tty_serve,
    static command_handler *const served[SERVICE_OPERATIONS] = {OPERATIONS(OPERATION)};
#undef OPERATION
    port = startup_require("port:tty");
    struct service service = {
        .port = port,
        .operations = served,
        .notified = tty_notified,
        .cancelled = tty_cancelled,
        .closed = tty_closed,
        .deadline = tty_deadline,
        .expired = tty_expired,
    };
    session_start();
    serial_line_start(port, kept(KEPT_SERIAL, sizeof(struct terminal_kept)));
    seat_start(port, kept);
    for (uint32_t i = 0; i < fixed_count(); i++)
        terminal_refresh(fixed(i));
    adapters_start(port);
    pty_start(port);
    drivers_start();
    fprintf(stderr, "cannot serve: %s\n", error_text(service_run(&service, 1)));
    return 1;
}
