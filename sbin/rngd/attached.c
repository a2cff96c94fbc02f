#include "sbin/rngd/attached.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/list.h"

struct attached {
    struct list link;
    handle_t port;
    uint64_t id;
    bool wanted;      /* SIGNAL_WRITABLE is published */
    uint64_t brought; /* bytes */
    char name[ATTACHED_NAME_MAX + 1];
};

static pthread_mutex_t lock =
    PTHREAD_MUTEX_INITIALIZER; /* of the list, and of what changes in each */
static struct list all = LIST_INIT(all);

static bool name_is_good(const char *name, size_t length)
{
    bool good = length != 0;
    for (size_t i = 0; i < length; i++)
        good &= name[i] > ' ' && name[i] <= '~' && name[i] != '/';
    return good;
}

int64_t attached_open(struct command *command, const char *name, size_t length)
{
    uint64_t flags = command->message.args[0];
    if (flags & OPEN_READ || !(flags & OPEN_WRITE))
        return -E_ACCESS;
    if (length > ATTACHED_NAME_MAX)
        return -E_TOO_LONG;
    if (!name_is_good(name, length))
        return -E_INVALID;
    struct attached *attached = calloc(1, sizeof(*attached));
    if (!attached)
        return -E_NO_MEMORY;
    attached->port = command->port;
    attached->id = command->message.file;
    attached->wanted = true;
    memcpy(attached->name, name, length);
    pthread_mutex_lock(&lock);
    list_append(&all, &attached->link);
    pthread_mutex_unlock(&lock);
    command->reply.values[0] = (uintptr_t)attached;
    command->reply.values[2] = SIGNAL_WRITABLE;
    return 0;
}

void attached_close(struct attached *attached)
{
    pthread_mutex_lock(&lock);
    list_remove(&attached->link);
    pthread_mutex_unlock(&lock);
    free(attached);
}

/* Under the lock, so that no older state is published behind a newer one. */
static void want(struct attached *attached, bool wanted)
{
    if (attached->wanted == wanted)
        return;
    attached->wanted = wanted;
    sys_ignore(sys_file_ready(attached->port, attached->id, wanted ? SIGNAL_WRITABLE : 0,
                              wanted ? 0 : SIGNAL_WRITABLE));
}

void attached_wrote(struct attached *attached, uint64_t length)
{
    pthread_mutex_lock(&lock);
    attached->brought += length;
    want(attached, false);
    pthread_mutex_unlock(&lock);
}

size_t attached_list(char *text, size_t size)
{
    size_t used = 0;
    pthread_mutex_lock(&lock);
    list_for_each (struct attached, attached, &all, link) {
        int length = snprintf(text + used, size - used, "%s %" PRIu64 "\n", attached->name,
                              attached->brought);
        if (length < 0 || (size_t)length >= size - used)
            break;
        used += (size_t)length;
    }
    pthread_mutex_unlock(&lock);
    return used;
}

void attached_ask(void)
{
    pthread_mutex_lock(&lock);
    list_for_each (struct attached, attached, &all, link)
        want(attached, true);
    pthread_mutex_unlock(&lock);
}
