/* What the registers of a real-time clock mean. */
// sources: sbin/timed/rtc.c sbin/timed/date.c
#include "sbin/timed/rtc.h"

#include "sbin/timed/date.h"
#include "tests/host/test.h"

#define BCD_24    RTC_B_24
#define BINARY_24 (RTC_B_24 | RTC_B_BINARY)
#define BCD_12    0
#define BINARY_12 RTC_B_BINARY

static int64_t at(int64_t year, unsigned month, unsigned day, unsigned hour, unsigned minute,
                  unsigned second)
{
    struct date date = {year, month, day, hour, minute, second};
    return date_to_seconds(&date);
}

static int64_t decoded(struct rtc_time time, uint8_t b)
{
    int64_t seconds = -1;
    return rtc_decode(&time, b, &seconds) ? seconds : -1;
}

TEST(known_registers)
{
    struct rtc_time bcd = {.second = 0x43,
                           .minute = 0x09,
                           .hour = 0x15,
                           .day = 0x28,
                           .month = 0x11,
                           .year = 0x26,
                           .century = 0x20};
    struct rtc_time binary = {
        .second = 43, .minute = 9, .hour = 15, .day = 28, .month = 11, .year = 26, .century = 20};
    CHECK_EQUAL(decoded(bcd, BCD_24), at(2026, 11, 28, 15, 9, 43));
    CHECK_EQUAL(decoded(binary, BINARY_24), at(2026, 11, 28, 15, 9, 43));
    bcd.hour = 0x03 | RTC_PM;
    binary.hour = 3 | RTC_PM;
    CHECK_EQUAL(decoded(bcd, BCD_12), at(2026, 11, 28, 15, 9, 43));
    CHECK_EQUAL(decoded(binary, BINARY_12), at(2026, 11, 28, 15, 9, 43));
}

TEST(twelve_hours)
{
    static const struct {
        uint8_t bcd;
        unsigned hour;
    } hours[] = {{0x12, 0},  {0x01, 1},  {0x09, 9},  {0x11, 11},
                 {0x92, 12}, {0x81, 13}, {0x90, 22}, {0x91, 23}};
    for (size_t i = 0; i < ARRAY_SIZE(hours); i++) {
        struct rtc_time time = {.hour = hours[i].bcd, .day = 1, .month = 1, .century = 0x20};
        CHECK_EQUAL(decoded(time, BCD_12), at(2000, 1, 1, hours[i].hour, 0, 0));
    }
}

TEST(centuries)
{
    struct rtc_time time = {.day = 1, .month = 1, .year = 0x00, .century = 0x21};
    CHECK_EQUAL(decoded(time, BCD_24), at(2100, 1, 1, 0, 0, 0));
    time.century = 0x22;
    CHECK_EQUAL(decoded(time, BCD_24), at(2200, 1, 1, 0, 0, 0));
    time.year = 0x99;
    time.century = 0x19;
    CHECK_EQUAL(decoded(time, BCD_24), at(1999, 1, 1, 0, 0, 0));
    /* No register, nonsense in it, or a year that cannot be. */
    static const uint8_t none[] = {0, 0xff, 0x2a, 0x01, 0x77};
    for (size_t i = 0; i < sizeof(none); i++) {
        time.century = none[i];
        time.year = 0x69;
        CHECK_EQUAL(decoded(time, BCD_24), at(2069, 1, 1, 0, 0, 0));
        time.year = 0x70;
        CHECK_EQUAL(decoded(time, BCD_24), at(1970, 1, 1, 0, 0, 0));
    }
    time.year = 0x69;
    time.century = 0x19; /* before 1970 */
    CHECK_EQUAL(decoded(time, BCD_24), at(2069, 1, 1, 0, 0, 0));
}

TEST(nonsense)
{
    static const struct rtc_time good = {.second = 0x59,
                                         .minute = 0x59,
                                         .hour = 0x23,
                                         .day = 0x31,
                                         .month = 0x12,
                                         .year = 0x99,
                                         .century = 0x20};
    static const struct {
        size_t at;
        uint8_t value, b;
    } wrong[] = {
        {offsetof(struct rtc_time, second), 0x60, BCD_24},
        {offsetof(struct rtc_time, second), 0x5a, BCD_24},
        {offsetof(struct rtc_time, minute), 0xff, BCD_24},
        {offsetof(struct rtc_time, hour), 0x24, BCD_24},
        {offsetof(struct rtc_time, hour), 0x00, BCD_12},
        {offsetof(struct rtc_time, hour), 0x13, BCD_12},
        {offsetof(struct rtc_time, month), 0x00, BCD_24},
        {offsetof(struct rtc_time, month), 0x13, BCD_24},
        {offsetof(struct rtc_time, day), 0x00, BCD_24},
        {offsetof(struct rtc_time, day), 0x32, BCD_24},
        {offsetof(struct rtc_time, year), 0xaa, BCD_24},
    };
    struct rtc_time time;
    CHECK(decoded(good, BCD_24) > 0);
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        time = good;
        ((uint8_t *)&time)[wrong[i].at] = wrong[i].value;
        CHECK_EQUAL(decoded(time, wrong[i].b), -1);
    }
    time = (struct rtc_time){.day = 0x29, .month = 0x02, .year = 0x00, .century = 0x21};
    CHECK_EQUAL(decoded(time, BCD_24), -1); /* 2100 is no leap year */
    memset(&time, 0, sizeof(time));
    CHECK_EQUAL(decoded(time, BCD_24), -1);
    memset(&time, 0xff, sizeof(time));
    CHECK_EQUAL(decoded(time, BINARY_24), -1);
}

TEST(what_is_written_is_read)
{
    static const uint8_t modes[] = {BCD_24, BINARY_24, BCD_12, BINARY_12};
    for (size_t mode = 0; mode < sizeof(modes); mode++)
        for (int64_t seconds = 0; seconds < at(2299, 12, 31, 0, 0, 0);
             seconds += 86400 * 7 + 4321) {
            struct rtc_time time;
            rtc_encode(seconds, modes[mode], &time);
            CHECK_EQUAL(decoded(time, modes[mode]), seconds);
            CHECK(time.weekday >= 1 && time.weekday <= 7);
        }
}
