/* inputd: input://, keyboards and pointers of any driver as one stream of events (abi/input.h).
 *
 *     driver --OP_WRITE--> device_event --> keys (modifiers, key map) --> ring, kept --> held reads of subscribers
 *     driver <--OP_READ--- lights
 *
 * The ring is kept with input:// and read by offsets, so neither inputd's death nor a subscriber's loses or doubles an
 * event. One thread.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sys/clock.h"
#include "lib/sys/error.h"
#include "lib/sys/file.h"
#include "lib/sys/held.h"
#include "lib/sys/keep.h"
#include "lib/sys/service.h"
#include "lib/sys/startup.h"
#include "sbin/inputd/devices.h"
#include "sbin/inputd/keys.h"

#define KEY_RING     1
#define KEYMAP_LIMIT (UINT64_C(1) << 20)
#define EVENT        sizeof(struct input_event)

struct ring {
    uint64_t end; /* number of the next event */
    uint32_t locks;
    uint32_t reserved;
    struct input_event events[INPUT_QUEUE];
};

/* An open file: its address is the cookie. */
struct file {
    struct list link; /* subscribers only: of `subscribers`, in the order they took the focus */
    struct device *device; /* NULL: a subscriber */
    uint64_t id;
    uint64_t since; /* a subscriber's: number of the first event it may see */
    uint64_t seen;  /* number behind the last it read */
    bool ready;     /* SIGNAL_READABLE is published */
};

/* A held read's argument is a subscriber's number of the first event it wants, or the lights a driver shows. */
static struct file *file_of(const struct held *held)
{
    return (struct file *)(uintptr_t)held->cookie;
}

static struct ring *ring;
static struct keymap keymap;
static struct keys keys = {.map = &keymap};
static struct list subscribers = LIST_INIT(subscribers), held_reads = LIST_INIT(held_reads);
static struct file *focus;
static handle_t port;

/* --- Reads ----------------------------------------------------------------------------------------------------- */

/* Whether the file gets events now. */
static bool listens(const struct file *file)
{
    return !focus || focus == file;
}

/* Copies what the subscriber may see; the number behind the last goes to *next. */
static size_t events_copy(const struct file *file, uint64_t from, uint64_t length,
                          struct input_event *events, uint64_t *next)
{
    size_t count = 0, room = MIN(length / EVENT, INPUT_QUEUE);
    uint64_t number = MAX(from, file->since);
    if (ring->end > INPUT_QUEUE)
        number = MAX(number, ring->end - INPUT_QUEUE);
    for (; listens(file) && number < ring->end && count < room; number++)
        events[count++] = ring->events[number % INPUT_QUEUE];
    *next = number;
    return count;
}

/* SIGNAL_READABLE says that there are events behind those that were read last. */
static void readiness_publish(struct file *file)
{
    bool ready = listens(file) && ring->end > MAX(file->seen, file->since);
    if (ready == file->ready)
        return;
    file->ready = ready;
    sys_ignore(
        sys_file_ready(port, file->id, ready ? SIGNAL_READABLE : 0, ready ? 0 : SIGNAL_READABLE));
}

static void held_answer(struct held *held, const void *data, size_t length, uint64_t next)
{
    struct abi_return reply = {
        .values = {length, next}, .data = (uintptr_t)data, .data_length = length};
    held_reply(held, 0, &reply);
}

static void subscribers_serve(void)
{
    static struct input_event events[INPUT_QUEUE];
    list_for_each (struct held, held, &held_reads, link) {
        uint64_t next;
        struct file *file = file_of(held);
        size_t count =
            file->device ? 0 : events_copy(file, held->argument, held->length, events, &next);
        if (count) {
            file->seen = next;
            held_answer(held, events, count * EVENT, next * EVENT);
        }
    }
    list_for_each (struct file, file, &subscribers, link)
        readiness_publish(file);
}

static struct input_event lights_event(void)
{
    return (struct input_event){
        .time = clock_monotonic(), .type = INPUT_LED, .value = (int32_t)keys_lights(&keys)};
}

static void lights_serve(void)
{
    struct input_event event = lights_event();
    ring->locks = keys.locks;
    list_for_each (struct held, held, &held_reads, link)
        if (file_of(held)->device && held->argument != (uint32_t)event.value)
            held_answer(held, &event, EVENT, 0);
}

static int64_t read_hold(const struct file *file, const struct command *command, uint64_t from)
{
    if (command->message.flags & COMMAND_NONBLOCK)
        return -E_AGAIN;
    struct held *held = held_add(&held_reads, command, 0);
    if (!held)
        return -E_NO_MEMORY;
    held->argument = file->device ? (uint32_t)command->message.args[0] : from;
    return COMMAND_HELD;
}

