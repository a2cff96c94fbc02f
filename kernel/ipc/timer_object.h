/* Timer objects: see timer_object.c. */
#pragma once

#include "kernel/object.h"

/* HANDLE_FLAG_*: the old ones; those under mask are set to value. */
uint32_t timer_object_flags(struct object *object, uint32_t mask, uint32_t value);
/* Real time was set, by a step or not: those that go by it are armed anew, and told if they want to be. Lets interrupts in. */
void timer_real_changed(bool step);
