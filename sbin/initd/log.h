/* log:// (abi/log.h): the kernel's and the services' log, and log:///status. A file is what it was when it was opened, but for
 * log:///console. */
#pragma once

#include "lib/sys/service.h"

extern command_handler *const log_operations[SERVICE_OPERATIONS];
void log_cancelled(void *context, uint64_t token);
void log_closed(void *context, uint64_t cookie);

#define LOG_KEY (UINT64_C(3) << 32) /* of the kernel's log, as a notification */

void log_start(handle_t own);
void log_grown(void);
