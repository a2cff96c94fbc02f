/* What Debian's static libraries expect of glibc and musl has not: the checking variants of string and stdio
 * functions that -D_FORTIFY_SOURCE put into them. Linked only with programs that name third-party libraries.
 *
 * The checks are kept: a call that would write past the size the compiler knew ends the program.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <unistd.h>

/* The names are the compiler's; no header declares them. */
#pragma GCC diagnostic ignored "-Wmissing-prototypes"

static void check(int fits)
{
    if (!fits) {
        static const char message[] = "buffer overflow detected\n";
        (void)!write(2, message, sizeof(message) - 1);
        abort();
    }
}

void __chk_fail(void)
{
    check(0);
}

void __stack_chk_fail(void)
{
    check(0);
}

void *__memcpy_chk(void *to, const void *from, size_t length, size_t size)
{
    check(length <= size);
    return memcpy(to, from, length);
}

void *__memmove_chk(void *to, const void *from, size_t length, size_t size)
{
    check(length <= size);
    return memmove(to, from, length);
}

void *__memset_chk(void *to, int value, size_t length, size_t size)
{
    check(length <= size);
    return memset(to, value, length);
}

void __explicit_bzero_chk(void *to, size_t length, size_t size)
{
    check(length <= size);
    explicit_bzero(to, length);
}

char *__strcpy_chk(char *to, const char *from, size_t size)
{
    check(strlen(from) < size);
    return strcpy(to, from);
}

char *__stpcpy_chk(char *to, const char *from, size_t size)
{
    check(strlen(from) < size);
    return stpcpy(to, from);
}

char *__strncpy_chk(char *to, const char *from, size_t length, size_t size)
{
    check(length <= size);
    return strncpy(to, from, length);
}

char *__strcat_chk(char *to, const char *from, size_t size)
{
    check(strlen(to) + strlen(from) < size);
    return strcat(to, from);
}

char *__strncat_chk(char *to, const char *from, size_t length, size_t size)
{
    check(strlen(to) + strnlen(from, length) < size);
    return strncat(to, from, length);
}

int __vsnprintf_chk(char *to, size_t length, int flag, size_t size, const char *format,
                    va_list arguments)
{
    (void)flag;
    check(length <= size);
    return vsnprintf(to, length, format, arguments);
}

int __snprintf_chk(char *to, size_t length, int flag, size_t size, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int count = __vsnprintf_chk(to, length, flag, size, format, arguments);
    va_end(arguments);
    return count;
}

int __vsprintf_chk(char *to, int flag, size_t size, const char *format, va_list arguments)
{
    (void)flag;
    int count = vsnprintf(to, size, format, arguments);
    check(count < 0 || (size_t)count < size);
    return count;
}

int __sprintf_chk(char *to, int flag, size_t size, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int count = __vsprintf_chk(to, flag, size, format, arguments);
    va_end(arguments);
    return count;
}

int __vfprintf_chk(FILE *file, int flag, const char *format, va_list arguments)
{
    (void)flag;
    return vfprintf(file, format, arguments);
}

int __fprintf_chk(FILE *file, int flag, const char *format, ...)
{
    (void)flag;
    va_list arguments;
    va_start(arguments, format);
    int count = vfprintf(file, format, arguments);
    va_end(arguments);
    return count;
}

int __printf_chk(int flag, const char *format, ...)
{
    (void)flag;
    va_list arguments;
    va_start(arguments, format);
    int count = vprintf(format, arguments);
    va_end(arguments);
    return count;
}

ssize_t __read_chk(int fd, void *buffer, size_t length, size_t size)
{
    check(length <= size);
    return read(fd, buffer, length);
}

long __fdelt_chk(long fd)
{
    check(fd >= 0 && fd < FD_SETSIZE);
    return fd / (long)(8 * sizeof(long));
}

_Noreturn void __longjmp_chk(jmp_buf environment, int value)
{
    longjmp(environment, value);
}
