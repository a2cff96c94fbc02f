/* Streams: see stream.c. */
#pragma once

#include "kernel/object.h"

/* HANDLE_FLAG_* of one end: the old ones; those under mask are set to value. */
uint32_t stream_flags(struct object *object, uint32_t mask, uint32_t value);