static int64_t input_read(void *context, struct command *command)
{
    static struct input_event events[INPUT_QUEUE];
    struct file *file = (struct file *)(uintptr_t)command->message.cookie;
    uint64_t next = 0, from = command->message.args[0] / EVENT;
    size_t count = 0;
    (void)context;
    if (!file || command->message.out_length < EVENT)
        return -E_INVALID;
    if (!file->device) {
        count = events_copy(file, from, command->message.out_length, events, &next);
        file->seen = next;
        readiness_publish(file);
    } else if (command->message.args[0] != keys_lights(&keys)) {
        events[0] = lights_event();
        count = 1;
    }
    if (!count)
        return read_hold(file, command, from);
    command->reply.data = (uintptr_t)events;
    command->reply.data_length = command->reply.values[0] = count * EVENT;
    command->reply.values[1] = next * EVENT;
    return 0;
}

/* --- Events ---------------------------------------------------------------------------------------------------- */

static void event_put(const struct input_event *event)
{
    ring->events[ring->end % INPUT_QUEUE] = *event;
    __atomic_store_n(&ring->end, ring->end + 1, __ATOMIC_RELEASE);
}

static void key_event(struct device *device, struct input_event *event)
{
    uint8_t down[INPUT_KEYS / 8];
    if (event->code >= INPUT_KEYS || !device_key(device, event->code, event->value))
        return; /* drivers' own repetitions, too: keys.c repeats */
    devices_down(down);
    event->value = event->value != 0;
    keys_event(&keys, down, event);
    event_put(event);
}

/* Everything the device holds down goes up, as far as anybody can tell. */
static void keys_release(struct device *device)
{
    for (uint16_t code = 0; code < INPUT_KEYS; code++) {
        struct input_event event = {.time = clock_monotonic(), .type = INPUT_KEY, .code = code};
        if (device->down[code / 8] >> code % 8 & 1)
            key_event(device, &event);
    }
}

static void device_event(struct device *device, struct input_event *event)
{
    event->symbol = 0;
    event->modifiers = keys.modifiers | keys.locks;
    switch (event->type) {
    case INPUT_KEY:
        key_event(device, event);
        return;
    case INPUT_SYNC:
        if (event->value)
            keys_release(device);
        event->value = 0;
        break;
    case INPUT_REL:
    case INPUT_ABS:
        break;
    default:
        return;
    }
    event_put(event);
}

static int64_t input_write(void *context, struct command *command)
{
    struct file *file = (struct file *)(uintptr_t)command->message.cookie;
    uint64_t first = command->message.args[0] / EVENT, count = command->in_length / EVENT;
    (void)context;
    if (!file || !file->device)
        return -E_PERMISSION;
    if (command->in_length % EVENT || command->message.args[0] % EVENT)
        return -E_INVALID;
    for (uint64_t i = 0; i < count; i++) {
        struct input_event event;
        int64_t result = command_read(command, i * EVENT, &event, EVENT);
        if (result != (int64_t)EVENT)
            return result < 0 ? result : -E_FAULT;
        if (device_take(file->device, first + i))
            device_event(file->device, &event);
    }
    lights_serve();
    subscribers_serve();
    command->reply.values[0] = command->in_length;
    return 0;
}

static int64_t input_deadline(void *context)
{
    (void)context;
    return keys_deadline(&keys);
}

static void input_expired(void *context)
{
    struct input_event event;
    (void)context;
    if (!keys_repeat(&keys, clock_monotonic(), &event))
        return;
    event_put(&event);
    subscribers_serve();
}

/* --- Files ----------------------------------------------------------------------------------------------------- */

/* What stands behind "device/", or NULL. */
static const char *device_name(const struct command *command, size_t *length)
{
    static const char folder[] = "device/";
    const char *path;
    *length = command_name(command, &path);
    if (*length < strlen(folder) || memcmp(path, folder, strlen(folder)) != 0)
        return NULL;
    *length -= strlen(folder);
    return path + strlen(folder);
}

static int64_t input_open(void *context, struct command *command)
{
    size_t length;
    const char *name = device_name(command, &length);
    (void)context;
    if (command->message.args[0] & OPEN_DIRECTORY)
        return -E_NOT_DIRECTORY;
    struct file *file = calloc(1, sizeof(*file));
    int64_t result = file ? 0 : -E_NO_MEMORY;
    if (file && name)
        result = device_open(name, length, &file->device);
    else if (file && !command_names(command, "events"))
        result = -E_NOT_FOUND;
    if (result < 0) {
        free(file);
        return result;
    }
    file->id = command->message.file;
    if (file->device)
        list_init(&file->link);
    else
        list_append(&subscribers, &file->link);
    command->reply.values[0] = (uintptr_t)file;
    command->reply.values[2] = SIGNAL_WRITABLE;
    return 0;
}

