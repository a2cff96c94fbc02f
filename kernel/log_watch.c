/* Whoever follows the log: see log.h. Apart from log.c, which is there before objects are, and needs none. */
#include "abi/abi.h"
#include "kernel/log.h"
#include "kernel/object.h"

static struct object *watched; /* set once, before there is a process */

void log_watch(struct object *object)
{
    object_get(object);
    watched = object;
}

bool log_tell(void)
{
    if (!watched || !log_news())
        return false;
    object_signal(watched, SIGNAL_READABLE, 0);
    return true;
}
