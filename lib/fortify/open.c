/* glibc's open variants in Debian's static libraries; with musl's 64-bit off_t they are the plain calls. */
#include <fcntl.h>
#include <stdarg.h>

#pragma GCC diagnostic ignored "-Wmissing-prototypes"

#undef fcntl64

int __open_2(const char *path, int flags)
{
    return open(path, flags);
}

int __open64_2(const char *path, int flags)
{
    return open(path, flags);
}

int fcntl64(int fd, int command, ...)
{
    va_list arguments;
    va_start(arguments, command);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    return fcntl(fd, command, argument);
}
