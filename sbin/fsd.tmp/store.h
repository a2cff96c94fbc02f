/* Where what must outlive the process lies: under these keys with tmp://'s port. */
#pragma once

#include "lib/sys/syscall.h"

#define STORE_KEY_ARENA   1u
#define STORE_KEY_NUMBERS 2u
#define STORE_KEY_DATA    (UINT64_C(1) << 32) /* + the inode: its bytes */

extern handle_t store_port;

/* Maps what is there, or makes it; what the process before had begun is undone. */
MUST_CHECK int64_t store_open(handle_t port);
