/* The calendar by the days of four centuries, in years that begin with March: the leap day is the last of its year. */
#include "sbin/timed/date.h"

#include <stdio.h>
#include <string.h>

#define DAY           86400
#define ERA_YEARS     400
#define ERA_DAYS      146097
#define ERA_OF_1970   719468 /* days from 0000-03-01 to 1970-01-01 */
#define THURSDAY      4      /* 1970-01-01 */
#define DIGITS_AT_ALL 12     /* of "@..." */

static bool leap(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

unsigned date_days_in(int64_t year, unsigned month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month - 1] + (month == 2 && leap(year));
}

/* Rounds down. */
static int64_t divide(int64_t number, int64_t by)
{
    return number / by - (number % by < 0);
}

unsigned date_weekday(int64_t seconds)
{
    return (unsigned)(((divide(seconds, DAY) + THURSDAY) % 7 + 7) % 7);
}

int64_t date_to_seconds(const struct date *date)
{
    int64_t year = date->year - (date->month <= 2), era = divide(year, ERA_YEARS);
    int64_t in_era = year - era * ERA_YEARS, month = (date->month + 9) % 12;
    int64_t days = era * ERA_DAYS + in_era * 365 + in_era / 4 - in_era / 100 +
                   (153 * month + 2) / 5 + date->day - 1 - ERA_OF_1970;
    return days * DAY + date->hour * 3600 + date->minute * 60 + date->second;
}

struct date date_of_seconds(int64_t seconds)
{
    int64_t days = divide(seconds, DAY), of_day = seconds - days * DAY;
    int64_t era = divide(days + ERA_OF_1970, ERA_DAYS);
    int64_t in_era = days + ERA_OF_1970 - era * ERA_DAYS;
    int64_t year = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    int64_t of_year = in_era - (365 * year + year / 4 - year / 100);
    int64_t month = (5 * of_year + 2) / 153;
    return (struct date){
        .year = year + era * ERA_YEARS + (month >= 10),
        .month = (unsigned)(month < 10 ? month + 3 : month - 9),
        .day = (unsigned)(of_year - (153 * month + 2) / 5 + 1),
        .hour = (unsigned)(of_day / 3600),
        .minute = (unsigned)(of_day / 60 % 60),
        .second = (unsigned)(of_day % 60),
    };
}

size_t date_write(char text[DATE_TEXT], int64_t seconds)
{
    struct date date = date_of_seconds(seconds);
    int length = snprintf(text, DATE_TEXT, "%04lld-%02u-%02uT%02u:%02u:%02uZ", (long long)date.year,
                          date.month, date.day, date.hour, date.minute, date.second);
    return length < 0 ? 0 : MIN((size_t)length, (size_t)DATE_TEXT - 1);
}

/* --- Reading ---------------------------------------------------------------------------------------------------------- */

struct text {
    const char *at, *end;
};

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool skip(struct text *text, const char *one_of)
{
    bool there = text->at < text->end && *text->at && strchr(one_of, *text->at);
    text->at += there;
    return there;
}

/* Of least to most digits. */
static bool number(struct text *text, int least, int most, int64_t *value)
{
    int digits = 0;
    for (*value = 0; text->at < text->end && *text->at >= '0' && *text->at <= '9'; text->at++)
        if (++digits <= most)
            *value = *value * 10 + (*text->at - '0');
    return digits >= least && digits <= most;
}

static bool two(struct text *text, unsigned low, unsigned high, unsigned *value)
{
    int64_t found;
    if (!number(text, 2, 2, &found))
        return false;
    *value = (unsigned)found;
    return *value >= low && *value <= high;
}

static bool date_and_time(struct text *text, struct date *date)
{
    return number(text, 4, 6, &date->year) && date->year >= 1970 && skip(text, "-") &&
           two(text, 1, 12, &date->month) && skip(text, "-") &&
           two(text, 1, date_days_in(date->year, date->month), &date->day) && skip(text, "Tt ") &&
           two(text, 0, 23, &date->hour) && skip(text, ":") && two(text, 0, 59, &date->minute) &&
           skip(text, ":") && two(text, 0, 59, &date->second);
}

bool date_read(const char *bytes, size_t length, int64_t *seconds)
{
    struct text text = {bytes, bytes + length};
    struct date date;
    while (text.at < text.end && blank(*text.at))
        text.at++;
    while (text.at < text.end && blank(text.end[-1]))
        text.end--;
    if (skip(&text, "@")) {
        if (!number(&text, 1, DIGITS_AT_ALL, seconds))
            return false;
    } else {
        if (!date_and_time(&text, &date))
            return false;
        skip(&text, "Zz");
        *seconds = date_to_seconds(&date);
    }
    return text.at == text.end;
}
