/* What handlers answer: Linux's values. Native errors (-E_*) are translated at one place. */
#pragma once

#include "abi/errors.h"
#include "lib/base/base.h"
#include "lib/linux/linux_abi.h"
#include "lib/linux/offsets.h"

/* A native result as Linux's: >= 0 unchanged; E_INTERRUPTED and E_CANCELLED become -RESTART_ALWAYS. */
int64_t answer(int64_t native) MUST_CHECK;
/* Of a call that makes a descriptor: too many handles are too many files. (E_QUOTA is EAGAIN elsewhere, as Linux says of too
 * many threads and processes.) */
int64_t answer_descriptor(int64_t native) MUST_CHECK;

static inline MUST_CHECK bool answer_is_error(int64_t value)
{
    return value < 0;
}