static void focus_give(struct file *file)
{
    if (focus == file)
        return;
    focus = file;
    if (file)
        file->since = ring->end;
    subscribers_serve();
}

static void input_closed(void *context, uint64_t cookie)
{
    struct file *file = (struct file *)(uintptr_t)cookie;
    (void)context;
    if (!file)
        return;
    held_forget(&held_reads, cookie);
    list_remove(&file->link);
    if (file->device) {
        if (file->device->files == 1)
            keys_release(file->device);
        if (device_close(file->device))
            subscribers_serve();
    } else if (focus == file) {
        focus_give(list_last(&subscribers, struct file, link));
    }
    free(file);
}

static void input_cancelled(void *context, uint64_t token)
{
    struct held *held = held_find(&held_reads, token);
    (void)context;
    if (held)
        held_return(held, -E_INTERRUPTED, 0, NULL, 0);
}

static int64_t input_end(void *context, struct command *command)
{
    (void)context;
    command->reply.values[0] = ring->end * EVENT;
    return 0;
}

static int64_t input_focus(void *context, struct command *command)
{
    struct file *file = (struct file *)(uintptr_t)command->message.cookie;
    (void)context;
    if (!file || file->device)
        return -E_INVALID;
    list_remove(&file->link);
    list_append(&subscribers, &file->link);
    focus_give(file);
    return 0;
}

/* --- Key maps -------------------------------------------------------------------------------------------------- */

static int64_t keymap_load(const char *name)
{
    char uri[96], *text;
    size_t length;
    struct keymap_problem problem;
    struct keymap map;
    snprintf(uri, sizeof(uri), "initfs:///etc/keymaps/%s", name);
    int64_t result = file_load(HANDLE_SELF, uri, KEYMAP_LIMIT, &text, &length);
    if (result < 0) {
        fprintf(stderr, "%s: %s\n", uri, error_text(result));
        return result;
    }
    result = keymap_parse(&map, text, length, &problem);
    free(text);
    if (result < 0) {
        fprintf(stderr, "%s:%u: %s\n", uri, problem.line,
                problem.text ? problem.text : error_text(result));
        keymap_destroy(&map);
        return result;
    }
    keymap_destroy(&keymap);
    keymap = map;
    keys.dead = keys.composing = 0;
    return 0;
}

/* The name in /etc/keymap: its first word. */
static void keymap_start(void)
{
    char *text, name[32];
    size_t length;
    int64_t result = file_load(HANDLE_SELF, "initfs:///etc/keymap", sizeof(name), &text, &length);
    snprintf(name, sizeof(name), "us");
    if (result >= 0) {
        length = strcspn(text, " \t\n");
        if (length && length < sizeof(name))
            snprintf(name, sizeof(name), "%.*s", (int)length, text);
        free(text);
    }
    if (keymap_load(name) < 0)
        fprintf(stderr, "keys have no symbols\n");
}

static int64_t input_keymap(void *context, struct command *command)
{
    char name[32] = "";
    (void)context;
    if (command->in_length >= sizeof(name))
        return -E_TOO_LONG;
    int64_t result = command_read(command, 0, name, command->in_length);
    if (result < 0)
        return result;
    if (!name[0] || strchr(name, '/'))
        return -E_INVALID;
    return keymap_load(name);
}

static command_handler *const operations[SERVICE_OPERATIONS] = {
    [OP_OPEN] = input_open,
    [OP_READ] = input_read,
    [OP_WRITE] = input_write,
    [SERVICE_INDEX(INPUT_END)] = input_end,
    [SERVICE_INDEX(INPUT_FOCUS)] = input_focus,
    [SERVICE_INDEX(INPUT_KEYMAP)] = input_keymap,
};

int main(void)
{
    port = startup_require("port:input");
    struct service service = {
        .port = port,
        .operations = operations,
        .cancelled = input_cancelled,
        .closed = input_closed,
        .deadline = input_deadline,
        .expired = input_expired,
    };
    ring = keep_memory(port, KEY_RING, sizeof(*ring));
    if (!ring || !devices_init(port)) {
        fprintf(stderr, "no memory\n");
        return 1;
    }
    keys.locks = ring->locks & (INPUT_CAPS | INPUT_NUM);
    keymap_start();
    fprintf(stderr, "cannot serve: %s\n", error_text(service_run(&service, 1)));
    return 1;
}
