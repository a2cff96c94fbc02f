/* See volumes.h.
 *
 * A volume's file system comes and goes; what it is asked waits for it:
 *
 *            open           HELLO, serves                       ask: sent
 *     ABSENT ----> GREETING -------------------------> SERVING <---------> SERVING, asked
 *        ^             \--HELLO--> SERVE sent --DONE--/    |        DONE
 *        \----------------- the stream hangs up -----------/
 *
 * A HELLO of who serves nothing, with no device that we could send, is of a volume that was ended and let go of, but the one of us who
 * asked for that is dead: it is OVER, and ends when it is asked to.
 */
#include "sbin/vfsd/volumes.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "abi/volume.h"
#include "lib/base/list.h"
#include "lib/base/uri.h"
#include "lib/sys/error.h"
#include "lib/sys/service.h"
#include "sbin/vfsd/roll.h"
#include "sbin/vfsd/tree.h"

#define ASK_SECONDS   60 /* a file system has for its answer; mounting may mean repairing */
#define AWAIT_SECONDS 5

struct volume {
    struct list link;
    struct roll_entry entry; /* what is kept of it */
    handle_t device;         /* HANDLE_NONE: its file system has it */
    uint32_t flags;          /* VOLUME_READ_ONLY */
    const char *options;     /* the caller's of volume_begin */
    handle_t stream;         /* HANDLE_NONE: ABSENT */
    uint64_t port;           /* the id of its file system's; 0: not known to us yet */
    bool serving, over;
    bool abandoned;              /* it was being mounted when the vfsd before us ended */
    uint32_t sent;               /* the request that waits for a VOLUME_DONE, or 0 */
    uint32_t asked, asked_flags; /* what is wanted of it, or 0 */
    int64_t status;              /* of what was asked last */
};

/* Who has volumes:///devices open. */
struct reader {
    struct list link;
    uint64_t id;
    size_t length;
    char *text;
};

static struct list volumes = LIST_INIT(volumes), readers = LIST_INIT(readers);
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of all */
static pthread_cond_t changed;
static handle_t port = HANDLE_NONE; /* of volumes:// */

static void target_put(const struct volume *volume, char *target, size_t room)
{
    snprintf(target, room, "%s%u://", volume->entry.type, volume->entry.id);
}

static struct volume *volume_numbered(uint32_t id)
{
    list_for_each (struct volume, volume, &volumes, link)
        if (volume->entry.id == id)
            return volume;
    return NULL;
}

/* --- the list --- */

static void list_changed(void)
{
    list_for_each (struct reader, reader, &readers, link)
        sys_ignore(sys_file_ready(port, reader->id, SIGNAL_READABLE, 0));
}

/* For initd's drivers: name, class, ids, resets. */
static bool list_write(struct reader *reader)
{
    free(reader->text);
    reader->text = NULL;
    FILE *stream = open_memstream(&reader->text, &reader->length);
    if (!stream)
        return false;
    list_for_each (struct volume, volume, &volumes, link)
        fprintf(stream, "%u %s volume 0\n", volume->entry.id, volume->entry.type);
    bool whole = !ferror(stream);
    return fclose(stream) == 0 && whole && reader->text;
}

static int64_t list_open(struct command *command)
{
    struct reader *reader = calloc(1, sizeof(*reader));
    if (!reader)
        return -E_NO_MEMORY;
    reader->id = command->message.file;
    list_append(&readers, &reader->link);
    command->reply.values[0] = (uintptr_t)reader;
    command->reply.values[2] = SIGNAL_READABLE;
    return 0;
}

static int64_t volumes_read(void *context, struct command *command)
{
    struct reader *reader = (struct reader *)(uintptr_t)command->message.cookie;
    (void)context;
    if (!command->message.file)
        return -E_INVALID;
    pthread_mutex_lock(&lock);
    bool whole = command->message.args[0] || list_write(reader);
    if (whole)
        sys_ignore(sys_file_ready(port, reader->id, 0, SIGNAL_READABLE));
    pthread_mutex_unlock(&lock);
    return whole && reader->text ? command_answer_part(command, reader->text, reader->length)
                                 : -E_NO_MEMORY;
}

static void volumes_closed(void *context, uint64_t cookie)
{
    struct reader *reader = (struct reader *)(uintptr_t)cookie;
    (void)context;
    pthread_mutex_lock(&lock);
    list_remove(&reader->link);
    pthread_mutex_unlock(&lock);
    free(reader->text);
    free(reader);
}

