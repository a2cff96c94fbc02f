/* The calendar of timed, and its texts. */
// sources: sbin/timed/date.c sbin/timed/zone_name.c
#include <string.h>
#include <time.h>

#include "sbin/timed/date.h"
#include "sbin/timed/zone.h"
#include "tests/host/test.h"

static bool reads(const char *text, int64_t *seconds)
{
    return date_read(text, strlen(text), seconds);
}

static void check_text(const char *text, int64_t seconds)
{
    char written[DATE_TEXT];
    int64_t read;
    CHECK_EQUAL(date_write(written, seconds), strlen(text));
    CHECK(strcmp(written, text) == 0);
    CHECK(reads(text, &read));
    CHECK_EQUAL(read, seconds);
}

TEST(known_dates)
{
    check_text("1970-01-01T00:00:00Z", 0);
    check_text("2000-02-29T12:00:00Z", 951825600);
    check_text("2001-09-09T01:46:40Z", 1000000000);
    check_text("2038-01-19T03:14:07Z", INT32_MAX);
    check_text("2038-01-19T03:14:08Z", INT64_C(1) << 31);
    check_text("2100-02-28T23:59:59Z", 4107542399);
    check_text("2100-03-01T00:00:00Z", 4107542400); /* no leap year */
    check_text("2106-02-07T06:28:16Z", INT64_C(1) << 32);
    check_text("2400-02-29T00:00:00Z", 13574563200);
    check_text("12345-06-07T08:09:10Z", 327416976550);
}

/* Against the C library, for years before 1970, too. */
TEST(as_the_c_library)
{
    for (int64_t seconds = -INT64_C(70000000000); seconds < INT64_C(250000000000);
         seconds += 86400 * 97 + 12347) {
        time_t time = seconds;
        struct tm tm;
        struct date date = date_of_seconds(seconds);
        gmtime_r(&time, &tm);
        CHECK_EQUAL(date.year, tm.tm_year + 1900);
        CHECK_EQUAL(date.month, tm.tm_mon + 1);
        CHECK_EQUAL(date.day, tm.tm_mday);
        CHECK_EQUAL(date.hour, tm.tm_hour);
        CHECK_EQUAL(date.minute, tm.tm_min);
        CHECK_EQUAL(date.second, tm.tm_sec);
        CHECK_EQUAL(date_weekday(seconds), tm.tm_wday);
        CHECK_EQUAL(date_to_seconds(&date), seconds);
    }
}

TEST(every_day_of_four_centuries)
{
    int64_t seconds = 0;
    for (int64_t year = 1970; year < 2370; year++)
        for (unsigned month = 1; month <= 12; month++)
            for (unsigned day = 1; day <= date_days_in(year, month); day++, seconds += 86400) {
                struct date date = {.year = year, .month = month, .day = day};
                struct date back = date_of_seconds(seconds);
                CHECK_EQUAL(date_to_seconds(&date), seconds);
                CHECK(back.year == year && back.month == month && back.day == day);
            }
}

TEST(texts_that_are_dates)
{
    static const char *const same[] = {"2026-11-28T15:09:43Z", "2026-11-28 15:09:43",
                                       "2026-11-28t15:09:43z", " \t2026-11-28T15:09:43Z\r\n",
                                       "@1795878583",          "002026-11-28T15:09:43Z",
                                       "@1795878583\n",        "2026-11-28T15:09:43"};
    for (size_t i = 0; i < ARRAY_SIZE(same); i++) {
        int64_t seconds = 0;
        CHECK(reads(same[i], &seconds));
        CHECK_EQUAL(seconds, 1795878583);
    }
}

TEST(texts_that_are_none)
{
    static const char *const none[] = {"",
                                       " ",
                                       "@",
                                       "@x",
                                       "@-1",
                                       "@1234567890123",
                                       "now",
                                       "2026-11-28",
                                       "2026-11-28T15:09",
                                       "26-11-28T15:09:43Z",
                                       "1234567-11-28T15:09:43Z",
                                       "1969-12-31T23:59:59Z",
                                       "2026-00-28T15:09:43Z",
                                       "2026-13-28T15:09:43Z",
                                       "2026-11-31T15:09:43Z",
                                       "2026-02-29T15:09:43Z",
                                       "2100-02-29T15:09:43Z",
                                       "2026-11-00T15:09:43Z",
                                       "2026-11-28T24:09:43Z",
                                       "2026-11-28T15:60:43Z",
                                       "2026-11-28T15:09:60Z",
                                       "2026-11-28T15:09:43ZZ",
                                       "2026-11-28T15:09:43+01:00",
                                       "2026-11-28T15:9:43Z",
                                       "2026-11-28T15:09:043Z",
                                       "2026 11 28T15:09:43Z"};
    int64_t seconds;
    for (size_t i = 0; i < ARRAY_SIZE(none); i++)
        CHECK(!reads(none[i], &seconds));
    CHECK(!date_read("2026-11-28T15:09:43\0Z", 21, &seconds));
}

TEST(names_of_zones)
{
    static const char *const good[] = {
        "UTC",       "Europe/Berlin", "America/Argentina/Buenos_Aires",
        "Etc/GMT+5", "EST5EDT",       "NZ-CHAT"};
    static const char *const bad[] = {
        "",    "/",   "/etc/passwd", "../x", "Europe/",      "Europe//Berlin",
        "a b", "a.b", "a\n",         ":UTC", "Europe/../UTC"};
    char long_name[2 * ZONE_NAME];
    for (size_t i = 0; i < ARRAY_SIZE(good); i++)
        CHECK(zone_name_ok(good[i], strlen(good[i])));
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        CHECK(!zone_name_ok(bad[i], strlen(bad[i])));
    memset(long_name, 'a', sizeof(long_name));
    CHECK(zone_name_ok(long_name, ZONE_NAME - 1));
    CHECK(!zone_name_ok(long_name, ZONE_NAME));
    CHECK(!zone_name_ok("a\0b", 3));
}
