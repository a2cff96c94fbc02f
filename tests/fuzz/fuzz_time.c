/* A real-time clock that shows anything, and people who write anything to clock://. */
// sources: sbin/timed/rtc.c sbin/timed/date.c sbin/timed/zone_name.c
#include <stdlib.h>
#include <string.h>

#include "sbin/timed/date.h"
#include "sbin/timed/rtc.h"
#include "sbin/timed/zone.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was read is written as the same. */
static void check(int64_t seconds)
{
    char text[DATE_TEXT];
    int64_t again;
    size_t length = date_write(text, seconds);
    if (!date_read(text, length, &again) || again != seconds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rtc_time time;
    int64_t seconds, again;
    if (size > sizeof(time)) {
        uint8_t b = data[sizeof(time)];
        memcpy(&time, data, sizeof(time));
        if (rtc_decode(&time, b, &seconds)) {
            check(seconds);
            rtc_encode(seconds, b, &time);
            if (!rtc_decode(&time, b, &again) || again != seconds)
                abort();
        }
    }
    if (date_read((const char *)data, size, &seconds) && seconds < INT64_C(30000000000000))
        check(seconds);
    if (zone_name_ok((const char *)data, size) && memchr(data, '.', size))
        abort();
    return 0;
}
