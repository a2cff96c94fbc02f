/* What a driver opens at a service that merges what many bring (input://, serial://): "<name>/<life>".
 *
 * The name says where its device is, and is the same when that comes back. The life, in hexadecimal, is one of a process, so the service
 * knows who sends again from who begins anew.
 */
#pragma once

#include "lib/base/base.h"

#define LIFE_NAME_SIZE 32u

/* False: it is none. */
MUST_CHECK bool life_read(const char *path, size_t length, char name[LIFE_NAME_SIZE],
                          uint64_t *life);
