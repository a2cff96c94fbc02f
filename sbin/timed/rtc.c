/* See rtc.h. */
#include "sbin/timed/rtc.h"

#include "sbin/timed/date.h"

/* Two digits, or a byte. */
static bool plain(uint8_t value, uint8_t b, unsigned low, unsigned high, unsigned *number)
{
    if (b & RTC_B_BINARY)
        *number = value;
    else if ((value & 0x0f) <= 9 && value <= 0x99)
        *number = (value >> 4) * 10u + (value & 0x0f);
    else
        return false;
    return *number >= low && *number <= high;
}

static uint8_t coded(unsigned number, uint8_t b)
{
    return (uint8_t)(b & RTC_B_BINARY ? number : number / 10 << 4 | number % 10);
}

/* 12 hours: 12 is the first of each half of the day. */
static bool hour_decode(uint8_t value, uint8_t b, unsigned *hour)
{
    if (b & RTC_B_24)
        return plain(value, b, 0, 23, hour);
    if (!plain(value & (uint8_t)~RTC_PM, b, 1, 12, hour))
        return false;
    *hour = *hour % 12 + (value & RTC_PM ? 12 : 0);
    return true;
}

static uint8_t hour_encode(unsigned hour, uint8_t b)
{
    if (b & RTC_B_24)
        return coded(hour, b);
    return coded((hour + 11) % 12 + 1, b) | (hour >= 12 ? RTC_PM : 0);
}

bool rtc_decode(const struct rtc_time *time, uint8_t b, int64_t *seconds)
{
    struct date date = {0};
    unsigned year, century;
    if (!plain(time->second, b, 0, 59, &date.second) ||
        !plain(time->minute, b, 0, 59, &date.minute) || !hour_decode(time->hour, b, &date.hour) ||
        !plain(time->month, b, 1, 12, &date.month) || !plain(time->year, b, 0, 99, &year))
        return false;
    if (!plain(time->century, b, 19, 22, &century) || century * 100 + year < 1970)
        century = year < RTC_YEAR_FIRST ? 20 : 19;
    date.year = century * 100 + year;
    if (!plain(time->day, b, 1, date_days_in(date.year, date.month), &date.day))
        return false;
    *seconds = date_to_seconds(&date);
    return true;
}

void rtc_encode(int64_t seconds, uint8_t b, struct rtc_time *time)
{
    struct date date = date_of_seconds(seconds);
    *time = (struct rtc_time){
        .second = coded(date.second, b),
        .minute = coded(date.minute, b),
        .hour = hour_encode(date.hour, b),
        .weekday = (uint8_t)(date_weekday(seconds) + 1),
        .day = coded(date.day, b),
        .month = coded(date.month, b),
        .year = coded((unsigned)(date.year % 100), b),
        .century = coded((unsigned)(date.year / 100), b),
    };
}
