#include "lib/serial/driver.h"

#include <stdio.h>

#include "lib/sys/clock.h"
#include "lib/sys/file.h"
#include "lib/sys/wait.h"

#define RETRY_NS INT64_C(1000000000)
#define UNIT     sizeof(uint16_t)

/* serial:// may be bound late, or its service be down for longer than callers are held: asked again each second. */
static handle_t file_of(struct serial_driver *driver)
{
    pthread_mutex_lock(&driver->lock);
    while (driver->file == HANDLE_NONE &&
           file_open(HANDLE_SELF, driver->uri, OPEN_READ | OPEN_WRITE, &driver->file) < 0) {
        driver->file = HANDLE_NONE;
        sleep_until(clock_monotonic() + RETRY_NS);
    }
    handle_t file = driver->file;
    pthread_mutex_unlock(&driver->lock);
    return file;
}

/* One that does not work any more: the next to need it opens another. */
static void file_drop(struct serial_driver *driver, handle_t file)
{
    pthread_mutex_lock(&driver->lock);
    if (driver->file == file) {
        handle_drop(file);
        driver->file = HANDLE_NONE;
    }
    pthread_mutex_unlock(&driver->lock);
    sleep_until(clock_monotonic() + RETRY_NS);
}

/* Until somebody answered. */
static int64_t ask(struct serial_driver *driver, const struct abi_command *command, uint64_t *value)
{
    for (;;) {
        struct abi_command copy = *command;
        handle_t file = file_of(driver);
        int64_t result = file_command(file, &copy);
        if (result >= 0)
            *value = copy.values[0];
        if (result >= 0 || result == -E_CLOSED)
            return result;
        file_drop(driver, file);
    }
}

void serial_driver_start(struct serial_driver *driver, const char *name)
{
    *driver = (struct serial_driver){.file = HANDLE_NONE};
    pthread_mutex_init(&driver->lock, NULL);
    pthread_mutex_init(&driver->receiving, NULL);
    snprintf(driver->uri, sizeof(driver->uri), "serial:///%s/%llx", name,
             (unsigned long long)clock_monotonic());
    (void)file_of(driver);
}

int64_t serial_driver_received(struct serial_driver *driver, const uint16_t *units, size_t count)
{
    int64_t result = 0;
    pthread_mutex_lock(&driver->receiving);
    while (count && result >= 0) {
        struct abi_command command = {.op = OP_WRITE,
                                      .args = {driver->received * UNIT},
                                      .in = (uintptr_t)units,
                                      .in_length = count * UNIT};
        uint64_t taken = 0;
        result = ask(driver, &command, &taken);
        taken = MIN(taken / UNIT, (uint64_t)count);
        driver->received += taken;
        units += taken;
        count -= taken;
    }
    pthread_mutex_unlock(&driver->receiving);
    return result;
}

int64_t serial_driver_next(struct serial_driver *driver, struct serial_work *work)
{
    struct abi_command command = {.op = SERIAL_NEXT,
                                  .args = {driver->sent, driver->in_force, driver->impossible},
                                  .out = (uintptr_t)work,
                                  .out_length = sizeof(*work)};
    uint64_t length = 0;
    int64_t result = ask(driver, &command, &length);
    if (result < 0)
        return result;
    if (length < sizeof(work->order) || length > sizeof(*work))
        return -E_CLOSED;
    driver->sent = work->order.at;
    return (int64_t)(length - sizeof(work->order));
}

void serial_driver_gone(struct serial_driver *driver)
{
    struct abi_command command = {.op = SERIAL_GONE};
    pthread_mutex_lock(&driver->lock);
    if (driver->file != HANDLE_NONE)
        sys_ignore(file_command(driver->file, &command));
    pthread_mutex_unlock(&driver->lock);
}
