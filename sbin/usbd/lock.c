/* Waiting: see lock.h. */
#include "sbin/usbd/lock.h"

#include <pthread.h>
#include <time.h>

#include "lib/sys/clock.h"
#include "lib/sys/wait.h"

#define SECOND INT64_C(1000000000)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed;

__attribute__((constructor)) static void changed_init(void)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&changed, &attributes);
}

void usbd_lock(void)
{
    pthread_mutex_lock(&lock);
}

void usbd_unlock(void)
{
    pthread_mutex_unlock(&lock);
}

void usbd_changed(void)
{
    pthread_cond_broadcast(&changed);
}

bool usbd_wait(int64_t deadline)
{
    if (deadline == DEADLINE_NEVER)
        return pthread_cond_wait(&changed, &lock) == 0;
    struct timespec until = {.tv_sec = deadline / SECOND, .tv_nsec = deadline % SECOND};
    return pthread_cond_timedwait(&changed, &lock, &until) == 0;
}

void usbd_sleep(int64_t nanoseconds)
{
    usbd_unlock();
    sleep_until(clock_monotonic() + nanoseconds);
    usbd_lock();
}
