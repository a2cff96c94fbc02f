/* Between a controller's start and its work. */
#pragma once

#include "sbin/usbd/controller.h"

/* Serves the events that are there, under the lock; false: there was nothing. */
bool controller_events(struct controller *controller);
