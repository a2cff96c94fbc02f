/* usb.serial: a serial adapter on USB (FTDI, CDC-ACM) as a driver of serial:// (lib/serial/driver.h).
 *
 * Started with the interface's URI, which names it to outputd, too. The main thread hears bytes, one sends and sets, one hears of lines
 * where these have an endpoint of their own. If one of the first two fails the process ends. The device is never reset: what it has in its
 * buffer while no driver is there is the next one's.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/serial/driver.h"
#include "lib/sys/error.h"
#include "sbin/usb.serial/adapter.h"

static struct adapter adapter;
static struct serial_driver driver = SERIAL_DRIVER_NONE;

/* A device that is pulled out is told of at once, or its terminal would wait for another driver. */
static NORETURN void end(int64_t result)
{
    if (result == -E_CLOSED)
        serial_driver_gone(&driver);
    fprintf(stderr, "%s: %s\n", adapter.claim.uri, error_text(result));
    exit(1);
}

static void heard(void *context, const uint16_t *units, size_t count)
{
    (void)context;
    int64_t result = serial_driver_received(&driver, units, count);
    if (result < 0)
        end(result);
}

/* Settings before bytes: whoever changed them meant what was written since. */
static int64_t work_do(const struct serial_work *work, size_t count)
{
    uint64_t settings = work->order.settings;
    if (settings != driver.in_force) {
        int64_t result = adapter_set(&adapter, settings);
        if (result < 0 && result != -E_NOT_SUPPORTED)
            return result;
        if (result < 0)
            fprintf(stderr, "%s: does not take these settings (%u bauds)\n", adapter.claim.uri,
                    (uint32_t)settings);
        driver.in_force = adapter.settings;
        driver.impossible = result < 0 ? settings : 0;
    }
    int64_t result = adapter_send(&adapter, work->bytes, count);
    if (result >= 0)
        driver.sent += count;
    return result;
}

static void *send(void *argument)
{
    static struct serial_work work;
    int64_t result;
    (void)argument;
    do {
        result = serial_driver_next(&driver, &work);
        if (result >= 0)
            result = work_do(&work, (size_t)result);
    } while (result >= 0);
    end(result);
}

/* Bytes go on without. */
static void *hear_lines(void *argument)
{
    (void)argument;
    int64_t result = adapter_listen_lines(&adapter, heard, NULL);
    if (result == -E_IO || result == -E_NOT_SUPPORTED)
        fprintf(stderr, "%s: tells nothing of lines any more: %s\n", adapter.claim.uri,
                error_text(result));
    else if (result < 0)
        end(result);
    return NULL;
}

static int64_t thread_start(void *(*run)(void *))
{
    pthread_t thread;
    int error = pthread_create(&thread, NULL, run, NULL);
    if (!error)
        pthread_detach(thread);
    return error ? -E_NO_MEMORY : 0;
}

static int64_t drive(const char *interface, const char *name)
{
    const struct usb_description *what = &adapter.claim.description;
    int64_t result = adapter_start(&adapter, interface);
    if ((result == -E_BAD_FORMAT || result == -E_NOT_SUPPORTED) &&
        adapter.claim.file != HANDLE_NONE) {
        fprintf(stderr, "%s: no adapter for us: %s\n", interface, error_text(result));
        usb_rest(&adapter.claim);
        return -E_CLOSED;
    }
    if (result < 0)
        return result;
    fprintf(stderr, "%s: %s %s\n", interface, what->manufacturer, what->product_name);
    serial_driver_start(&driver, name);
    result = thread_start(send);
    if (result >= 0)
        result = thread_start(hear_lines);
    return result < 0 ? result : adapter_listen(&adapter, heard, NULL);
}

int main(int argc, char **argv)
{
    const char *name = argc == 2 ? strrchr(argv[1], '/') : NULL;
    if (!name) {
        fprintf(stderr, "usage: usb.serial usb:///INTERFACE\n");
        return 2;
    }
    end(drive(argv[1], name + 1));
}
