#include "lib/input/driver.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/sys/clock.h"
#include "lib/sys/error.h"
#include "lib/sys/file.h"

#define BATCH   32u
#define RETRY_S 1

/* input:// may be bound late, or its service be down for longer than callers are held: asked again each second. */
static handle_t device_open(const struct input_driver *driver)
{
    handle_t file;
    while (file_open(HANDLE_SELF, driver->uri, OPEN_READ | OPEN_WRITE, &file) < 0)
        nanosleep(&(struct timespec){.tv_sec = RETRY_S}, NULL);
    return file;
}

/* The next events, where they are numbered from; waits for some. */
static size_t events_take(struct input_driver *driver, struct input_event *events, uint64_t *first)
{
    size_t count = 0;
    pthread_mutex_lock(&driver->lock);
    while (driver->sent == driver->end)
        pthread_cond_wait(&driver->more, &driver->lock);
    *first = driver->sent;
    while (count < BATCH && *first + count < driver->end) {
        events[count] = driver->ring[(*first + count) % INPUT_DRIVER_RING];
        count++;
    }
    pthread_mutex_unlock(&driver->lock);
    return count;
}

static void *send_events(void *argument)
{
    struct input_driver *driver = argument;
    struct input_event events[BATCH];
    uint64_t first;
    handle_t file = device_open(driver);
    for (;;) {
        size_t count = events_take(driver, events, &first);
        int64_t result =
            file_write(file, first * sizeof(events[0]), events, count * sizeof(events[0]));
        if (result < 0) { /* inputd was gone for too long: the events stay, a new file is opened */
            handle_drop(file);
            file = device_open(driver);
            continue;
        }
        pthread_mutex_lock(&driver->lock);
        driver->sent = first + count;
        pthread_mutex_unlock(&driver->lock);
    }
    return NULL;
}

static void *ask_for_lights(void *argument)
{
    struct input_driver *driver = argument;
    uint32_t shown = 0;
    handle_t file = device_open(driver);
    for (;;) {
        struct input_event event;
        struct abi_command command = {
            .op = OP_READ,
            .args = {shown},
            .out = (uintptr_t)&event,
            .out_length = sizeof(event),
        };
        int64_t result = file_command(file, &command);
        if (result < 0 || command.values[0] != sizeof(event)) {
            handle_drop(file);
            nanosleep(&(struct timespec){.tv_sec = RETRY_S}, NULL);
            file = device_open(driver);
            continue;
        }
        shown = (uint32_t)event.value;
        driver->lights(driver->context, shown);
    }
    return NULL;
}

int input_driver_start(struct input_driver *driver, const char *name,
                       void (*lights)(void *context, uint32_t mask), void *context)
{
    pthread_t thread;
    *driver = (struct input_driver){.lights = lights, .context = context};
    pthread_mutex_init(&driver->lock, NULL);
    pthread_cond_init(&driver->more, NULL);
    snprintf(driver->uri, sizeof(driver->uri), "input:///device/%s/%llx", name,
             (unsigned long long)clock_monotonic());
    int error = pthread_create(&thread, NULL, send_events, driver);
    if (!error)
        pthread_detach(thread);
    if (!error && lights) {
        error = pthread_create(&thread, NULL, ask_for_lights, driver);
        if (!error)
            pthread_detach(thread);
    }
    return error;
}

static void ring_put(struct input_driver *driver, uint16_t type, uint16_t code, int32_t value)
{
    driver->ring[driver->end % INPUT_DRIVER_RING] =
        (struct input_event){.time = clock_monotonic(), .type = type, .code = code, .value = value};
    driver->end++;
}

void input_driver_emit(struct input_driver *driver, uint16_t type, uint16_t code, int32_t value)
{
    pthread_mutex_lock(&driver->lock);
    uint64_t room = INPUT_DRIVER_RING - (driver->end - driver->sent);
    if (driver->lost && room >= 2) {
        ring_put(driver, INPUT_SYNC, 0, 1);
        driver->lost = false;
        room--;
    }
    if (driver->lost || room == 0)
        driver->lost = true;
    else
        ring_put(driver, type, code, value);
    pthread_cond_signal(&driver->more);
    pthread_mutex_unlock(&driver->lock);
}
