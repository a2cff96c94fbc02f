#include "sbin/diskd/link.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sys/error.h"
#include "lib/sys/file.h"
#include "lib/sys/service.h"
#include "lib/sys/wait.h"
#include "sbin/diskd/expected.h"

#define PATH_MAX_ (DISK_NAME_MAX + 48)

enum want_kind {
    WANT_BEGIN, /* with the port that was shown last */
    WANT_SCAN,
    WANT_OPEN,
    WANT_END,  /* it is gone */
    WANT_QUIT, /* for good */
};

/* What is wanted of a driver. */
struct want {
    struct list link;
    enum want_kind kind;
    uint64_t token; /* of a command; 0: somebody waits for `finished` */
    uint32_t flags;
    bool finished;
    int64_t result;
    char path[PATH_MAX_];
};

pthread_mutex_t links_lock = PTHREAD_MUTEX_INITIALIZER;
struct list links = LIST_INIT(links);

static handle_t service_port;
static void (*disks_changed)(void);

void links_start(handle_t port, void (*changed)(void))
{
    service_port = port;
    disks_changed = changed;
}

/* --- The thread that asks ------------------------------------------------------------------------------------------ */

static void disks_replace(struct link *link, bool up, struct scanned *disks, uint32_t count)
{
    pthread_mutex_lock(&links_lock);
    struct scanned *before = link->disks;
    uint32_t before_count = link->disk_count;
    link->disks = disks;
    link->disk_count = count;
    link->up = up;
    if (!up)
        expected_remove(link->function);
    disks_changed();
    pthread_mutex_unlock(&links_lock);
    disks_free(before, before_count);
}

/* A port that is gone for good is not to be kept for this. */
static int64_t end(struct link *link)
{
    handle_drop(link->root);
    handle_drop(link->namespace);
    link->root = link->namespace = HANDLE_NONE;
    return 0;
}

/* With the namespace of the port that was shown last, if there is another. */
static int64_t begin(struct link *link)
{
    pthread_mutex_lock(&links_lock);
    handle_t shown = link->shown;
    link->shown = HANDLE_NONE;
    pthread_mutex_unlock(&links_lock);
    handle_drop(link->root);
    link->root = HANDLE_NONE;
    if (shown != HANDLE_NONE) {
        handle_drop(link->namespace);
        link->namespace = shown;
    }
    return file_open(link->namespace, DRIVER_SCHEME ":///", OPEN_READ | OPEN_DIRECTORY,
                     &link->root);
}

static int64_t scan(struct link *link)
{
    struct scanned *disks;
    uint32_t count;
    if (link->root == HANDLE_NONE)
        return -E_NO_DEVICE;
    int64_t result = scan_driver(link->namespace, link->root, &disks, &count);
    disks_replace(link, result >= 0, disks, count);
    return result;
}

static void open_for(struct link *link, const struct want *want)
{
    char uri[PATH_MAX_ + sizeof(DRIVER_SCHEME) + 4];
    struct abi_return reply = {.token = want->token};
    handle_t file;
    snprintf(uri, sizeof(uri), DRIVER_SCHEME ":///%s", want->path);
    int64_t result = link->root == HANDLE_NONE
                         ? -E_NO_DEVICE
                         : file_open(link->namespace, uri, want->flags, &file);
    if (result < 0) {
        command_return(service_port, want->token, result, &reply);
        return;
    }
    reply.handles[0] = file;
    reply.handle_count = 1;
    if (sys_proto_return(service_port, &reply) < 0)
        handle_drop(file); /* the caller has left */
}

static int64_t carry_out(struct link *link, const struct want *want)
{
    switch (want->kind) {
    case WANT_BEGIN:
        return begin(link);
    case WANT_SCAN:
        return scan(link);
    case WANT_OPEN:
        open_for(link, want);
        return 0;
    case WANT_END:
        return end(link);
    case WANT_QUIT:
        return 0;
    }
    return 0;
}

static void want_end(struct link *link, struct want *want, int64_t result)
{
    if (want->token) {
        if (want->kind == WANT_SCAN)
            command_return_value(service_port, want->token, result, 0);
        free(want);
        return;
    }
    pthread_mutex_lock(&links_lock);
    want->result = result;
    want->finished = true;
    pthread_cond_broadcast(&link->done);
    pthread_mutex_unlock(&links_lock);
}

static void *asking_thread(void *argument)
{
    struct link *link = argument;
    enum want_kind kind;
    do {
        pthread_mutex_lock(&links_lock);
        while (list_empty(&link->wants))
            pthread_cond_wait(&link->wanted, &links_lock);
        struct want *want = list_first(&link->wants, struct want, link);
        list_remove(&want->link);
        pthread_mutex_unlock(&links_lock);
        kind = want->kind;
        want_end(link, want, carry_out(link, want));
    } while (kind != WANT_QUIT); /* and then the link is no more */
    return NULL;
}

/* --- The thread that waits ----------------------------------------------------------------------------------------- */