static int64_t volumes_stat(void *context, struct command *command)
{
    static struct abi_stat stat = {
        .inode = 1, .type = FILE_REGULAR, .mode = 0400, .links = 1, .block_size = PAGE_SIZE};
    (void)context;
    return command_answer(command, &stat, sizeof(stat));
}

/* --- a volume's life --- */

static struct volume *volume_enter(const struct roll_entry *entry)
{
    struct volume *volume = calloc(1, sizeof(*volume));
    if (!volume)
        return NULL;
    volume->entry = *entry;
    volume->device = volume->stream = HANDLE_NONE;
    list_append(&volumes, &volume->link);
    list_changed();
    return volume;
}

static void volume_destroy(struct volume *volume)
{
    char name[FS_TARGET_MAX + 1];
    target_put(volume, name, sizeof(name));
    sys_ignore(
        sys_namespace_bind(HANDLE_SELF, name, uri_scheme_length(name, strlen(name)), HANDLE_NONE));
    roll_remove(&volume->entry);
    list_remove(&volume->link);
    handle_drop(volume->stream);
    handle_drop(volume->device);
    free(volume);
    list_changed();
    pthread_cond_broadcast(&changed);
}

static void volume_absent(struct volume *volume)
{
    handle_drop(volume->stream);
    volume->stream = HANDLE_NONE;
    volume->serving = false;
    volume->sent = 0;
}

/* handle: moved, if it is not HANDLE_NONE. */
static void send(struct volume *volume, uint32_t kind, uint32_t flags, const char *text,
                 handle_t handle)
{
    union {
        struct volume_message message;
        uint8_t bytes[sizeof(struct volume_message) + VOLUME_TEXT_MAX + 1];
    } packet = {.message = {.kind = kind, .flags = flags}};
    size_t length = strnlen(text, VOLUME_TEXT_MAX);
    struct abi_stream_message with = {.handles = (uintptr_t)&handle,
                                      .handle_count = handle != HANDLE_NONE};
    memcpy(packet.message.text, text, length);
    int64_t result = sys_stream_send(volume->stream, &packet, sizeof(packet.message) + length + 1,
                                     0, DEADLINE_NOW, &with);
    if (result >= 0) {
        volume->sent = kind;
        return;
    }
    handle_drop(handle);
    volume_absent(volume);
}

static void ask_again(struct volume *volume)
{
    if (volume->asked && volume->asked != VOLUME_SERVE && volume->serving && !volume->sent)
        send(volume, volume->asked, volume->asked_flags, "", HANDLE_NONE);
}

static void answered(struct volume *volume, int64_t status)
{
    volume->asked = 0;
    volume->status = status;
    pthread_cond_broadcast(&changed);
}

static void serve(struct volume *volume)
{
    int64_t copy = sys_handle_duplicate(volume->device, RIGHT_ALL);
    if (copy >= 0)
        send(volume, VOLUME_SERVE, volume->flags, volume->options, (handle_t)copy);
    else
        fprintf(stderr, "%s%u: cannot be served: %s\n", volume->entry.type, volume->entry.id,
                error_text(copy));
}

static void over(struct volume *volume)
{
    volume->over = true;
    if (volume->entry.ended)
        volume_destroy(volume);
    else if (volume->asked)
        answered(volume, volume->asked == VOLUME_END ? 0 : -E_IO);
    else
        fprintf(stderr, "%s%u: was ended, but is mounted still\n", volume->entry.type,
                volume->entry.id);
}

/* It is not in the tree any more, and nobody can be told what became of it. */
static void end_ended(struct volume *volume)
{
    if (!volume->entry.ended || volume->asked)
        return;
    volume->asked = VOLUME_END;
    volume->asked_flags = VOLUME_FORCE;
}

static void serving(struct volume *volume)
{
    volume->serving = true;
    if (volume->asked == VOLUME_SERVE)
        answered(volume, 0);
    end_ended(volume);
    ask_again(volume);
    pthread_cond_broadcast(&changed);
}

/* The port is what it was, whoever comes. */
static int64_t port_bind(struct volume *volume, handle_t from)
{
    struct abi_handle_info info;
    char name[FS_TARGET_MAX + 1];
    int64_t result = sys_handle_info(from, &info);
    if (result < 0)
        return result;
    if (info.type != OBJECT_PORT || (volume->port && volume->port != info.id))
        return -E_PERMISSION;
    volume->port = info.id;
    target_put(volume, name, sizeof(name));
    return sys_namespace_bind(HANDLE_SELF, name, uri_scheme_length(name, strlen(name)), from);
}

