/* What the registers of the machine's real-time clock mean: Motorola's MC146818 and all that came after it. No ports here. */
#pragma once

#include "lib/base/base.h"

/* Registers by number. */
enum rtc_register {
    RTC_SECOND = 0,
    RTC_MINUTE = 2,
    RTC_HOUR = 4,
    RTC_WEEKDAY = 6, /* Sunday is 1 */
    RTC_DAY = 7,
    RTC_MONTH = 8,
    RTC_YEAR = 9,
    RTC_A = 10,
    RTC_B = 11,
    RTC_C = 12, /* what interrupted; reading it lets the next interrupt come */
    RTC_D = 13,
};

#define RTC_A_UPDATING 0x80u /* the others change within 244 microseconds, or right now */
#define RTC_A_DIVIDER  0x70u
#define RTC_A_RUNS \
    0x20u /* at 32,768 Hz; the next second begins half a second after it was stopped */
#define RTC_A_STOPPED   0x70u
#define RTC_B_SET       0x80u /* no update */
#define RTC_B_ENDED     0x10u /* an interrupt at the end of each update */
#define RTC_B_INTERRUPT 0x70u
#define RTC_B_BINARY    0x04u
#define RTC_B_24        0x02u
#define RTC_D_VALID     0x80u /* the battery has not failed */

#define RTC_PM 0x80u /* in RTC_HOUR, of 12 hours */

struct rtc_time {
    uint8_t second, minute, hour, weekday, day, month, year;
    uint8_t century; /* if there is a register for it; 0: none */
};

/* Years of the century there is no register for, or whose register has nonsense: 70 is 1970, 69 is 2069. */
#define RTC_YEAR_FIRST 70

/* b: register B. False: that is no time, or none after 1970. */
bool rtc_decode(const struct rtc_time *time, uint8_t b, int64_t *seconds) MUST_CHECK;
void rtc_encode(int64_t seconds, uint8_t b, struct rtc_time *time);
