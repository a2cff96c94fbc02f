/* timed: time:// tells what time it is, clock:// sets it.
 *
 * What programs ask most they read from the time page, without us: real time goes on being right while we are away. The two
 * protocols have the same files, and a thread each; only who can name clock:// may write to them. Kept with time://: the name of the
 * local time zone, and whether the machine's clock is still to be set.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sys/clock.h"
#include "lib/sys/error.h"
#include "lib/sys/keep.h"
#include "lib/sys/listing.h"
#include "lib/sys/service.h"
#include "lib/sys/startup.h"
#include "sbin/timed/date.h"
#include "sbin/timed/wall.h"
#include "sbin/timed/zone.h"

#define KEY_STATE  1
#define NS         INT64_C(1000000000)
#define DEVICE     1u
#define WRITE_MAX  128u
#define LIST_BYTES 512u

/* A name is written to the one that is not in use. */
static struct state {
    uint32_t rtc_stale;
    uint32_t zone; /* which of the names */
    char zones[2][ZONE_NAME];
} * state;

static pthread_mutex_t zone_lock = PTHREAD_MUTEX_INITIALIZER;

enum node { NODE_NONE, NODE_ROOT, NODE_NOW, NODE_ZONE, NODE_LOCALTIME, NODE_RTC, NODE_COUNT };

static const struct {
    const char *name;
    enum file_type type;
    bool writable;
} nodes[NODE_COUNT] = {
    [NODE_ROOT] = {"", FILE_DIRECTORY, false},  [NODE_NOW] = {"now", FILE_REGULAR, true},
    [NODE_ZONE] = {"zone", FILE_REGULAR, true}, [NODE_LOCALTIME] = {"localtime", FILE_LINK, false},
    [NODE_RTC] = {"rtc", FILE_REGULAR, false},
};

struct protocol {
    struct service service;
    bool sets;
};

/* Replies must live until the handler's thread returns them. */
static _Thread_local union {
    struct abi_stat stat;
    uint8_t listing[LIST_BYTES];
    char text[sizeof(ZONE_URI) + ZONE_NAME];
} answer;

/* --- Texts ------------------------------------------------------------------------------------------------------------- */

static size_t line_end(size_t length)
{
    answer.text[length] = '\n';
    return length + 1;
}

static size_t zone_text(const char *before)
{
    pthread_mutex_lock(&zone_lock);
    int length =
        snprintf(answer.text, sizeof(answer.text), "%s%s", before, state->zones[state->zone & 1]);
    pthread_mutex_unlock(&zone_lock);
    return MIN((size_t)length, sizeof(answer.text) - 1);
}

/* answer.text; its length, or -E_*. */
static int64_t node_text(enum node node)
{
    int64_t seconds, result;
    switch (node) {
    case NODE_NOW:
        return (int64_t)line_end(date_write(answer.text, clock_realtime() / NS));
    case NODE_RTC:
        result = wall_machine(&seconds);
        return result < 0 ? result : (int64_t)line_end(date_write(answer.text, seconds));
    case NODE_ZONE:
        return (int64_t)line_end(zone_text(""));
    case NODE_LOCALTIME:
        return (int64_t)zone_text(ZONE_URI);
    default:
        return -E_IS_DIRECTORY;
    }
}

/* --- Names ------------------------------------------------------------------------------------------------------------- */

static enum node node_named(const struct command *command)
{
    for (enum node node = NODE_ROOT; node < NODE_COUNT; node++)
        if (command_names(command, nodes[node].name))
            return node == NODE_RTC && !wall_has_machine() ? NODE_NONE : node;
    return NODE_NONE;
}

/* The answer is answer.text with this status: what is there, or E_LINK and where to. */
static int64_t text_answer(struct command *command, int64_t length, uint64_t offset, int64_t status)
{
    if (length < 0)
        return length;
    uint64_t left = (uint64_t)length - MIN((uint64_t)length, offset);
    command->reply.data = (uintptr_t)answer.text + (uint64_t)length - left;
    command->reply.data_length = MIN(left, command->message.out_length);
    command->reply.values[0] = command->reply.data_length;
    return status;
}

/* What the command is about: the open file, or what its path names. itself: a link is not followed. */
static int64_t command_node(struct command *command, bool itself, enum node *node)
{
    *node = command->path_length == 0 && command->message.cookie
                ? (enum node)command->message.cookie
                : node_named(command);
    if (*node == NODE_NONE)
        return -E_NOT_FOUND;
    if (*node != NODE_LOCALTIME || itself)
        return 0;
    return text_answer(command, node_text(NODE_LOCALTIME), 0, -E_LINK);
}

