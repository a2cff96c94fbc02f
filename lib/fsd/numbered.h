/* What a command with a number (abi/ops.def) has done. */
#pragma once

#include <stdint.h>

struct numbered {
    uint64_t number;       /* 0: none */
    uint64_t done, offset; /* of an append: so many bytes are there, and the next one's place */
};
