/* See wall.h. The lock is for two threads: one sets, the other reads the machine's clock for people. */
#include "sbin/timed/wall.h"

#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include "lib/sys/clock.h"
#include "lib/sys/error.h"
#include "lib/sys/keep.h"
#include "lib/sys/startup.h"
#include "sbin/timed/cmos.h"
#include "sbin/timed/date.h"

#define SECOND        INT64_C(1000000000)
#define TICKS         3
#define TICK_PATIENCE (TICKS * SECOND + SECOND)
#define TICK_GAIN     (SECOND / 1000) /* less is not worth a step */
#define WRITE_LATE    (SECOND / 10)
#define WRITE_TRIES   5
#define SLEW_MAX      (1000000 * SECOND)

enum wall_state { WALL_IDLE, WALL_SETTLING, WALL_WRITING };

static struct {
    pthread_mutex_t lock;
    handle_t clock, irq;
    bool machine; /* has a clock */
    uint32_t *stale;
    enum wall_state state;
    int64_t due;
    int left; /* ticks or tries */
} wall = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool real_known(void)
{
    return __atomic_load_n(&clock_page()->steps, __ATOMIC_RELAXED) != 0;
}

/* --- The machine's clock is written. With the lock --------------------------------------------------------------------- */

/* At the next half of a second. */
static void write_plan(void)
{
    int64_t now, real = clock_realtime_at(&now);
    wall.due = now + (SECOND / 2 + SECOND - real % SECOND) % SECOND;
}

static void write_begin(void)
{
    if (!wall.machine)
        return;
    if (wall.state == WALL_SETTLING)
        cmos_tick(false);
    keep_commit(wall.stale, 1);
    wall.state = WALL_WRITING;
    wall.left = WRITE_TRIES;
    write_plan();
}

static void write_now(void)
{
    int64_t real = clock_realtime(), late = real % SECOND - SECOND / 2;
    if ((late < 0 || late > WRITE_LATE) && --wall.left > 0) {
        write_plan();
        return;
    }
    cmos_write(real / SECOND);
    keep_commit(wall.stale, 0);
    wall.state = WALL_IDLE;
}

/* --- Real time is taken from it. With the lock ------------------------------------------------------------------------- */

static bool irq_start(handle_t port)
{
    wall.irq = startup_handle("irq:8");
    return wall.irq != HANDLE_NONE &&
           sys_port_bind(port, wall.irq, SIGNAL_READABLE, WALL_IRQ_KEY, 0) >= 0 &&
           sys_irq_ack(wall.irq, 0) >= 0;
}

static void settle(handle_t port)
{
    char text[DATE_TEXT];
    int64_t seconds;
    int64_t result = cmos_read(&seconds);
    if (result >= 0)
        result = sys_clock_set(wall.clock, CLOCK_STEP, seconds * SECOND, clock_monotonic());
    if (result < 0) {
        fprintf(stderr, "the clock of the machine shows no time (%s): real time counts from 1970\n",
                error_text(result));
        return;
    }
    date_write(text, seconds);
    fprintf(stderr, "it is %s by the clock of the machine\n", text);
    if (!irq_start(port)) {
        fprintf(stderr, "was not given its interrupt: real time is late by up to a second\n");
        return;
    }
    wall.state = WALL_SETTLING;
    wall.left = TICKS;
    wall.due = clock_monotonic() + TICK_PATIENCE;
    cmos_tick(true);
}

static void settle_end(void)
{
    cmos_tick(false);
    wall.state = WALL_IDLE;
}

/* A second began at `now`, or some time before. */
static void settle_tick(int64_t now)
{
    int64_t seconds, then, real = clock_realtime_at(&then) + now - then;
    if (cmos_read(&seconds) == 0) {
        int64_t gain = seconds * SECOND - real;
        if (gain >= TICK_GAIN && gain < 2 * SECOND)
            sys_ignore(sys_clock_set(wall.clock, CLOCK_STEP, seconds * SECOND, now));
    }
    if (--wall.left == 0)
        settle_end();
}

