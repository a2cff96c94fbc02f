/* The number in a terminal's name: decimal, as short as it can be. */
#pragma once

#include <string.h>

#include "lib/sys/conf.h"

static inline bool number_read(const char *digits, size_t length, uint32_t *number)
{
    char text[12] = "";
    uint64_t value;
    if (length == 0 || length >= sizeof(text) || (digits[0] == '0' && length > 1))
        return false;
    memcpy(text, digits, length);
    if (!conf_number(text, UINT32_MAX, &value))
        return false;
    *number = (uint32_t)value;
    return true;
}
