/* How a command ended (4.6.1): what its status means to who asked, and whether to ask again. Pure. */
#pragma once

#include "lib/base/base.h"

enum nvme_verdict {
    NVME_DONE,
    NVME_FAILED, /* with the error */
    NVME_AGAIN,  /* the controller had to leave it: the same once more */
};

/* status: of a completion, without the phase. *error: -E_*, 0 where it is done; *cause: in words, for the log. */
enum nvme_verdict nvme_status_judge(uint16_t status, int64_t *error, const char **cause);
