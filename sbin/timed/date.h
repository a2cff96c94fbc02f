/* Points in time as people write them: the proleptic Gregorian calendar, UTC. */
#pragma once

#include "lib/base/base.h"

struct date {
    int64_t year;
    unsigned month, day; /* from 1 */
    unsigned hour, minute, second;
};

#define DATE_TEXT 32u /* room for what date_write writes, years of up to six digits */

unsigned date_days_in(int64_t year, unsigned month);
unsigned date_weekday(int64_t seconds); /* 0: Sunday */

/* Seconds since 1970. Years of up to six digits. */
int64_t date_to_seconds(const struct date *date);
struct date date_of_seconds(int64_t seconds);

/* "2026-11-28T15:09:43Z"; the length. */
size_t date_write(char text[DATE_TEXT], int64_t seconds);

/* The same, with a blank or 't' for the T, the Z left out if need be, or "@" and seconds; white space around it. False: something
 * else, or before 1970. */
bool date_read(const char *text, size_t length, int64_t *seconds) MUST_CHECK;
