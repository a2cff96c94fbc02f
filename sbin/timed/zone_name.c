/* Names of time zones. */
#include <string.h>

#include "sbin/timed/zone.h"

static bool letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("+-_", c));
}

bool zone_name_ok(const char *name, size_t length)
{
    if (length == 0 || length >= ZONE_NAME)
        return false;
    for (size_t i = 0; i < length; i++) {
        bool within = i > 0 && i + 1 < length && name[i - 1] != '/';
        if (!letter(name[i]) && !(name[i] == '/' && within))
            return false;
    }
    return true;
}
