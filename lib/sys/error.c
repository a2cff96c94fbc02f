/* The sentences and errno numbers of abi/errors.def. */
#include "lib/sys/error.h"

#include <stddef.h>

#include "lib/base/base.h"

static const struct {
    const char *sentence;
    int linux_errno;
} errors[] = {
#define ERROR(number, name, linux_errno, sentence) [number] = {sentence, linux_errno},
#include "abi/errors.def"
#undef ERROR
};

static size_t error_index(int64_t code)
{
    uint64_t index = code < 0 ? -(uint64_t)code : (uint64_t)code;
    return index < ARRAY_SIZE(errors) && errors[index].sentence ? (size_t)index : 0;
}

const char *error_text(int64_t code)
{
    size_t index = error_index(code);
    return index ? errors[index].sentence : code == 0 ? "no error" : "unknown error";
}

int error_errno(int64_t code)
{
    size_t index = error_index(code);
    return index ? errors[index].linux_errno : 5; /* EIO */
}
