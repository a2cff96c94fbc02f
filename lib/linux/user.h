/* The program's memory. Its pointers are never followed but by these: a fault in them ends at their fix-up
 * (entry.S, exception.c) and they return -E_FAULT. */
#pragma once

#include "abi/errors.h"
#include "abi/startup.h"
#include "lib/base/base.h"

#define USER_MEMORY_END \
    PERSONALITY_TEXT /* guards against accidents: programs have no business above it */

int64_t user_copy(void *to, const void *from, size_t length) MUST_CHECK;
int64_t user_copy_string(char *to, const char *from, size_t room) MUST_CHECK;

static inline bool user_range(uint64_t address, uint64_t length)
{
    return address < USER_MEMORY_END && length <= USER_MEMORY_END - address;
}

static inline MUST_CHECK int user_read(void *to, uint64_t from, size_t length)
{
    return user_range(from, length) ? (int)user_copy(to, (const void *)from, length) : -E_FAULT;
}

static inline MUST_CHECK int user_write(uint64_t to, const void *from, size_t length)
{
    return user_range(to, length) ? (int)user_copy((void *)to, from, length) : -E_FAULT;
}

static inline MUST_CHECK int user_put_u32(uint64_t to, uint32_t value)
{
    int error = 0;

    if (!user_range(to, sizeof(value)))
        return -E_FAULT;
    __asm__ volatile("1: movl %2, (%1)\n"
                     "2:\n"
                     ".pushsection .text.fixup, \"ax\"\n"
                     "3: movl %3, %0\n"
                     "   jmp 2b\n"
                     ".popsection\n"
                     ".pushsection .exception_table, \"a\"\n"
                     ".quad 1b, 3b\n"
                     ".popsection"
                     : "+r"(error)
                     : "r"(to), "r"(value), "i"(-E_FAULT)
                     : "memory");
    return error;
}

static inline MUST_CHECK int user_put_u64(uint64_t to, uint64_t value)
{
    int error = 0;

    if (!user_range(to, sizeof(value)))
        return -E_FAULT;
    __asm__ volatile("1: movq %2, (%1)\n"
                     "2:\n"
                     ".pushsection .text.fixup, \"ax\"\n"
                     "3: movl %3, %0\n"
                     "   jmp 2b\n"
                     ".popsection\n"
                     ".pushsection .exception_table, \"a\"\n"
                     ".quad 1b, 3b\n"
                     ".popsection"
                     : "+r"(error)
                     : "r"(to), "r"(value), "i"(-E_FAULT)
                     : "memory");
    return error;
}

/* Two words side by side: a struct timespec, without the cost of a copy. */
static inline MUST_CHECK int user_put_pair(uint64_t to, uint64_t first, uint64_t second)
{
    int error = 0;

    if (!user_range(to, 2 * sizeof(first)))
        return -E_FAULT;
    __asm__ volatile("1: movq %2, (%1)\n"
                     "2: movq %3, 8(%1)\n"
                     "3:\n"
                     ".pushsection .text.fixup, \"ax\"\n"
                     "4: movl %4, %0\n"
                     "   jmp 3b\n"
                     ".popsection\n"
                     ".pushsection .exception_table, \"a\"\n"
                     ".quad 1b, 4b, 2b, 4b\n"
                     ".popsection"
                     : "+r"(error)
                     : "r"(to), "r"(first), "r"(second), "i"(-E_FAULT)
                     : "memory");
    return error;
}

static inline MUST_CHECK int user_get_u64(uint64_t from, uint64_t *value)
{
    return user_read(value, from, sizeof(*value));
}
