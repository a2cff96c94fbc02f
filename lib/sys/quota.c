/* Limits of accounts: see quota.h. */
#include "lib/sys/quota.h"

#include <string.h>

#include "lib/sys/conf.h"

#define VALUE_MAX 32u

static const char *const names[] = {
#define QUOTA(number, name, text, meaning) [number] = #text,
#include "abi/quotas.def"
#undef QUOTA
};

const char *quota_name(enum quota quota)
{
    return names[quota];
}

void quota_none(uint64_t limits[QUOTA_COUNT])
{
    for (int i = 0; i < QUOTA_COUNT; i++)
        limits[i] = QUOTA_UNLIMITED;
}

static bool parse_value(const char *text, uint64_t *value)
{
    static const char units[] = "KMG";
    char digits[VALUE_MAX];
    size_t length = strlen(text);
    const char *unit = length ? strchr(units, text[length - 1]) : NULL;
    unsigned shift = unit ? 10 * (unsigned)(unit - units + 1) : 0;

    length -= unit != NULL;
    if (length >= sizeof(digits))
        return false;
    memcpy(digits, text, length);
    digits[length] = '\0';
    if (!conf_number(digits, UINT64_MAX >> shift, value))
        return false;
    *value <<= shift;
    return true;
}

const char *quota_parse(uint64_t limits[QUOTA_COUNT], const char *name, const char *value)
{
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
        if (strcmp(name, names[i]) == 0)
            return parse_value(value, &limits[i]) ? NULL : "a limit is a number, with K, M or G";
    return "there is no such limit";
}