static int64_t ask(struct link *link, enum want_kind kind)
{
    struct want want = {.kind = kind};
    pthread_mutex_lock(&links_lock);
    list_append(&link->wants, &want.link);
    pthread_cond_signal(&link->wanted);
    while (!want.finished)
        pthread_cond_wait(&link->done, &links_lock);
    pthread_mutex_unlock(&links_lock);
    return want.result;
}

/* While it is there; a driver that is started again shows itself by its file, which wants to be used then. */
static int64_t follow(struct link *link)
{
    int64_t result = ask(link, WANT_BEGIN);
    while (result >= 0) {
        result = handle_wait(link->root, SIGNAL_READABLE, DEADLINE_NEVER);
        if (result >= 0)
            result = ask(link, WANT_SCAN);
    }
    return result;
}

/* Unless another port was shown meanwhile nobody finds the link any more. */
static bool take_off(struct link *link)
{
    pthread_mutex_lock(&links_lock);
    bool over = link->shown == HANDLE_NONE;
    if (over)
        list_remove(&link->link);
    pthread_mutex_unlock(&links_lock);
    return over;
}

static void *waiting_thread(void *argument)
{
    struct link *link = argument;
    do {
        int64_t result = follow(link);
        fprintf(stderr, "the disks of %s are gone: %s\n", link->function, error_text(result));
        sys_ignore(ask(link, WANT_END));
        disks_replace(link, false, NULL, 0);
    } while (!take_off(link));
    sys_ignore(ask(link, WANT_QUIT)); /* behind all that was wanted before */
    pthread_cond_destroy(&link->wanted);
    pthread_cond_destroy(&link->done);
    free(link);
    return NULL;
}

/* --- From outside -------------------------------------------------------------------------------------------------- */

static struct link *link_find(const char *function)
{
    list_for_each (struct link, link, &links, link)
        if (strcmp(link->function, function) == 0)
            return link;
    return NULL;
}

static void link_insert(struct link *link)
{
    struct list *behind = &links;
    list_for_each (struct link, other, &links, link)
        if (behind == &links && strcmp(other->function, link->function) > 0)
            behind = &other->link;
    list_insert_before(behind, &link->link);
}

/* Without its threads a driver's clients would wait for ever: another diskd may be luckier. */
static void thread_begin(void *(*run)(void *), struct link *link)
{
    pthread_t thread;
    int error = pthread_create(&thread, NULL, run, link);
    if (error) {
        fprintf(stderr, "no thread for %s: %s\n", link->function, strerror(error));
        exit(1);
    }
    pthread_detach(thread);
}

/* links_lock is let go of when a port is shown, so the threads find one. */
static struct link *link_create(const char *function)
{
    struct link *link = calloc(1, sizeof(*link));
    if (!link)
        return NULL;
    snprintf(link->function, sizeof(link->function), "%s", function);
    link->shown = link->namespace = link->root = HANDLE_NONE;
    list_init(&link->wants);
    pthread_cond_init(&link->wanted, NULL);
    pthread_cond_init(&link->done, NULL);
    link_insert(link);
    thread_begin(asking_thread, link);
    thread_begin(waiting_thread, link);
    return link;
}

static int64_t namespace_of(handle_t port)
{
    int64_t namespace = sys_namespace_create(HANDLE_SELF, NAMESPACE_EMPTY);
    if (namespace < 0)
        return namespace;
    int64_t result =
        sys_namespace_bind((handle_t) namespace, DRIVER_SCHEME, strlen(DRIVER_SCHEME), port);
    if (result < 0)
        handle_drop((handle_t) namespace);
    return result < 0 ? result : namespace;
}

int64_t links_attach(const char *function, handle_t port)
{
    int64_t namespace = namespace_of(port);
    if (namespace < 0)
        return namespace;
    pthread_mutex_lock(&links_lock);
    struct link *link = link_find(function);
    if (!link)
        link = link_create(function);
    if (link) {
        expected_add(function);
        handle_drop(link->shown);
        link->shown = (handle_t) namespace;
    }
    pthread_mutex_unlock(&links_lock);
    if (!link)
        handle_drop((handle_t) namespace);
    return link ? 0 : -E_NO_MEMORY;
}

static int64_t want_add(struct link *link, enum want_kind kind, const char *path, uint32_t flags,
                        uint64_t token)
{
    struct want *want = calloc(1, sizeof(*want));
    if (!want)
        return -E_NO_MEMORY;
    want->kind = kind;
    want->token = token;
    want->flags = flags;
    snprintf(want->path, sizeof(want->path), "%s", path);
    list_append(&link->wants, &want->link);
    pthread_cond_signal(&link->wanted);
    return 0;
}

int64_t link_open(struct link *link, const char *path, uint32_t flags, uint64_t token)
{
    return want_add(link, WANT_OPEN, path, flags, token);
}

int64_t link_rescan(struct link *link, uint64_t token)
{
    return want_add(link, WANT_SCAN, "", 0, token);
}
