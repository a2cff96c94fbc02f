/* Listeners: where streams are connected to. See stream_listen.c. */
#pragma once

#include "kernel/ipc/stream.h"

/* Of an accepting end; NULL: the object is a connecting one. */
struct vessel *listener_vessel(struct object *object);