/* --- Operations -------------------------------------------------------------------------------------------------------- */

static int64_t time_open(void *context, struct command *command)
{
    const struct protocol *protocol = context;
    uint64_t flags = command->message.args[0];
    enum node node;
    int64_t result = command_node(command, flags & OPEN_NOFOLLOW, &node);
    if (result == -E_NOT_FOUND && flags & OPEN_CREATE)
        return -E_READ_ONLY;
    if (result < 0)
        return result;
    if (flags & OPEN_CREATE && flags & OPEN_EXCLUSIVE)
        return -E_EXISTS;
    if (flags & OPEN_DIRECTORY && node != NODE_ROOT)
        return -E_NOT_DIRECTORY;
    if (flags & (OPEN_WRITE | OPEN_TRUNCATE)) {
        if (node == NODE_ROOT)
            return -E_IS_DIRECTORY;
        if (!protocol->sets || !nodes[node].writable)
            return -E_PERMISSION;
    }
    command->reply.values[0] = node;
    command->reply.values[1] = HANDLE_FLAG_SEEKABLE;
    command->reply.values[2] = SIGNAL_READABLE | SIGNAL_WRITABLE;
    return 0;
}

static int64_t time_read(void *context, struct command *command)
{
    enum node node;
    (void)context;
    int64_t result = command_node(command, true, &node);
    if (result < 0)
        return result;
    return text_answer(command, node == NODE_LOCALTIME ? -E_INVALID : node_text(node),
                       command->message.args[0], 0);
}

static int64_t time_readlink(void *context, struct command *command)
{
    enum node node;
    (void)context;
    int64_t result = command_node(command, true, &node);
    if (result < 0)
        return result;
    return text_answer(command, node == NODE_LOCALTIME ? node_text(node) : -E_INVALID, 0, 0);
}

static int64_t time_stat(void *context, struct command *command)
{
    const struct protocol *protocol = context;
    enum node node;
    int64_t result = command_node(command, command->message.args[0] & OPEN_NOFOLLOW, &node);
    if (result < 0)
        return result;
    int64_t length = node_text(node), now = clock_realtime();
    answer.stat = (struct abi_stat){
        .size = (uint64_t)MAX(length, INT64_C(0)),
        .inode = node,
        .device = DEVICE,
        .type = nodes[node].type,
        .mode = node == NODE_ROOT                        ? 0555
                : node == NODE_LOCALTIME                 ? 0777
                : protocol->sets && nodes[node].writable ? 0644
                                                         : 0444,
        .links = node == NODE_ROOT ? 2 : 1,
        .block_size = PAGE_SIZE,
        .accessed = now,
        .modified = now,
        .changed = now,
    };
    return command_answer(command, &answer.stat, sizeof(answer.stat));
}

static int64_t time_list(void *context, struct command *command)
{
    enum node node;
    (void)context;
    int64_t result = command_node(command, true, &node);
    if (result < 0)
        return result;
    if (node != NODE_ROOT)
        return -E_NOT_DIRECTORY;
    struct listing listing = listing_begin(command, answer.listing, sizeof(answer.listing));
    bool room = true;
    while (room && listing.position < 2)
        room = listing_add(&listing, listing.position ? ".." : ".", NODE_ROOT, FILE_DIRECTORY);
    while (room && listing.position < NODE_COUNT - (wall_has_machine() ? 0 : 1)) {
        node = (enum node)listing.position;
        room = listing_add(&listing, nodes[node].name, node, nodes[node].type);
    }
    return listing_end(&listing);
}

/* --- Setting ----------------------------------------------------------------------------------------------------------- */

static int64_t now_write(const char *text, size_t length)
{
    int64_t seconds, ns;
    if (!date_read(text, length, &seconds) || __builtin_mul_overflow(seconds, NS, &ns))
        return -E_INVALID;
    return wall_step(ns, clock_monotonic());
}

static void zone_use(const char *name, size_t length)
{
    uint32_t next = !(state->zone & 1);
    pthread_mutex_lock(&zone_lock);
    snprintf(state->zones[next], ZONE_NAME, "%.*s", (int)length, name);
    keep_commit(&state->zone, next);
    pthread_mutex_unlock(&zone_lock);
}

