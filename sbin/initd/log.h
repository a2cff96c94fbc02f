/* log://: the kernel's and the services' log, and log:///status. A file is what it was when it was opened. */
#pragma once

#include "lib/sys/service.h"

extern command_handler *const log_operations[SERVICE_OPERATIONS];
void log_closed(void *context, uint64_t cookie);
