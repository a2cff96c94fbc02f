/* Listeners: where streams are connected to. See stream_listen.c. */
#pragma once

#include "kernel/ipc/stream.h"

/* Of an accepting end; NULL: the object is a connecting one. */
struct vessel *listener_vessel(struct object *object);
/* HANDLE_FLAG_* of an accepting end: the old ones; those under mask are set to value. A connecting one has none to set, for
 * many may hold it: E_WRONG_TYPE. */
int64_t listener_flags(struct object *object, uint32_t mask, uint32_t value);
