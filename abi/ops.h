/* Operation numbers: OP_<name>, from abi/ops.def. */
#pragma once

enum op {
#define OP(number, name, replay, meaning) OP_##name = (number),
#include "abi/ops.def"
#undef OP
    OP_PROTOCOL = 0x100,        /* the first of a protocol's own operations, which are ONCE */
    OP_PROTOCOL_REPLAY = 0x200, /* ... and of its own that are REPLAY */
};

/* Set in each number of a command, and in no flags that may stand in its place. */
#define COMMAND_NUMBER 0x1u