/* ----------------------------------------------------------------------------------------------------------------------- */

void wall_start(handle_t clock, handle_t port, uint32_t *stale)
{
    wall.clock = clock;
    wall.stale = stale;
    wall.machine = cmos_start();
    if (!wall.machine)
        return;
    if (!real_known())
        settle(port);
    else if (*stale)
        write_begin();
}

static int64_t step_locked(int64_t real, int64_t monotonic)
{
    int64_t result = sys_clock_set(wall.clock, CLOCK_STEP, real, monotonic);
    if (result >= 0)
        write_begin();
    return result;
}

int64_t wall_step(int64_t real, int64_t monotonic)
{
    pthread_mutex_lock(&wall.lock);
    int64_t result = step_locked(real, monotonic);
    pthread_mutex_unlock(&wall.lock);
    return result;
}

int64_t wall_shift(int64_t ns)
{
    int64_t monotonic, wanted;
    pthread_mutex_lock(&wall.lock);
    int64_t real = clock_realtime_at(&monotonic);
    int64_t result =
        __builtin_add_overflow(real, ns, &wanted) ? -E_INVALID : step_locked(wanted, monotonic);
    pthread_mutex_unlock(&wall.lock);
    return result;
}

int64_t wall_slew(int64_t ns)
{
    const int64_t rate = ((int64_t)TIME_SLEW_PPM << TIME_RATE_SHIFT) / 1000000;
    if (ns < -SLEW_MAX || ns > SLEW_MAX)
        return -E_INVALID;
    int64_t time = (int64_t)(((__int128)(ns < 0 ? -ns : ns) << TIME_RATE_SHIFT) / rate);
    return sys_clock_set(wall.clock, CLOCK_SLEW, ns < 0 ? -rate : ns ? rate : 0, time);
}

int64_t wall_frequency(int64_t value)
{
    if (value < -TIME_FREQUENCY_MAX || value > TIME_FREQUENCY_MAX)
        return -E_INVALID;
    return sys_clock_set(wall.clock, CLOCK_FREQUENCY,
                         value * (INT64_C(1) << (TIME_RATE_SHIFT - 16)) / 1000000, 0);
}

bool wall_has_machine(void)
{
    return wall.machine;
}

int64_t wall_machine(int64_t *seconds)
{
    if (!wall.machine)
        return -E_NOT_FOUND;
    pthread_mutex_lock(&wall.lock);
    int64_t result = cmos_read(seconds);
    pthread_mutex_unlock(&wall.lock);
    return result;
}

void wall_ticked(void)
{
    int64_t now = clock_monotonic();
    pthread_mutex_lock(&wall.lock);
    if (cmos_ticked() && wall.state == WALL_SETTLING)
        settle_tick(now);
    pthread_mutex_unlock(&wall.lock);
    sys_ignore(sys_irq_ack(wall.irq, 0));
}

int64_t wall_deadline(void)
{
    return wall.state == WALL_IDLE ? DEADLINE_NEVER : wall.due;
}

void wall_expired(void)
{
    pthread_mutex_lock(&wall.lock);
    if (wall.state != WALL_IDLE && clock_monotonic() >= wall.due) {
        if (wall.state == WALL_WRITING) {
            write_now();
        } else {
            fprintf(
                stderr,
                "the clock of the machine does not tick: real time is late by up to a second\n");
            settle_end();
        }
    }
    pthread_mutex_unlock(&wall.lock);
}

void wall_stop(void)
{
    pthread_mutex_lock(&wall.lock);
    if (wall.state == WALL_WRITING) {
        int64_t wait = MAX(wall.due - clock_monotonic(), INT64_C(0));
        struct timespec time = {.tv_sec = wait / SECOND, .tv_nsec = wait % SECOND};
        nanosleep(&time, NULL);
        wall.left = 1; /* however late */
        write_now();
    }
    pthread_mutex_unlock(&wall.lock);
}
