/* Watchers: see watchers.h. */
#include "sbin/usbd/watchers.h"

#include <stdlib.h>

#include "lib/base/list.h"
#include "sbin/usbd/names.h"

struct watcher {
    struct list link;
    uint64_t file, number;
};

static struct list watchers = LIST_INIT(watchers);
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
    list_for_each (struct watcher, watcher, &watchers, link) {
        if (watcher->number != name_of_cookie(cookie).number)
            continue;
        list_remove(&watcher->link);
        free(watcher);
        return;
    }
}
