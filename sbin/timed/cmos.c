/* See cmos.h. The registers must not be read while they change: RTC_A says when that is near, and two readings in a row that agree
 * show that it was not. */
#include "sbin/timed/cmos.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/sys/ports.h"
#include "lib/sys/startup.h"
#include "lib/sys/syscall.h"
#include "sbin/timed/rtc.h"

#define PORT_INDEX 0x70u /* bit 7 would hold back NMIs */
#define PORT_DATA  0x71u

#define LAST_REGISTER 0x7fu
#define UPDATE_NS     3000000 /* longer than an update and what is announced of it: 2.228 ms */
#define ATTEMPTS      5

static uint8_t century; /* its register; 0: none */

static uint8_t get(uint8_t number)
{
    port_write(PORT_INDEX, 1, number);
    return (uint8_t)port_read(PORT_DATA, 1);
}

static void put(uint8_t number, uint8_t value)
{
    port_write(PORT_INDEX, 1, number);
    port_write(PORT_DATA, 1, value);
}

static struct rtc_time time_get(void)
{
    return (struct rtc_time){
        .second = get(RTC_SECOND),
        .minute = get(RTC_MINUTE),
        .hour = get(RTC_HOUR),
        .day = get(RTC_DAY),
        .month = get(RTC_MONTH),
        .year = get(RTC_YEAR),
        .century = century ? get(century) : 0,
    };
}

int cmos_read(int64_t *seconds)
{
    static const struct timespec update = {.tv_nsec = UPDATE_NS};
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        if (!(get(RTC_A) & RTC_A_UPDATING)) {
            struct rtc_time first = time_get(), second = time_get();
            if (!(get(RTC_A) & RTC_A_UPDATING) && memcmp(&first, &second, sizeof(first)) == 0)
                return rtc_decode(&first, get(RTC_B), seconds) ? 0 : -E_BAD_FORMAT;
        }
        nanosleep(&update, NULL);
    }
    return -E_IO;
}

void cmos_tick(bool on)
{
    uint8_t b = get(RTC_B) & (uint8_t)~RTC_B_INTERRUPT;
    put(RTC_B, on ? b | RTC_B_ENDED : b);
    get(RTC_C);
}

bool cmos_ticked(void)
{
    return get(RTC_C) & RTC_B_ENDED;
}

/* The order of Linux, and of the data sheet: no updates, the divider reset; the time; updates on, the divider let go. */
void cmos_write(int64_t seconds)
{
    uint8_t a = get(RTC_A), b = get(RTC_B);
    struct rtc_time time;
    rtc_encode(seconds, b, &time);
    put(RTC_B, b | RTC_B_SET);
    put(RTC_A, a | RTC_A_STOPPED);
    put(RTC_SECOND, time.second);
    put(RTC_MINUTE, time.minute);
    put(RTC_HOUR, time.hour);
    put(RTC_WEEKDAY, time.weekday);
    put(RTC_DAY, time.day);
    put(RTC_MONTH, time.month);
    put(RTC_YEAR, time.year);
    if (century)
        put(century, time.century);
    put(RTC_B, b & (uint8_t)~RTC_B_SET);
    put(RTC_A, (a & (uint8_t) ~(RTC_A_UPDATING | RTC_A_DIVIDER)) | RTC_A_RUNS);
}

/* A bus without a device reads as ones. */
static bool anything_there(void)
{
    for (uint8_t number = RTC_SECOND; number <= RTC_D; number++)
        if (get(number) != 0xff)
            return true;
    return false;
}

bool cmos_start(void)
{
    struct abi_system_info info = {0};
    uint32_t index = 0;
    const char *rest;
    handle_t ports = startup_handle_next("ioport:", &index, &rest);
    if (sys_system_info(&info, sizeof(info)) >= 0 && info.rtc_absent) {
        fprintf(stderr, "this machine says that it has no clock of its own\n");
        return false;
    }
    if (ports == HANDLE_NONE || sys_ioport_grant(ports) < 0) {
        fprintf(stderr, "was not given the ports of the machine's clock\n");
        return false;
    }
    if (info.rtc_century > RTC_D && info.rtc_century <= LAST_REGISTER)
        century = (uint8_t)info.rtc_century;
    if (!anything_there()) {
        fprintf(stderr, "this machine has no clock of its own\n");
        return false;
    }
    if (!(get(RTC_D) & RTC_D_VALID))
        fprintf(stderr, "the battery of the machine's clock is empty: it may be wrong\n");
    return true;
}
