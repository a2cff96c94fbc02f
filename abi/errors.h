/* Error codes: E_<name>, from abi/errors.def. Calls return them negated. */
#pragma once

enum error {
#define ERROR(number, name, linux_errno, sentence) E_##name = (number),
#include "abi/errors.def"
#undef ERROR
};
