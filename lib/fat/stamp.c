/* See stamp.h. */
#include "lib/fat/stamp.h"

#define NS         INT64_C(1000000000)
#define DAY        INT64_C(86400)
#define YEAR_FIRST 1980
#define FIRST      INT64_C(315532800)  /* 1980-01-01 in seconds since 1970 */
#define LAST       INT64_C(4354819199) /* 2107-12-31 23:59:59 */

/* Days since 1970 of a date, in years that begin in March so that the leap day is their last. */
static int64_t days_of(int32_t year, int32_t month, int32_t day)
{
    int32_t y = month > 2 ? year : year - 1, m = month > 2 ? month - 3 : month + 9;
    return 365 * (int64_t)y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

struct parts {
    uint16_t date, time;
    uint8_t ms10; /* of the two seconds */
};

static struct parts split(const struct fat_volume *volume, int64_t when)
{
    int64_t seconds = when / NS - (when % NS < 0);
    int64_t rest = when - seconds * NS;
    seconds += (int64_t)volume->config.zone_minutes * 60;
    if (seconds < FIRST || seconds > LAST) {
        seconds = seconds < FIRST ? FIRST : LAST;
        rest = 0;
    }
    int64_t days = seconds / DAY, second = seconds % DAY;
    int32_t year = (int32_t)(days / 366) + 1970, month = 12;
    while (days_of(year + 1, 1, 1) <= days)
        year++;
    while (days_of(year, month, 1) > days)
        month--;
    int32_t day = (int32_t)(days - days_of(year, month, 1)) + 1;
    return (struct parts){
        .date = (uint16_t)((year - YEAR_FIRST) << 9 | month << 5 | day),
        .time = (uint16_t)(second / 3600 << 11 | second / 60 % 60 << 5 | second % 60 / 2),
        .ms10 = (uint8_t)(second % 2 * 100 + rest / 10000000),
    };
}

void stamp_created(const struct fat_volume *volume, struct slot *entry, int64_t when)
{
    if (when == STAMP_NONE)
        return;
    struct parts parts = split(volume, when);
    entry->created_date = parts.date;
    entry->created_time = parts.time;
    entry->created_10ms = parts.ms10;
}

void stamp_accessed(const struct fat_volume *volume, struct slot *entry, int64_t when)
{
    if (when != STAMP_NONE)
        entry->accessed_date = split(volume, when).date;
}

void stamp_modified(const struct fat_volume *volume, struct slot *entry, int64_t when)
{
    if (when == STAMP_NONE)
        return;
    struct parts parts = split(volume, when);
    entry->modified_date = parts.date;
    entry->modified_time = parts.time;
}

int64_t stamp_read(const struct fat_volume *volume, uint16_t date, uint16_t time, uint8_t ms10)
{
    int32_t month = date >> 5 & 15, day = date & 31;
    int32_t hour = time >> 11, minute = time >> 5 & 63, second = (time & 31) * 2;
    if (month < 1 || month > 12 || !day || hour > 23 || minute > 59 || second > 59 || ms10 > 199)
        return 0;
    int64_t seconds = days_of(YEAR_FIRST + (date >> 9), month, day) * DAY + hour * 3600 +
                      minute * 60 + second - (int64_t)volume->config.zone_minutes * 60;
    return seconds * NS + (int64_t)ms10 * 10000000;
}