static void hello(struct volume *volume, const struct volume_message *message, handle_t from)
{
    int64_t result = port_bind(volume, from);
    if (result < 0) {
        fprintf(stderr, "%s%u: cannot be named: %s\n", volume->entry.type, volume->entry.id,
                error_text(result));
        volume_absent(volume);
    } else if (message->flags & VOLUME_SERVES) {
        serving(volume);
    } else if (volume->device == HANDLE_NONE) {
        over(volume);
    } else {
        serve(volume);
    }
}

static void done(struct volume *volume, int64_t status)
{
    uint32_t sent = volume->sent;
    volume->sent = 0;
    if (sent == VOLUME_END && status >= 0 && volume->entry.ended) {
        volume_destroy(volume);
        return;
    }
    if (sent == VOLUME_SERVE && status >= 0)
        serving(volume);
    else if (sent && sent == volume->asked)
        answered(volume, status);
    ask_again(volume);
}

/* One packet; false: there is none. */
static bool receive(struct volume *volume)
{
    union {
        struct volume_message message;
        uint8_t bytes[sizeof(struct volume_message) + VOLUME_TEXT_MAX + 1];
    } packet;
    handle_t from = HANDLE_NONE;
    struct abi_stream_message with = {.handles = (uintptr_t)&from, .handle_count = 1};
    int64_t result =
        sys_stream_receive(volume->stream, &packet, sizeof(packet), 0, DEADLINE_NOW, &with);
    if (result == -E_AGAIN)
        return false;
    if (result < (int64_t)sizeof(packet.message))
        volume_absent(volume);
    else if (packet.message.kind == VOLUME_HELLO)
        hello(volume, &packet.message, from);
    else if (packet.message.kind == VOLUME_DONE)
        done(volume, packet.message.status);
    handle_drop(from);
    return true;
}

/* Tables without its name are of no use. */
static void publish_again(void)
{
    pthread_rwlock_wrlock(&tree_lock);
    int64_t result = tree_published() ? tree_publish(NULL) : 0;
    pthread_rwlock_unlock(&tree_lock);
    if (result < 0)
        fprintf(stderr, "a volume that came back cannot be named: %s\n", error_text(result));
}

static void volumes_notified(void *context, uint64_t key, uint64_t signals)
{
    struct volume *volume;
    bool known = true, now_known = true;
    (void)context, (void)signals;
    pthread_mutex_lock(&lock);
    while ((volume = volume_numbered((uint32_t)key)) && volume->stream != HANDLE_NONE) {
        known = known && volume->port;
        if (!receive(volume))
            break;
    }
    now_known = volume && volume->port;
    pthread_mutex_unlock(&lock);
    if (!known && now_known)
        publish_again();
}

static bool hung_up(handle_t stream)
{
    struct abi_handle_info info;
    return sys_handle_info(stream, &info) < 0 || info.signals & (SIGNAL_HANGUP | SIGNAL_ENDED);
}

static int64_t volume_connect(struct command *command, struct volume *volume)
{
    handle_t ends[2];
    if (volume->stream != HANDLE_NONE && !hung_up(volume->stream))
        return -E_BUSY;
    volume_absent(volume);
    int64_t result = sys_stream_pair(STREAM_PACKETS, ends);
    if (result >= 0) {
        volume->stream = ends[0];
        result = sys_port_bind(port, ends[0], SIGNAL_READABLE | SIGNAL_HANGUP, volume->entry.id, 0);
        if (result < 0)
            handle_drop(ends[1]);
    }
    if (result < 0)
        volume_absent(volume);
    return result < 0 ? result : command_answer_handle(command, ends[1]);
}

static int64_t volumes_open(void *context, struct command *command)
{
    const char *name;
    char digits[12] = "";
    (void)context;
    size_t length = command_name(command, &name);
    if (command_names(command, "devices")) {
        pthread_mutex_lock(&lock);
        int64_t result = list_open(command);
        pthread_mutex_unlock(&lock);
        return result;
    }
    if (length >= sizeof(digits))
        return -E_NOT_FOUND;
    memcpy(digits, name, length);
    pthread_mutex_lock(&lock);
    struct volume *volume = volume_numbered((uint32_t)strtoul(digits, NULL, 10));
    int64_t result = volume ? volume_connect(command, volume) : -E_NOT_FOUND;
    pthread_mutex_unlock(&lock);
    return result;
}

static command_handler *const operations[SERVICE_OPERATIONS] = {
    [OP_OPEN] = volumes_open,
    [OP_READ] = volumes_read,
    [OP_STAT] = volumes_stat,
};

void *volumes_serve(void *argument)
{
    static struct service service = {
        .operations = operations, .notified = volumes_notified, .closed = volumes_closed};
    service.port = port = *(const handle_t *)argument;
    fprintf(stderr, "cannot serve volumes://: %s\n", error_text(service_run(&service, 1)));
    exit(1);
}