static int64_t zone_write(char *text, size_t length)
{
    while (length && strchr(" \t\n", text[length - 1]))
        length--;
    if (!zone_name_ok(text, length))
        return -E_INVALID;
    text[length] = '\0';
    int64_t result = zone_find(text);
    if (result >= 0)
        zone_use(text, length);
    return result;
}

/* At any offset: what is written is the new text, all of it. */
static int64_t time_write(void *context, struct command *command)
{
    const struct protocol *protocol = context;
    char text[WRITE_MAX + 1] = "";
    enum node node;
    int64_t result = command_node(command, true, &node);
    if (result < 0)
        return result;
    if (!protocol->sets || !nodes[node].writable)
        return -E_PERMISSION;
    if (command->in_length > WRITE_MAX)
        return -E_INVALID;
    result = command_read_exactly(command, text, command->in_length);
    if (result >= 0)
        result = node == NODE_NOW ? now_write(text, command->in_length)
                                  : zone_write(text, command->in_length);
    command->reply.values[0] = command->in_length;
    return MIN(result, INT64_C(0));
}

/* What enum clock_op lists, by the first argument and the second. */
static int64_t clock_op(void *context, struct command *command)
{
    const struct protocol *protocol = context;
    int64_t first = (int64_t)command->message.args[0], second = (int64_t)command->message.args[1];
    if (!protocol->sets)
        return -E_PERMISSION;
    switch ((enum clock_op)command->message.op) {
    case CLOCK_OP_STEP:
        return wall_step(first, second);
    case CLOCK_OP_SHIFT:
        return wall_shift(first);
    case CLOCK_OP_SLEW:
        return wall_slew(first);
    case CLOCK_OP_FREQUENCY:
        return wall_frequency(first);
    }
    return -E_NO_CALL;
}

static command_handler *const operations[SERVICE_OPERATIONS] = {
    [OP_OPEN] = time_open,
    [OP_READ] = time_read,
    [OP_WRITE] = time_write,
    [OP_STAT] = time_stat,
    [OP_LIST] = time_list,
    [OP_READLINK] = time_readlink,
    [SERVICE_INDEX(CLOCK_OP_STEP)] = clock_op,
    [SERVICE_INDEX(CLOCK_OP_SHIFT)] = clock_op,
    [SERVICE_INDEX(CLOCK_OP_SLEW)] = clock_op,
    [SERVICE_INDEX(CLOCK_OP_FREQUENCY)] = clock_op,
};

/* --- The machine's clock, on clock://'s thread --------------------------------------------------------------------------- */

static void clock_notified(void *context, uint64_t key, uint64_t signals)
{
    (void)context;
    (void)signals;
    if (key == WALL_IRQ_KEY)
        wall_ticked();
}

static int64_t clock_deadline(void *context)
{
    (void)context;
    return wall_deadline();
}

static void clock_expired(void *context)
{
    (void)context;
    wall_expired();
}

static void stopping(void *context)
{
    (void)context;
    wall_stop();
}

static void zone_start(void)
{
    char name[ZONE_NAME];
    const char *kept = state->zones[state->zone & 1];
    if (zone_name_ok(kept, strnlen(kept, ZONE_NAME)))
        return;
    zone_at_boot(name);
    zone_use(name, strlen(name));
}

static void *time_serve(void *argument)
{
    struct protocol *time = argument;
    fprintf(stderr, "cannot serve time://: %s\n", error_text(service_run(&time->service, 1)));
    exit(1);
}

int main(void)
{
    static struct protocol time = {.service = {.operations = operations, .stopping = stopping}};
    static struct protocol clock = {.service = {.operations = operations,
                                                .notified = clock_notified,
                                                .deadline = clock_deadline,
                                                .expired = clock_expired,
                                                .stopping = stopping},
                                    .sets = true};
    pthread_t thread;
    time.service.port = startup_require("port:time");
    time.service.context = &time;
    clock.service.port = startup_require("port:clock");
    clock.service.context = &clock;
    state = keep_memory(time.service.port, KEY_STATE, sizeof(*state));
    if (!state) {
        fprintf(stderr, "no memory\n");
        return 1;
    }
    zone_start();
    wall_start(startup_require("clock"), clock.service.port, &state->rtc_stale);
    int error = pthread_create(&thread, NULL, time_serve, &time);
    if (error) {
        fprintf(stderr, "cannot start a thread for time://: %s\n", strerror(error));
        return 1;
    }
    fprintf(stderr, "cannot serve clock://: %s\n", error_text(service_run(&clock.service, 1)));
    return 1;
}
