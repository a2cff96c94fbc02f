/* Watchers: see watchers.h. */
#include "sbin/usbd/watchers.h"

#include <stdlib.h>

#include "lib/base/list.h"
#include "lib/sys/held.h"
#include "sbin/usbd/names.h"
#include "sbin/usbd/text.h"

struct watcher {
    struct list link;
    uint64_t file, number;
};

static struct list watchers = LIST_INIT(watchers);
static struct list waiting = LIST_INIT(waiting); /* reads; argument: where from, more: the file */
static uint32_t doubts;
static uint64_t next_number = 1;
static handle_t port;

static void watchers_wake(void)
{
    list_for_each (struct watcher, watcher, &watchers, link)
        sys_ignore(sys_file_ready(port, watcher->file, SIGNAL_READABLE, 0));
}

void watchers_start(handle_t own)
{
    port = own;
    devices_changed = watchers_wake;
}

int64_t watcher_add(uint64_t file, uint64_t *cookie)
{
    struct watcher *watcher = calloc(1, sizeof(*watcher));
    if (!watcher)
        return -E_NO_MEMORY;
    *watcher = (struct watcher){.file = file, .number = next_number++};
    list_append(&watchers, &watcher->link);
    *cookie = name_cookie(&(struct name){.node = NODE_DEVICES, .number = watcher->number});
    return 0;
}

void watcher_remove(uint64_t cookie)
{
    held_forget(&waiting, cookie);
    list_for_each (struct watcher, watcher, &watchers, link) {
        if (watcher->number != name_of_cookie(cookie).number)
            continue;
        list_remove(&watcher->link);
        free(watcher);
        return;
    }
}

/* --- doubt --- */

void watchers_doubt(void)
{
    doubts++;
}

bool watchers_in_doubt(void)
{
    return doubts;
}

static void read_end(struct held *held, const char *text, size_t length)
{
    size_t from = (size_t)MIN(held->argument, (uint64_t)length);
    size_t count = (size_t)MIN(held->length, (uint64_t)(length - from));
    sys_ignore(sys_file_ready(port, held->more[0], 0, SIGNAL_READABLE));
    held_return(held, text ? 0 : -E_NO_MEMORY, count, text + from, count);
}

void watchers_settle(void)
{
    size_t length = 0;
    if (--doubts || list_empty(&waiting))
        return;
    const char *text = text_make(&(struct name){.node = NODE_DEVICES}, &length);
    list_for_each (struct held, held, &waiting, link)
        read_end(held, text, length);
}

int64_t watcher_hold(const struct command *command)
{
    struct held *held = held_add(&waiting, command, sizeof(held->more[0]));
    if (!held)
        return -E_NO_MEMORY;
    held->argument = command->message.args[0];
    held->more[0] = command->message.file;
    return COMMAND_HELD;
}

bool watcher_cancel(uint64_t token)
{
    struct held *held = held_find(&waiting, token);
    if (held)
        held_return(held, -E_INTERRUPTED, 0, NULL, 0);
    return held;
}
