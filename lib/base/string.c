/* memcpy and its kin for freestanding code (kernel, personality): see string.h. Programs with a C library use
 * the library's.
 *
 * `rep movsq`/`rep stosq` for the body: one instruction to fetch whatever the length, and on CPUs with
 * fast strings the fastest there is without vector registers, which the kernel does not touch.
 */
#include "lib/base/string.h"

void *memcpy(void *restrict to, const void *restrict from, size_t length)
{
    void *destination = to;
    size_t words = length / 8, rest = length % 8;

    __asm__ volatile("rep movsq" : "+D"(destination), "+S"(from), "+c"(words) : : "memory");
    __asm__ volatile("rep movsb" : "+D"(destination), "+S"(from), "+c"(rest) : : "memory");
    return to;
}

void *memmove(void *to, const void *from, size_t length)
{
    if ((uintptr_t)to - (uintptr_t)from >= length)
        return memcpy(to, from, length);

    unsigned char *destination = to;
    const unsigned char *source = from;

    while (length--)
        destination[length] = source[length];
    return to;
}

void *memset(void *to, int byte, size_t length)
{
    void *destination = to;
    uint64_t pattern = (unsigned char)byte * UINT64_C(0x0101010101010101);
    size_t words = length / 8, rest = length % 8;

    __asm__ volatile("rep stosq" : "+D"(destination), "+c"(words) : "a"(pattern) : "memory");
    __asm__ volatile("rep stosb" : "+D"(destination), "+c"(rest) : "a"(pattern) : "memory");
    return to;
}

int memcmp(const void *a, const void *b, size_t length)
{
    const unsigned char *x = a, *y = b;

    for (size_t i = 0; i < length; i++)
        if (x[i] != y[i])
            return x[i] < y[i] ? -1 : 1;
    return 0;
}

size_t strlen(const char *text)
{
    size_t length = 0;

    while (text[length])
        length++;
    return length;
}