/* --- what is asked --- */

static struct timespec time_in(int seconds)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    time.tv_sec += seconds;
    return time;
}

/* With the lock held; it is let go of meanwhile. */
static int64_t ask(struct volume *volume, uint32_t kind, uint32_t flags)
{
    struct timespec limit = time_in(ASK_SECONDS);
    int error = 0;
    if (volume->over)
        return kind == VOLUME_END ? 0 : -E_IO;
    volume->asked = kind;
    volume->asked_flags = flags;
    volume->status = -E_TIMED_OUT;
    ask_again(volume);
    while (volume->asked && !error)
        error = pthread_cond_timedwait(&changed, &lock, &limit);
    volume->asked = 0;
    return volume->status;
}

int64_t volume_begin(const char *type, handle_t device, uint32_t flags, const char *options,
                     char *target)
{
    struct roll_entry entry;
    int64_t result = strlen(options) > VOLUME_TEXT_MAX ? -E_TOO_LONG : roll_add(type, &entry);
    if (result < 0) {
        handle_drop(device);
        return result;
    }
    pthread_mutex_lock(&lock);
    struct volume *volume = volume_enter(&entry);
    if (!volume) {
        handle_drop(device);
        roll_remove(&entry);
        result = -E_NO_MEMORY;
        goto out;
    }
    volume->device = device;
    volume->flags = flags;
    volume->options = options;
    result = ask(volume, VOLUME_SERVE, 0);
    volume->options = "";
    if (result < 0)
        volume_destroy(volume);
    else
        target_put(volume, target, FS_TARGET_MAX + 1);
out:
    pthread_mutex_unlock(&lock);
    return result;
}

/* Locked. */
static struct volume *volume_find(const char *target)
{
    char name[FS_TARGET_MAX + 1];
    list_for_each (struct volume, volume, &volumes, link) {
        target_put(volume, name, sizeof(name));
        if (strncmp(target, name, strlen(name)) == 0)
            return volume;
    }
    return NULL;
}

size_t volume_of(const char *target)
{
    pthread_mutex_lock(&lock);
    const struct volume *volume = volume_find(target);
    pthread_mutex_unlock(&lock);
    return volume ? uri_scheme_length(target, strlen(target)) + strlen("://") : 0;
}

int64_t volume_remount(const char *target, uint32_t flags)
{
    pthread_mutex_lock(&lock);
    struct volume *volume = volume_find(target);
    int64_t result = volume ? ask(volume, VOLUME_REMOUNT, flags) : -E_NOT_FOUND;
    if (result >= 0)
        volume->flags = flags;
    pthread_mutex_unlock(&lock);
    return result;
}

int64_t volume_end(const char *target, uint32_t flags)
{
    pthread_mutex_lock(&lock);
    struct volume *volume = volume_find(target);
    int64_t result = volume ? ask(volume, VOLUME_END, flags ? VOLUME_FORCE : 0) : 0;
    if (volume && result >= 0)
        volume_destroy(volume);
    if (volume && result < 0 && flags & UMOUNT_LAZY) {
        roll_end(&volume->entry);
        end_ended(volume); /* what was open may have been closed meanwhile */
        ask_again(volume);
        result = 0;
    }
    pthread_mutex_unlock(&lock);
    return result;
}

/* --- the beginning --- */

void volumes_recover(handle_t fs_port)
{
    pthread_condattr_t monotonic;
    struct roll_entry entry;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&changed, &monotonic);
    roll_open(fs_port);
    for (uint32_t at = 0; roll_next(&at, &entry);) {
        char target[FS_TARGET_MAX + 1];
        struct volume named = {.entry = entry}, *volume;
        target_put(&named, target, sizeof(target));
        bool abandoned = !entry.ended && !tree_uses(target);
        if (!(volume = volume_enter(&entry)))
            continue;
        volume->options = "";
        volume->abandoned = abandoned;
        volume->entry.ended |= abandoned;
    }
}

void volumes_await(void)
{
    struct timespec limit = time_in(AWAIT_SECONDS);
    int error = 0;
    pthread_mutex_lock(&lock);
    for (;;) {
        bool whole = true;
        list_for_each (struct volume, volume, &volumes, link)
            whole = whole && volume->port && !volume->abandoned;
        if (whole || error)
            break;
        error = pthread_cond_timedwait(&changed, &lock, &limit);
    }
    list_for_each (struct volume, volume, &volumes, link)
        if (volume->abandoned)
            volume_destroy(volume);
    pthread_mutex_unlock(&lock);
}
