/* See path.h. */
#include <time.h>

#include "lib/fsd/path.h"

int64_t time_now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}
