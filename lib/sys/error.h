/* Words for error codes: error_text(-E_NOT_FOUND) and error_text(E_NOT_FOUND) are both "no such name". */
#pragma once

#include <stdint.h>

const char *error_text(int64_t code);

/* Linux's errno for the code, by the third column of abi/errors.def. */
int error_errno(int64_t code);
