/* See answer.h: the third column of abi/errors.def. */
#include "lib/linux/answer.h"

static const uint8_t linux_errors[] = {
#define ERROR(number, name, linux_errno, sentence) [number] = (linux_errno),
#include "abi/errors.def"
#undef ERROR
};

int64_t answer(int64_t native)
{
    if (native >= 0)
        return native;
    if (native == -E_INTERRUPTED || native == -E_CANCELLED)
        return -RESTART_ALWAYS;
    uint64_t number = (uint64_t)-native;
    if (number < ARRAY_SIZE(linux_errors) && linux_errors[number])
        return -(int64_t)linux_errors[number];
    return -LINUX_EIO;
}

int64_t answer_descriptor(int64_t native)
{
    return native == -E_QUOTA ? -LINUX_EMFILE : answer(native);
}
